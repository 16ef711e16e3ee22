//! An attempt becomes a request that can be sent: timestamp from our clock, signature, nothing else.
//!
//! The headers made here are all that leave the house (design.md, "Way out"): nothing of the caller's
//! headers, address or query is in reach of this module.
//!
//! The attempts of one question carry strictly increasing timestamps. No time is invented for that: an
//! attempt that comes in the same millisecond as the one before waits for the next. Only where the clock
//! stands still or was set back meanwhile it does not, and the clock's word counts.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use tower::Layer;

use super::clock_watch::ClockWatch;
use super::error::AttemptError;
use super::reply::Reply;
use super::{Ask, Attempt};
use crate::forward::protect::ProtectedRequest;

const APP_ID: HeaderName = HeaderName::from_static("appid");
const TIMESTAMP: HeaderName = HeaderName::from_static("timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const JSON_UTF8: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// We neither decompress nor relay compressed bodies: length and content of an answer stay plain to see.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// How long, and how often, an attempt waits for the clock to move.
const TICK: Duration = Duration::from_millis(1);
const MOST_TICKS: usize = 5;

/// A request with a signature of its own, made for one attempt. Only this module makes one.
pub struct SignedRequest {
    request: Request<Full<Bytes>>,
    api: usize,
    way: usize,
    fresh_connection: bool,
}

impl SignedRequest {
    /// The tenant's way to the platform, by its position in [`super::connect::Connector`].
    pub(super) fn way(&self) -> usize {
        self.way
    }

    pub(super) fn into_parts(self) -> (Request<Full<Bytes>>, usize, bool) {
        (self.request, self.api, self.fresh_connection)
    }
}

/// Makes [`Sign`].
pub struct SignLayer {
    watch: Arc<ClockWatch>,
}

impl SignLayer {
    /// Timestamps come from `watch`, which learns from the answers.
    pub fn new(watch: Arc<ClockWatch>) -> Self {
        Self { watch }
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign {
            inner,
            watch: Arc::clone(&self.watch),
        }
    }
}

/// Signs each attempt.
pub struct Sign<S> {
    inner: S,
    watch: Arc<ClockWatch>,
}

impl<S> Sign<S> {
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// When this attempt is made: later than the one before, if the clock allows.
    async fn moment(&self, attempt: Attempt<'_>) -> Timestamp {
        let mut at = self.watch.signing_time(attempt.correction);
        // A corrected clock may well be behind what was sent by the wrong one.
        let before = attempt.course.signed_at().filter(|_| attempt.correction.is_none());
        for _ in 0..MOST_TICKS {
            if before.is_none_or(|before| at > before) {
                break;
            }
            tokio::time::sleep(TICK).await;
            at = self.watch.signing_time(None);
        }
        at
    }

    fn sign(attempt: Attempt<'_>, at: Timestamp) -> SignedRequest {
        attempt.course.attempt(at);
        let Attempt {
            request,
            fresh_connection,
            ..
        } = attempt;
        request.tenant().note_sent(at);
        SignedRequest {
            request: signed(request, at),
            api: request.api(),
            way: request.tenant().way,
            fresh_connection,
        }
    }
}

/// What goes over the wire for one attempt at `at`: the contract's headers, and no others.
pub(crate) fn signed(request: &ProtectedRequest, at: Timestamp) -> Request<Full<Bytes>> {
    let tenant = request.tenant();
    let signed = request.sign(at);
    let mut out = Request::new(Full::new(request.body()));
    *out.method_mut() = Method::POST;
    *out.uri_mut() = tenant.uri(request.api());
    let headers = out.headers_mut();
    headers.reserve(6);
    headers.insert(HOST, tenant.platform_host());
    headers.insert(CONTENT_TYPE, JSON_UTF8);
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers.insert(APP_ID, tenant.app_id_header());
    headers.insert(TIMESTAMP, header(signed.timestamp()));
    headers.insert(SIGNATURE, header(signed.signature()));
    out
}

fn header(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("digits and base64 are legal in a header");
    value.set_sensitive(true);
    value
}

impl<'a, S> Ask<Attempt<'a>> for Sign<S>
where
    S: Ask<SignedRequest, Error = AttemptError>,
{
    type Error = AttemptError;

    async fn ask(&self, attempt: Attempt<'a>) -> Result<Reply, AttemptError> {
        let at = self.moment(attempt).await;
        let traced = attempt.course.begin();
        let outcome = self.inner.ask(Self::sign(attempt, at)).await;
        if let Some(traced) = traced {
            traced.end(&outcome);
        }
        if let Some(dated) = outcome.as_ref().ok().and_then(Reply::dated) {
            self.watch.learn(dated);
        }
        outcome
    }
}
