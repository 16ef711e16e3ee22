//! Which API and whose: what a request's line says.
//!
//! Paths are the platform's own, so that a HIS changes the host and nothing else. The query has no
//! meaning here; a field of the request in it is refused, since URLs end up in logs on their way.

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

fn refuse_fields(query: &str, apis: &Apis) -> Result<(), Rejection> {
    let names_field = query
        .split(['&', ';'])
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .any(|name| apis.knows_field(name));
    if names_field { Err(Rejection::FieldInUrl) } else { Ok(()) }
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
        assert_eq!(route(Method::POST, "/thirdparty/patientStudies/900001"), Ok((0, Some("900001".into()))));
        assert_eq!(route(Method::POST, "/thirdparty/patientConsultations"), Ok((1, None)));
        assert_eq!(route(Method::POST, "/thirdparty/patientReportUrl/?t=1"), Ok((2, None)));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(route(Method::POST, "/"), Err("no-such-api"));
        assert_eq!(route(Method::POST, "/thirdparty"), Err("no-such-api"));
        assert_eq!(route(Method::POST, "/thirdparty/patientstudies/900001"), Err("no-such-api"));
        assert_eq!(route(Method::POST, "/thirdparty/patientStudies/900001/x"), Err("no-such-api"));
        assert_eq!(route(Method::POST, "//thirdparty/patientStudies/900001"), Err("no-such-api"));
        assert_eq!(route(Method::GET, "/thirdparty/patientStudies/900001"), Err("method-not-allowed"));
        assert_eq!(route(Method::GET, "/other"), Err("no-such-api"));
    }

    #[test]
    fn a_field_in_the_url_is_refused() {
        assert_eq!(route(Method::POST, "/thirdparty/patientStudies/1?a=b&idNum=x"), Err("field in url"));
        assert_eq!(route(Method::POST, "/thirdparty/patientStudies/1?PHONENUM"), Err("field in url"));
        assert_eq!(route(Method::POST, "/thirdparty/patientStudies/1?a=idNum"), Ok((0, Some("1".into()))));
    }
}
