//! Delivery: what is in the inbox is brought to the HIS, at least once, and in the order of its arrival for each study.
//!
//! ```text
//! inbox.lease ──► body ──► send ──► judge ──► inbox.settle        one attempt
//!      ▲                                          │
//!      └── courier: one a target, as much at a time as `pacing` lets through
//! ```
//!
//! | file | is about |
//! |---|---|
//! | `target` | where a tenant's events go, read with its files before anything runs |
//! | `courier` | the loop of one target: lease, start, wait, stop |
//! | `pacing` | how much at a time; a target that is down is only probed |
//! | `attempt` | one event, one time: sent, judged, settled, told |
//! | `body` | what the HIS gets, in its charset |
//! | `webhook` | the signature under it |
//! | `send` | the connection, the request, the answer |
//! | `judge` | what an answer means |
//! | `schedule` | when an event is tried again |
//!
//! # What always holds
//!
//! 1. An event is taken for delivered only when the HIS said so, and that is durable. If it cannot be noted, the
//!    lease runs out and the event is delivered again, under the same id.
//! 2. Nothing is sent to any address but the targets of the configuration.
//! 3. A target that fails or hangs holds up no other: each has a courier and a bound of its own.
//! 4. An event uses up its attempts only by deliveries that reached the HIS, or by the few that found out that it
//!    is down; while it is, the others keep theirs.

mod attempt;
pub(crate) mod body;
mod courier;
mod judge;
mod pacing;
mod schedule;
mod send;
mod target;
mod webhook;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::attempt::Desk;
use self::courier::Courier;
use self::pacing::Pacing;
use self::schedule::Schedule;
use self::send::Bounds;
use super::inbox::Inbox;
use crate::audit::Auditor;
use crate::clock::Clock;
use crate::config;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttle;
use crate::upstream::addresses::Resolver;
use crate::upstream::jitter::Jitter;

pub use target::{Target, TargetError, TargetFault};
pub use webhook::KeyError;

/// What deliveries work with beside the inbox.
#[derive(Clone)]
pub struct Surroundings {
    /// The machine's time, not that of signatures to the platform.
    pub clock: Clock,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// Where they are told.
    pub log: Log,
    /// `log.repeat_interval_ms`.
    pub repeat_interval: Duration,
    /// Finds the addresses of targets.
    pub resolver: Resolver,
    /// Keeps the audit trail, where there is one.
    pub auditor: Option<Auditor>,
}

/// Brings events to their targets.
pub struct Deliverer(Vec<Courier>);

impl Deliverer {
    /// A deliverer for these targets, which does nothing yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        targets: Vec<Target>,
        settings: &config::Delivery,
        inbox: &Arc<dyn Inbox>,
        surroundings: &Surroundings,
    ) -> io::Result<Self> {
        let schedule = Arc::new(Schedule::new(settings, Jitter::new()?));
        let throttle = || Throttle::new(surroundings.repeat_interval, surroundings.clock.clone());
        let courier = |target: Target| {
            let desk = Desk {
                metrics: surroundings.metrics.deliveries.of(target.tenant.as_str()),
                target,
                inbox: Arc::clone(inbox),
                schedule: Arc::clone(&schedule),
                bounds: Bounds {
                    timeout: settings.timeout,
                    max_answer: settings.max_answer,
                },
                silence_max: settings.retry_after_max,
                resolver: surroundings.resolver.clone(),
                clock: surroundings.clock.clone(),
                log: surroundings.log.clone(),
                auditor: surroundings.auditor.clone(),
                failures: throttle(),
                store_failures: throttle(),
            };
            Courier::new(desk, Pacing::new(settings), settings.lease)
        };
        Ok(Self(targets.into_iter().map(courier).collect()))
    }

    /// Delivers until `stop` is true. What is under way then may end until `abort` is; the rest is given back to the
    /// inbox, as if it had not been tried.
    pub async fn run(self, stop: watch::Receiver<bool>, abort: watch::Receiver<bool>) {
        let mut couriers = JoinSet::new();
        for courier in self.0 {
            couriers.spawn(courier.run(stop.clone(), abort.clone()));
        }
        while couriers.join_next().await.is_some() {}
    }

    /// Does the same on a thread of its own, so that neither queries nor callbacks wait for it.
    ///
    /// # Errors
    /// When the system gives no thread or no timer.
    pub fn start(self, stop: watch::Receiver<bool>, abort: watch::Receiver<bool>) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("aimis-delivery".to_owned())
            .spawn(move || {
                runtime.block_on(self.run(stop, abort));
                // A name that is being looked up must not hold up the stop.
                runtime.shutdown_background();
            })
    }
}
