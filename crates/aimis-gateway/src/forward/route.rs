//! Which API and whose: what a request's line says.
//!
//! Paths are the platform's own, so that a HIS changes the host and nothing else. The query has no
//! meaning here; a field of the request in it, or a number that could be a person's, is refused, since URLs
//! end up in logs on their way.

use http::{Method, Uri};

use super::apis::Apis;
use crate::rejection::Rejection;

/// What a request's line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// Position of the API in the gateway's list.
    pub api: usize,
    /// appId of the path, if it has one.
    pub app_id: Option<&'a str>,
}

/// Position of the API that a path names, whatever else is wrong with the request.
pub fn api_of(uri: &Uri, apis: &Apis) -> Option<usize> {
    split(uri.path()).and_then(|(api, _)| apis.position(api))
}

/// Reads the request's line.
///
/// # Errors
/// [`Rejection::NoSuchApi`], [`Rejection::MethodNotAllowed`], [`Rejection::FieldInUrl`], in this order.
pub fn read<'a>(method: &Method, uri: &'a Uri, apis: &Apis) -> Result<Route<'a>, Rejection> {
    let (api, app_id) = split(uri.path()).ok_or(Rejection::NoSuchApi)?;
    let api = apis.position(api).ok_or(Rejection::NoSuchApi)?;
    if method != Method::POST {
        return Err(Rejection::MethodNotAllowed);
    }
    if let Some(query) = uri.query() {
        refuse_fields(query, apis)?;
    }
    Ok(Route { api, app_id })
}

fn split(path: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = path.strip_prefix("/thirdparty/")?.split('/');
    let api = parts.next()?;
    let app_id = parts.next().filter(|id| !id.is_empty());
    parts.next().is_none().then_some((api, app_id))
}

/// Digits in a row that could be a telephone or identity number.
const NUMBER: usize = 10;

fn refuse_fields(query: &str, apis: &Apis) -> Result<(), Rejection> {
    // Decoded before it is split, so that `&` and `=` that were encoded separate as well: some servers read
    // a query that way, and refusing one name too many costs nothing, since queries mean nothing here.
    let query = decoded(query);
    let names_field = query
        .split(|b| matches!(b, b'&' | b';'))
        .map(|pair| pair.split(|b| *b == b'=').next().unwrap_or(pair).trim_ascii())
        .any(|name| std::str::from_utf8(name).is_ok_and(|name| apis.knows_field(name)));
    let carries_number = query.split(|b| !b.is_ascii_digit()).any(|run| run.len() >= NUMBER);
    if names_field || carries_number {
        Err(Rejection::FieldInUrl)
    } else {
        Ok(())
    }
}

/// The bytes behind a query's percent-encoding and its `+` for a space; what is no encoding stays.
fn decoded(query: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = query.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        out.push(match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high * 16 + low) as u8
            }
            (b'+', ..) => b' ',
            _ => byte,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, uri: &'static str) -> Result<(usize, Option<String>), &'static str> {
        let uri = Uri::from_static(uri);
        read(&method, &uri, &Apis::builtin())
            .map(|route| (route.api, route.app_id.map(str::to_owned)))
            .map_err(|rejection| match rejection {
                Rejection::FieldInUrl => "field in url",
                other => other.public().kind,
            })
    }

    #[test]
    fn the_platforms_own_paths_are_understood() {
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/900001"),
            Ok((0, Some("900001".into())))
        );
        assert_eq!(route(Method::POST, "/thirdparty/patientConsultations"), Ok((1, None)));
        assert_eq!(route(Method::POST, "/thirdparty/patientReportUrl/?t=1"), Ok((2, None)));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(route(Method::POST, "/"), Err("no-such-api"));
        assert_eq!(route(Method::POST, "/thirdparty"), Err("no-such-api"));
        assert_eq!(
            route(Method::POST, "/thirdparty/patientstudies/900001"),
            Err("no-such-api")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/900001/x"),
            Err("no-such-api")
        );
        assert_eq!(
            route(Method::POST, "//thirdparty/patientStudies/900001"),
            Err("no-such-api")
        );
        assert_eq!(
            route(Method::GET, "/thirdparty/patientStudies/900001"),
            Err("method-not-allowed")
        );
        assert_eq!(route(Method::GET, "/other"), Err("no-such-api"));
    }

    #[test]
    fn a_field_in_the_url_is_refused() {
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?a=b&idNum=x"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?PHONENUM"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?a=idNum"),
            Ok((0, Some("1".into())))
        );
    }

    #[test]
    fn percent_encoding_hides_no_field() {
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?a=b&%69dNum=x"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?id%4eum"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?+idNum+=x"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?a%26idNum%3dx"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?%6=%zz"),
            Ok((0, Some("1".into())))
        );
    }

    #[test]
    fn a_number_in_the_url_is_refused() {
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?q=13800138000"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?q=138001%33%38000"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?11010119000101009X"),
            Err("field in url")
        );
        assert_eq!(
            route(Method::POST, "/thirdparty/patientStudies/1?v=123456789"),
            Ok((0, Some("1".into())))
        );
    }
}
