//! What the platform is answered. It takes code 0 for "received", and anything else for "not received".
//!
//! Whoever is refused is told that and nothing more: one status, one body, one length, for every reason there is.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::inbox::Receipt;
use crate::edge::connection::Body;
use crate::edge::guard::HeadFault;

const SUCCESS: &[u8] = br#"{"code":0,"message":"success"}"#;
const REFUSED: &[u8] = br#"{"code":800102,"message":"refused"}"#;
const TOO_MANY: &[u8] = br#"{"code":800201,"message":"too many, send it again later"}"#;
const NOT_STORED: &[u8] = br#"{"code":800202,"message":"not stored, send it again"}"#;
const NOT_YET: &[u8] = br#"{"code":800202,"message":"stored, not acknowledged yet, send it again"}"#;
const STOPPING: &[u8] = br#"{"code":800203,"message":"stopping, send it again"}"#;

/// The callback is received: the receipt says that it is durable.
pub fn received(_: Receipt) -> Response<Body> {
    of(StatusCode::OK, SUCCESS)
}

/// The callback is not accepted, whatever the reason. With `close` the rest of its body is not waited for.
pub fn refused(close: bool) -> Response<Body> {
    let response = of(StatusCode::FORBIDDEN, REFUSED);
    if close { closing(response) } else { response }
}

/// What came is no request.
pub fn malformed(fault: HeadFault) -> Response<Body> {
    closing(of(fault.status(), REFUSED))
}

/// Its address sends too much.
pub fn too_many() -> Response<Body> {
    closing(later(
        of(StatusCode::TOO_MANY_REQUESTS, TOO_MANY),
        HeaderValue::from_static("1"),
    ))
}

/// The callback could not be kept.
pub fn not_stored() -> Response<Body> {
    later(
        of(StatusCode::SERVICE_UNAVAILABLE, NOT_STORED),
        HeaderValue::from_static("5"),
    )
}

/// The callback is kept, and an answer from before it may still serve at another replica.
pub fn not_yet() -> Response<Body> {
    later(
        of(StatusCode::SERVICE_UNAVAILABLE, NOT_YET),
        HeaderValue::from_static("5"),
    )
}

/// The gateway stops.
pub fn stopping() -> Response<Body> {
    closing(later(
        of(StatusCode::SERVICE_UNAVAILABLE, STOPPING),
        HeaderValue::from_static("5"),
    ))
}

fn of(status: StatusCode, body: &'static [u8]) -> Response<Body> {
    let mut response = Response::new(Body::new(Bytes::from_static(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn later(mut response: Response<Body>, seconds: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

fn closing(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
