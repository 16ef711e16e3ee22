//! What is sent to a HIS: one request an event, over a connection of its own.
//!
//! Events are few, and TLS sessions are resumed. A kept connection may be closed by the HIS in the very moment the next
//! event is written to it: then nobody knows whether it came, and it is delivered a second time though nothing failed.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;

use super::body::content_type;
use super::target::Target;
use crate::post::{AGENT, Answer, Bounds, Fault, Place, post};
use crate::telemetry::traces::{TRACEPARENT, Trace};
use crate::upstream::addresses::Resolver;

/// An event as it goes out.
pub(super) struct Letter {
    /// `webhook-id`: the event's own.
    pub(super) id: String,
    /// `webhook-timestamp`: seconds since 1970.
    pub(super) timestamp: String,
    /// `traceparent`, where this attempt is traced.
    pub(super) trace: Option<Trace>,
    /// The JSON.
    pub(super) body: Bytes,
}

/// Sends an event.
///
/// # Errors
/// [`Fault`] when no whole answer came.
pub(super) async fn send(
    target: &Target,
    resolver: &Resolver,
    letter: &Letter,
    bounds: Bounds,
) -> Result<Answer, Fault> {
    let place = Place {
        host: &target.host,
        port: target.port,
        tls: target.tls.as_ref(),
    };
    post(place, resolver, request(target, letter), bounds).await
}

fn request(target: &Target, letter: &Letter) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(letter.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.path.clone();
    let text = |text: &str| HeaderValue::from_str(text).expect("ids and numbers are legal in a header");
    let headers = request.headers_mut();
    headers.insert(HOST, target.authority.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(target.charset)));
    headers.insert("webhook-id", text(&letter.id));
    headers.insert("webhook-timestamp", text(&letter.timestamp));
    if let Some(signer) = &target.signer {
        let signature = signer.sign(&letter.id, &letter.timestamp, &letter.body);
        headers.insert("webhook-signature", signature);
    }
    if let Some(bearer) = &target.bearer {
        headers.insert(AUTHORIZATION, bearer.clone());
    }
    if let Some(trace) = &letter.trace {
        headers.insert(TRACEPARENT, trace.to_header());
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}
