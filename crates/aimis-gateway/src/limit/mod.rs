//! How much is asked: quotas of clients before the cache, a tap for each tenant before the platform.
//!
//! | file | is |
//! |---|---|
//! | `bucket` | one quota (GCRA) |
//! | `part` | a gateway's part of one that it shares |
//! | `clients` | the quotas of clients |
//! | `tap` | what lets a tenant's questions to the platform, shared by all workers |
//! | `shared` | the same where gateways share a store |
//! | `gate` | its decisions, pure |
//! | `line` | who waits before it, pure |
//! | [`pace`] | how many go at a time, pure |
//! | [`headers`] | what a caller is told |
//!
//! Locks are a tenant's own, held for less than a microsecond and never over a wait.

mod bucket;
mod clients;
mod gate;
pub mod headers;
mod line;
pub mod pace;
mod part;
mod shared;
mod tap;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aimis_core::contract::USAGE;
use aimis_core::order::Order;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::Config;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::store::look::LookUp;
use crate::telemetry::labels::LimitDecision;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::tenant::Tenant;
use clients::ClientLimits;
use headers::{Standing, Standings};
use tap::Tap;

pub use line::Lane;
pub use shared::{Charge, Leave, Turned};
pub use tap::{Repeats, Turn};

/// `usage` of a doctor who looks.
const DOCTOR: i64 = 2;

/// Whose limit a question met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its client's quota, in all or for the API.
    Client,
    /// Its tenant's quota at the platform.
    Tenant,
    /// The platform's: it said that the tenant asks too much.
    Platform,
}

/// A question is refused because too much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// By whom.
    pub limit: Limit,
    /// When it may come again.
    pub wait: Duration,
    /// How it stands with the quota, if it is one of ours.
    pub standing: Option<Standing>,
}

/// Why a question does not go to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// Too much is asked.
    Limited(Limited),
    /// As many wait as may.
    Overloaded,
    /// Its deadline passed while it waited.
    Deadline,
}

/// All limits; one for all workers.
pub struct Limits {
    clients: ClientLimits,
    /// By tenant.
    taps: Vec<Arc<Tap>>,
    tenants: Vec<Arc<Tenant>>,
    /// By API.
    weights: Vec<u32>,
    apis: Vec<&'static str>,
    legacy_headers: bool,
    are_shared: bool,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Limits {
    /// As configured.
    pub fn new(config: &Config, snapshot: &Snapshot, clock: &Clock, metrics: &Arc<Metrics>, log: &Log) -> Arc<Self> {
        Self::after(None, config, snapshot, None, clock, metrics, log)
    }

    /// As configured, and with what was counted by those `before`: of tenants and clients that stay and whose quotas
    /// do. Of a tenant whose quota is another only that the platform has had enough of it. With a `store`, quotas are
    /// counted there.
    pub fn after(
        before: Option<&Self>,
        config: &Config,
        snapshot: &Snapshot,
        store: Option<&Arc<Store>>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        log: &Log,
    ) -> Arc<Self> {
        let apis = snapshot.apis.names();
        let taps = snapshot.tenants.all().iter().map(|tenant| {
            let who = (tenant.index, tenant.name.clone());
            let tap = Tap::new(config, who, store, clock, Arc::clone(metrics), log.clone());
            let old = before.and_then(|before| {
                let at = before.tenants.iter().position(|old| old.is_same(tenant))?;
                Some(&before.taps[at])
            });
            match old {
                Some(old) => Tap::following(tap, old),
                None => Arc::new(tap),
            }
        });
        let limits = Self {
            clients: ClientLimits::after(
                before.map(|before| &before.clients),
                config,
                apis.len(),
                store.map(|store| &**store),
                clock,
            ),
            taps: taps.collect(),
            tenants: snapshot.tenants.all().to_vec(),
            weights: apis.iter().map(|api| config.limits.weights.of(api)).collect(),
            apis,
            legacy_headers: config.limits.legacy_headers,
            are_shared: store.is_some(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
        };
        limits.show();
        Arc::new(limits)
    }

    /// Whether a client, by its position, may ask `orders` of an API, at once; what is left of its quotas is noted in
    /// `standings`. Nobody waits for a client's quota.
    ///
    /// # Errors
    /// [`Limited`] when it may not.
    pub fn admit(
        &self,
        client: usize,
        tenant: usize,
        api: usize,
        orders: usize,
        standings: &mut Standings,
    ) -> Result<(), Limited> {
        let weight = self.weight(api, orders);
        let admitted = self.clients.admit(self.clock.moment(), client, api, weight, standings);
        if admitted.is_err() {
            self.metrics.limits.decision(tenant, LimitDecision::RefusedClient).inc();
        }
        admitted
    }

    /// Waits until an order may go to the platform, not beyond `deadline`; gives leave to ask, or why there is none,
    /// and how long was waited.
    pub async fn turn(
        &self,
        tenant: usize,
        api: usize,
        lane: Lane,
        deadline: Instant,
    ) -> (Result<Turn, NoTurn>, Duration) {
        let turned = self.leave(tenant, api, lane, deadline, None, None).await;
        let turn = turned.result.map(|leave| match leave {
            Leave::Go(turn, _) => turn,
            _ => unreachable!("nothing was looked up"),
        });
        (turn, turned.waited)
    }

    /// The same, where gateways share a store with what the client owes and what is looked up in the same call.
    pub async fn leave(
        &self,
        tenant: usize,
        api: usize,
        lane: Lane,
        deadline: Instant,
        charge: Option<&Charge>,
        look_up: Option<&LookUp<'_>>,
    ) -> Turned {
        let (tap, weight) = (&self.taps[tenant], self.weights[api]);
        let Some(shared) = &tap.shared else {
            let (result, waited) = tap.turn(lane, weight, deadline).await;
            return Turned {
                result: result.map(|turn| Leave::Go(turn, None)),
                waited,
                local: false,
            };
        };
        // In a box: a gateway by itself has no room for it.
        Box::pin(self.leave_shared(tap, shared, (lane, weight, deadline), charge, look_up)).await
    }

    /// Whether gateways share a store, and count quotas there.
    pub fn are_shared(&self) -> bool {
        self.are_shared
    }

    fn weight(&self, api: usize, orders: usize) -> u32 {
        let orders = u32::try_from(orders).unwrap_or(u32::MAX);
        self.weights[api].saturating_mul(orders)
    }

    /// Whether there is room for a question of an API that would be missed by nobody else, batches among them. Nothing is
    /// taken of it.
    pub fn is_slack(&self, tenant: usize, api: usize) -> bool {
        self.taps[tenant].is_slack(self.weights[api])
    }

    /// Whether the older headers are sent as well.
    pub fn legacy_headers(&self) -> bool {
        self.legacy_headers
    }

    /// Shows what changes by itself as time goes by.
    pub fn show(&self) {
        self.taps.iter().for_each(|tap| tap.show());
    }
}

impl Lane {
    /// A person waits for a doctor's look, and for whatever says nothing of its use.
    pub fn of(order: &Order) -> Self {
        match order.integer(USAGE) {
            None | Some(DOCTOR) => Self::Interactive,
            Some(_) => Self::Batch,
        }
    }
}
