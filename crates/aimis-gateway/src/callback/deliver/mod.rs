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

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use self::attempt::Desk;
use self::courier::Courier;
use self::pacing::Pacing;
use self::schedule::Schedule;
use super::inbox::Inbox;
use crate::audit::Auditor;
use crate::clock::Clock;
use crate::config;
use crate::post::Bounds;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttle;
use crate::telemetry::traces::Tracer;
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
    /// Makes traces, where there is a collector.
    pub tracer: Option<Tracer>,
}

/// Where events go at present. A target that stays is the same `Arc`.
pub type Targets = watch::Receiver<Vec<Arc<Target>>>;

/// Brings events to their targets.
pub struct Deliverer {
    targets: Targets,
    schedule: Arc<Schedule>,
    settings: config::Delivery,
    inbox: Arc<dyn Inbox>,
    surroundings: Surroundings,
}

/// A courier at work.
struct Working {
    target: Arc<Target>,
    /// True: it finishes what is under way, and ends.
    stop: watch::Sender<bool>,
}

impl Deliverer {
    /// A deliverer for these targets, which does nothing yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        targets: Targets,
        settings: &config::Delivery,
        inbox: &Arc<dyn Inbox>,
        surroundings: &Surroundings,
    ) -> io::Result<Self> {
        Ok(Self {
            targets,
            schedule: Arc::new(Schedule::new(settings, Jitter::new()?)),
            settings: settings.clone(),
            inbox: Arc::clone(inbox),
            surroundings: surroundings.clone(),
        })
    }

    /// Delivers until `stop` is true. What is under way then may end until `abort` is; the rest is given back to the
    /// inbox, as if it had not been tried. A target that is gone, or is another, gets what is under way and no more; the
    /// one in its place begins when that has ended, so that the order of a study's events holds.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, abort: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut working: HashMap<Id, Working> = HashMap::new();
        let mut following = true;
        loop {
            let wanted = self.targets.borrow_and_update().clone();
            for courier in working.values() {
                if !wanted.iter().any(|target| Arc::ptr_eq(target, &courier.target)) {
                    courier.stop.send_replace(true);
                }
            }
            for target in wanted {
                let busy = |courier: &Working| courier.target.tenant() == target.tenant();
                if !working.values().any(busy) {
                    let (sender, receiver) = watch::channel(false);
                    let task = tasks.spawn(self.courier(Arc::clone(&target)).run(receiver, abort.clone()));
                    working.insert(task.id(), Working { target, stop: sender });
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                changed = self.targets.changed(), if following => following = changed.is_ok(),
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    // One that ended unasked: its store is closed, and another one would end as soon.
                    if working.remove(&id).is_some_and(|courier| !*courier.stop.borrow()) {
                        break;
                    }
                }
            }
        }
        for courier in working.values() {
            courier.stop.send_replace(true);
        }
        while tasks.join_next().await.is_some() {}
    }

    fn courier(&self, target: Arc<Target>) -> Courier {
        let around = &self.surroundings;
        let throttle = || Throttle::new(around.repeat_interval, around.clock.clone());
        let desk = Desk {
            metrics: around.metrics.deliveries.of(target.tenant.as_str()),
            target,
            inbox: Arc::clone(&self.inbox),
            schedule: Arc::clone(&self.schedule),
            bounds: Bounds {
                timeout: self.settings.timeout,
                max_answer: self.settings.max_answer,
            },
            silence_max: self.settings.retry_after_max,
            resolver: around.resolver.clone(),
            clock: around.clock.clone(),
            log: around.log.clone(),
            auditor: around.auditor.clone(),
            tracer: around.tracer.clone(),
            failures: throttle(),
            store_failures: throttle(),
        };
        Courier::new(desk, Pacing::new(&self.settings), self.settings.lease)
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
