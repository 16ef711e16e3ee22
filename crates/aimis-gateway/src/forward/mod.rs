//! The road from the HIS to the platform and back: `Road::handle`, a line a stage.
//!
//! | stage | from | to |
//! |---|---|---|
//! | [`crate::client`] | connection and headers | who asks |
//! | [`route`] | the request's line | API and appId |
//! | [`decode`] | the body's bytes | a draft of an order |
//! | [`authorize`] | client, tenant, order | whether this client may ask this |
//! | [`understand()`] | the three before | a checked [`aimis_core::order::Order`] of one tenant |
//! | [`protect`] | the order | a [`protect::ProtectedRequest`]: personal fields encrypted |
//! | [`crate::upstream`] | that | the platform's [`crate::upstream::reply::Reply`], signed for anew in each attempt |
//! | [`relay`] | the reply | the caller's answer, byte for byte |
//! | [`answer`] | any answer | the same in its client's words, where these are others |
//!
//! A stage names types of earlier stages only. What surrounds a request whatever becomes of it (its id,
//! its log line, the headers on every answer) is in [`service`]; what is learnt about it in [`notes`]; [`cors`] speaks
//! with browsers.

pub mod answer;
pub mod apis;
pub mod authorize;
pub mod cache_key;
pub mod cors;
pub mod decode;
pub mod notes;
pub mod protect;
pub mod relay;
pub mod route;
pub mod service;
mod understand;

use std::net::IpAddr;
use std::sync::Arc;

use aimis_core::datetime::Date;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;

use crate::client::Client;
use crate::client::failures::Failures;
use crate::clock::Clock;
use crate::edge::connection::Body;
use crate::edge::peer::Peer;
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;
use crate::telemetry::labels::Origin;
use crate::upstream::Platform;
use notes::Notes;

pub use understand::understand;

/// Levels of nesting that a request's body may have.
pub const MAX_DEPTH: usize = 32;
/// Members beyond the contract's that a request's body may have.
pub const MAX_MEMBERS: usize = 256;

/// The road of one worker.
pub struct Road {
    snapshot: Arc<Snapshot>,
    failures: Arc<Failures>,
    platform: Platform,
    clock: Clock,
}

impl Road {
    /// A road under one configuration. `clock` is the one that signatures carry, `clock.offset_ms` included: which
    /// day today is must not depend on a machine's clock that is known to be wrong.
    pub fn new(snapshot: Arc<Snapshot>, failures: Arc<Failures>, platform: Platform, clock: Clock) -> Self {
        Self {
            snapshot,
            failures,
            platform,
            clock,
        }
    }

    /// What happens to a request.
    async fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let (head, body) = request.into_parts();
        let client = self.identify(&head.headers, peer, notes)?;
        notes.exchange.api =
            route::api_of(&head.uri, &self.snapshot.apis).map(|api| (api, self.snapshot.apis.name(api)));
        let route = route::read(&head.method, &head.uri, &self.snapshot.apis)?;
        authorize::api(client, route.api)?;

        let waiting = self.clock.moment();
        let body = decode::body::read(&head.headers, body, self.snapshot.body_bounds).await;
        notes.exchange.caller_time = self.clock.moment().since(waiting);
        let body = body?;
        notes.exchange.request_size = body.len();

        let content_type = head.headers.get(CONTENT_TYPE);
        let today = Date::in_china(self.clock.now());
        let (order, tenant) = understand(&self.snapshot, client, &route, &body, content_type, today, notes)?;
        let protected = protect::protect(&order, route.api, tenant);
        drop((order, body));

        let sent = self.platform.send(protected).await;
        notes.exchange.attempts = sent.attempts;
        notes.exchange.upstream_time = sent.took;
        let reply = sent.result?;

        let code = reply.envelope().code();
        notes.exchange.origin = Origin::Platform;
        notes.exchange.code = code;
        notes.exchange.class = self.snapshot.class_of(route.api, code);
        if code.is_none() {
            notes.warn("reply", "no-code");
        }
        let refused = code.is_some_and(|code| self.snapshot.rule(route.api, code).resign);
        if (refused || sent.resigned)
            && let Some(off_ms) = self.platform.clock_off_ms()
        {
            notes.clock_off(off_ms);
        }
        Ok(relay::to_caller(&reply))
    }

    /// Where a request came from, if that is to be logged.
    fn address_to_log(&self, peer: &Peer) -> Option<IpAddr> {
        peer.address.filter(|_| self.snapshot.log_client_address)
    }

    /// Who asks.
    fn identify(&self, headers: &HeaderMap, peer: &Peer, notes: &mut Notes) -> Result<&Client, Rejection> {
        notes.exchange.client_address = self.address_to_log(peer);
        let client =
            self.snapshot
                .clients
                .identify(headers, peer)
                .map_err(|fault| match self.failures.note(peer.address) {
                    Ok(()) => Rejection::ClientUnknown { fault },
                    Err(wait) => Rejection::SignInsLimited { wait },
                })?;
        notes.exchange.client = client.name.clone();
        notes.answers = client.answers;
        Ok(client)
    }
}

/// `Cache-Status` (RFC 9211) of an answer that came from the platform, and of one that we made.
pub(crate) fn cache_status(origin: Origin) -> HeaderValue {
    HeaderValue::from_static(match origin {
        Origin::Platform => "aimis; fwd=bypass",
        Origin::Cache => "aimis; hit",
        Origin::Gateway => "aimis; detail=not-consulted",
    })
}
