//! Browsers as clients: which pages may ask (CORS), where the configuration says that any may.
//!
//! A preflight carries no key, so it is answered before anybody is identified; it gives nothing away but what
//! the configuration allows to the page's origin. Without `lan.cors_origins` there is no CORS, and a preflight
//! is a request like any other, of a method that is not allowed.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::edge::connection::Body;
use crate::rejection::Rejection;

/// Asked for by browsers whose page comes from the Internet and whose request goes to a LAN.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What a page may send, and what it may read of our answer.
const SENT: HeaderValue =
    HeaderValue::from_static("authorization, content-type, x-api-key, x-request-id, accept-language, cache-control");
const READ: HeaderValue = HeaderValue::from_static(
    "x-request-id, x-aimis-origin, x-aimis-repairs, x-aimis-warnings, x-aimis-answer, x-aimis-status, x-aimis-partial, retry-after, age",
);
const POST: HeaderValue = HeaderValue::from_static("POST");
/// Seconds that a browser may remember a preflight.
const REMEMBER: HeaderValue = HeaderValue::from_static("600");

/// Origins of pages that may ask: `lan.cors_origins`.
pub struct Cors(Vec<String>);

impl Cors {
    /// Pages of these origins may ask; `*` is any.
    pub fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// What `Access-Control-Allow-Origin` says to a request, if its page may ask.
    pub fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        if self.0.iter().any(|known| known == "*") {
            // Pages send no cookies here, so the answer need not name them.
            return Some(HeaderValue::from_static("*"));
        }
        let allowed = |known: &String| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        self.0.iter().any(allowed).then(|| origin.clone())
    }

    /// Whether a request comes from a page that may not ask. Programs send no `Origin`; browsers do with every POST,
    /// also one that needs no preflight, or comes from a name that was made to point here.
    pub fn is_foreign(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(ORIGIN) && self.origin(headers).is_none()
    }

    /// The answer to a preflight; `None` for every other request.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Result<Response<Body>, Rejection>> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) || self.0.is_empty() {
            return None;
        }
        if self.is_foreign(headers) {
            return Some(Err(Rejection::PageNotAllowed));
        }
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, POST);
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        answer.insert(ACCESS_CONTROL_MAX_AGE, REMEMBER);
        if headers.contains_key(&REQUEST_PRIVATE_NETWORK) {
            answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        Some(Ok(response))
    }
}

/// Lets pages of `origin` read an answer.
pub fn permit(answer: &mut HeaderMap, origin: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
    answer.append(VARY, HeaderValue::from_static("Origin"));
}
