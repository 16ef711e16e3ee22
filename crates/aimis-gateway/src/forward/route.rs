//! Which API and whose: what a request's line says.
//!
//! Paths are the platform's own, so that a HIS changes the host and nothing else. The query has no
//! meaning here; a field of the request in it, or a number that could be a person's, is refused, since URLs
//! end up in logs on their way. The number that a browser adds against caches (`_=1700000000000`) is none of these.

use aimis_core::identity::normalize_id;
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
        return Err(Rejection::MethodNotAllowed { allow: "POST" });
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
    // A slash at the end means nothing.
    let ends = parts.next().is_none_or(str::is_empty) && parts.next().is_none();
    ends.then_some((api, app_id))
}

/// Digits in a row that could be a telephone or identity number.
const NUMBER: usize = 10;

/// Names under which browsers and their libraries send a number that keeps answers out of caches.
const CACHE_BUSTERS: [&str; 12] = [
    "_",
    "_T",
    "T",
    "TS",
    "TIME",
    "TIMESTAMP",
    "V",
    "R",
    "RAND",
    "RANDOM",
    "NOCACHE",
    "NO_CACHE",
];

fn refuse_fields(query: &str, apis: &Apis) -> Result<(), Rejection> {
    // Decoded before it is split, so that `&` and `=` that were encoded separate as well: some servers read
    // a query that way, and refusing one name too many costs nothing, since queries mean nothing here. For the same
    // reason width, white space and case are overlooked.
    let query = decoded(query);
    let text = String::from_utf8_lossy(&query);
    let query = normalize_id(&text);
    let offends = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let busts_cache = CACHE_BUSTERS.contains(&name) && is_time_or_random(value);
        apis.knows_field(name) || (carries_number(pair) && !busts_cache)
    };
    if query.as_str().split(['&', ';']).any(offends) {
        Err(Rejection::FieldInUrl)
    } else {
        Ok(())
    }
}

fn carries_number(pair: &str) -> bool {
    pair.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= NUMBER)
}

/// Milliseconds since 1970 (13 digits from 2001 on, the first of them 1 until 2033, and neither a telephone nor an
/// identity number has 13), or a fraction as `Math.random()` gives it.
fn is_time_or_random(value: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let time = value.len() == 13 && value.starts_with('1') && digits(value);
    let random = value
        .strip_prefix("0.")
        .is_some_and(|fraction| fraction.len() <= 20 && digits(fraction));
    time || random
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
    fn a_number_against_caches_is_no_persons_number() {
        let base = "/thirdparty/patientStudies/1?";
        let refused = |query: &str| {
            let uri: Uri = format!("{base}{query}").parse().unwrap();
            read(&Method::POST, &uri, &Apis::builtin()).is_err()
        };
        for query in [
            "_=1700000000000",
            "a=b&_t=1700000000000",
            "Timestamp=1999999999999",
            "rand=0.8374928374928374",
            "r=0.1",
            "v=1.2.3",
            "%5f=1700000000000",
        ] {
            assert!(!refused(query), "{query}");
        }
        for query in [
            "_=13800138000",
            "_=110101190001010090",
            "_=8613800138000",
            "_=1700000000000x",
            "_=17000000000001",
            "_=1700000000000&x=13800138000",
            "_=1700000000000,13800138000",
            "rand=13800138000.5",
            "rand=0.8374928374928374&idNum=1",
            "q=1700000000000",
            "1700000000000",
            "_=%EF%BC%91%EF%BC%93%EF%BC%98%EF%BC%90%EF%BC%90%EF%BC%91%EF%BC%93%EF%BC%98%EF%BC%90%EF%BC%90%EF%BC%90",
            "q=138+0013+8000",
            "%EF%BD%89%EF%BD%84%EF%BC%AE%EF%BD%95%EF%BD%8D=x",
            "id%E2%80%8BNum=x",
        ] {
            assert!(refused(query), "{query}");
        }
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
