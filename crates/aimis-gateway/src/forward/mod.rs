//! The road from the HIS to the platform and back: `Road::handle`, a line a stage.
//!
//! | stage | from | to |
//! |---|---|---|
//! | [`route`] | the request's line | API and appId |
//! | [`decode`] | the body's bytes | a checked [`Order`] |
//! | [`protect`] | the order | a [`protect::ProtectedRequest`]: personal fields encrypted |
//! | [`crate::upstream`] | that | the platform's [`crate::upstream::reply::Reply`], signed for anew in each attempt |
//! | [`relay`] | the reply | the caller's answer, byte for byte |
//!
//! A stage names types of earlier stages only. What surrounds a request whatever becomes of it (its id,
//! its log line, the headers on every answer) is in [`service`].

pub mod apis;
pub mod decode;
pub mod protect;
pub mod relay;
pub mod route;
pub mod service;

use std::sync::Arc;

use aimis_core::contract::{HOSPITAL_ID, UNION_ID};
use aimis_core::datetime::Date;
use aimis_core::order::{Order, OrderBuilder, RepairKind, Rules};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::edge::connection::Body;
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;
use crate::telemetry::labels::Origin;
use crate::tenant::Tenant;
use crate::upstream::Platform;
use decode::members::Unknown;
use service::Notes;

/// Levels of nesting that a request's body may have.
pub const MAX_DEPTH: usize = 32;
/// Members beyond the contract's that a request's body may have.
pub const MAX_MEMBERS: usize = 256;

/// The road of one worker.
pub struct Road {
    snapshot: Arc<Snapshot>,
    platform: Platform,
    clock: Clock,
}

impl Road {
    /// A road under one configuration. `clock` is the one that signatures carry, `clock.offset_ms` included: which
    /// day today is must not depend on a machine's clock that is known to be wrong.
    pub fn new(snapshot: Arc<Snapshot>, platform: Platform, clock: Clock) -> Self {
        Self {
            snapshot,
            platform,
            clock,
        }
    }

    /// What happens to a request.
    async fn handle(&self, request: Request<Incoming>, notes: &mut Notes) -> Result<Response<Body>, Rejection> {
        let (head, body) = request.into_parts();
        notes.exchange.api =
            route::api_of(&head.uri, &self.snapshot.apis).map(|api| (api, self.snapshot.apis.name(api)));
        let route = route::read(&head.method, &head.uri, &self.snapshot.apis)?;

        let waiting = self.clock.moment();
        let body = decode::body::read(&head.headers, body, self.snapshot.body_bounds).await;
        notes.exchange.caller_time = self.clock.moment().since(waiting);
        let body = body?;
        notes.exchange.request_size = body.len();

        let (order, tenant) = self.understand(&route, &body, head.headers.get(CONTENT_TYPE), notes)?;
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
        Ok(relay::to_caller(&reply))
    }

    /// Body and path become an order of one tenant.
    fn understand(
        &self,
        route: &route::Route<'_>,
        body: &[u8],
        content_type: Option<&HeaderValue>,
        notes: &mut Notes,
    ) -> Result<(Order, &Arc<Tenant>), Rejection> {
        let named = match route.app_id {
            Some(app_id) => Some(self.snapshot.tenants.by_app_id(app_id).ok_or(Rejection::NoSuchTenant)?),
            None => None,
        };
        let mut builder = OrderBuilder::new(self.snapshot.apis.contract(route.api), body.len());
        let unknown = decode::read(body, content_type, &self.snapshot.dialects, &mut builder)?;
        let tenant = match named {
            Some(tenant) => tenant,
            None => self
                .snapshot
                .tenants
                .by_hospital_id(builder.text(HOSPITAL_ID))
                .ok_or(Rejection::TenantUnclear)?,
        };
        notes.exchange.tenant = Some((tenant.index, tenant.name.clone()));

        for (name, value) in [(HOSPITAL_ID, &tenant.hospital_id), (UNION_ID, &tenant.union_id)] {
            if let Some(value) = value {
                // Another value that the caller gave stays: a consortium's HIS may ask for a neighbour.
                let _ = builder.fill(name, value);
            }
        }
        for (name, outcome) in unknown {
            match outcome {
                Unknown::Dropped => notes.repair(Some(&name), RepairKind::UnknownDropped),
                Unknown::Forwarded => notes.repair(Some(&name), RepairKind::UnknownForwarded),
                Unknown::Refused => return Err(Rejection::UnknownField { name }),
            }
        }
        let rules = Rules {
            today: Some(Date::in_china(self.clock.now())),
            ..tenant.rules
        };
        let order = builder.finish(&rules).map_err(Rejection::FieldInvalid)?;
        for repair in order.repairs() {
            notes.repair(repair.field, repair.kind);
        }
        for warning in order.warnings() {
            notes.warn(warning.field, warning.reason.as_str());
        }
        notes.exchange.patient = Some(self.snapshot.tagger.tag(&order));
        Ok((order, tenant))
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
