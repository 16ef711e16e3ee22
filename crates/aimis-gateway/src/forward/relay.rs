//! The platform's answer goes to the caller as it is: status, `Content-Type` and every byte (P4).

use http::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::edge::connection::Body;
use crate::upstream::reply::Reply;

/// Headers that an answer has room for at once: these, ours about it, and those of quotas.
const ROOM: usize = 12;

/// Makes the answer to the caller. Of the platform's headers only these two pass: the others speak of a
/// connection that is not the caller's.
pub fn to_caller(reply: &Reply) -> Response<Body> {
    let mut response = Response::new(Body::new(reply.body().clone()));
    *response.status_mut() = reply.status();
    let headers = response.headers_mut();
    headers.reserve(ROOM);
    if let Some(value) = reply.content_type() {
        headers.insert(CONTENT_TYPE, value.clone());
    }
    if let Some(value) = reply.retry_after() {
        headers.insert(RETRY_AFTER, value.clone());
    }
    response
}
