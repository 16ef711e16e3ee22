//! The pull road: a HIS that cannot be called fetches its events and says what became of them.
//!
//! ```text
//! GET  /inbox/v1/{tenant}/events ──► route ──► fetch ──► answer     leases, waits for some if asked to
//! POST /inbox/v1/{tenant}/events ──► route ──► report ──► settle    ends leases
//! ```
//!
//! | file | is about |
//! |---|---|
//! | `route` | tenant, operation and parameters; whether this client may |
//! | `fetch` | leases, and the wait for them |
//! | `report` | what a HIS says of the leases it holds |
//! | `settle` | what becomes of them |
//! | `answer` | the bodies of answers |
//!
//! # What always holds
//!
//! 1. An event is delivered when the HIS says so under its lease, and that is durable. Until then it comes again, when
//!    its lease has run out, under the same id.
//! 2. What a HIS gets is what would be posted to it.
//! 3. Leases that did not get into an answer are given back at once. Whether an answer arrived is not known: then the
//!    lease runs out.
//! 4. A lease is settled only for the tenant that its event belongs to.
//! 5. At most [`Bounds::waiting`] requests wait at a time, and none beyond the signal to stop.

mod answer;
mod fetch;
mod report;
mod route;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::watch;

use crate::callback::inbox::Inbox;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::rejection::Rejection;
use crate::telemetry::deliveries::TargetMetrics;
use crate::telemetry::metrics::Metrics;

pub use fetch::{Fetched, Reader};
pub use report::Report;
pub use route::{Asked, Route, is_pull, operation, read};
pub use settle::Settled;

/// Methods of the one path; `Allow` of a refusal.
pub const METHODS: &str = "GET, POST";

/// `[pull]`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events in an answer.
    pub events: usize,
    /// How long a request may wait.
    pub wait: Duration,
    /// How long a lease holds.
    pub lease: Duration,
    /// Requests that wait at a time.
    pub waiting: usize,
    /// When an event that the HIS did not take comes again, if it does not say.
    pub retry: Duration,
    /// As often may a HIS not take an event; `None`: for ever.
    pub attempts: Option<u32>,
}

impl From<&config::Pull> for Bounds {
    fn from(config: &config::Pull) -> Self {
        Self {
            events: config.max_events,
            wait: config.max_wait,
            lease: config.lease,
            waiting: config.max_waiting,
            retry: config.retry,
            attempts: Some(config.max_attempts).filter(|attempts| *attempts > 0),
        }
    }
}

/// Everything that the road needs; shared by all workers.
pub struct Pull {
    inbox: Arc<dyn Inbox>,
    bounds: Bounds,
    /// By position: the counters of tenants that are fetched; `None` for those that are delivered to.
    tenants: Vec<Option<TargetMetrics>>,
    waiting: Waiting,
    clock: Clock,
    /// True: who waits is answered now.
    stop: watch::Receiver<bool>,
}

impl Pull {
    /// For the tenants without `callback.target`.
    pub fn new(
        config: &Config,
        inbox: Arc<dyn Inbox>,
        metrics: &Metrics,
        clock: Clock,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let fetched = config.tenants.iter().map(|tenant| {
            let is_fetched = tenant.callback.target.is_none();
            is_fetched.then(|| metrics.deliveries.of(&tenant.name))
        });
        let bounds = Bounds::from(&config.pull);
        Self {
            inbox,
            bounds,
            tenants: fetched.collect(),
            waiting: Waiting {
                count: Arc::default(),
                most: bounds.waiting,
                gauge: metrics.pulls.waiting.clone(),
            },
            clock,
            stop,
        }
    }

    /// The same, with those counted that wait at `before`.
    #[must_use]
    pub fn following(mut self, before: &Self) -> Self {
        self.waiting.count = Arc::clone(&before.waiting.count);
        self
    }

    fn metrics(&self, tenant: usize) -> Result<&TargetMetrics, Rejection> {
        self.tenants
            .get(tenant)
            .and_then(Option::as_ref)
            .ok_or(Rejection::NoSuchInbox)
    }
}

/// Requests that wait for events.
struct Waiting {
    count: Arc<AtomicUsize>,
    most: usize,
    gauge: IntGauge,
}

/// A place among those that wait; given up when dropped.
struct Seat<'w>(&'w Waiting);

impl Waiting {
    fn sit(&self) -> Option<Seat<'_>> {
        let sit = |count| (count < self.most).then_some(count + 1);
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sit)
            .ok()?;
        self.gauge.inc();
        Some(Seat(self))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

/// The inbox did not do what it was asked; why is told by the inbox itself.
fn unavailable<E>(_: E) -> Rejection {
    Rejection::InboxUnavailable
}
