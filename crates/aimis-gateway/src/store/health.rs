//! Whether the store is there: one breaker for the whole process, shared by all its connections; in a cluster one for each
//! slot beside it (`slots`), since a node that is down concerns the tenants on it.
//!
//! Up, until so many calls in a row failed; then away, until the keeper has heard from it again. Nobody else tries: a
//! request of a store that is away costs nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::fault::Fault;
use crate::clock::{Clock, Moment};
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use crate::telemetry::store::StoreMetrics;

/// Whether the store is there.
pub(super) struct Health {
    up: AtomicBool,
    /// Calls that failed one behind the other.
    failures: AtomicU32,
    most: u32,
    /// Connections of an older one are not used any more.
    epoch: AtomicU64,
    /// Gateways that were there when it was last up.
    replicas: Arc<AtomicU32>,
    told: Mutex<Told>,
    /// From one line that it is away to the next.
    interval: Duration,
    least: u32,
    /// Wakes the keeper.
    pub(super) lost: Notify,
    pub(super) metrics: Arc<StoreMetrics>,
    clock: Clock,
    log: Log,
}

/// What the log says.
#[derive(Default)]
struct Told {
    /// `None` until something was said.
    up: Option<bool>,
    /// When it was last said that it is away.
    away_at: Option<Moment>,
    /// Why it is, where that was not said yet.
    untold: Option<Fault>,
    /// How often it was away since, and back before that was said.
    left_out: u64,
}

impl Health {
    /// Away, until it is heard from.
    pub(super) fn new(
        most: u32,
        least: u32,
        interval: Duration,
        clock: Clock,
        metrics: Arc<StoreMetrics>,
        log: Log,
    ) -> Self {
        metrics.up.set(0.0);
        metrics.replicas.set(i64::from(least));
        Self {
            up: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            most,
            epoch: AtomicU64::new(0),
            replicas: Arc::new(AtomicU32::new(least)),
            told: Mutex::default(),
            interval,
            least,
            lost: Notify::new(),
            metrics,
            clock,
            log,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Gateways that share it, as far as is known.
    pub(super) fn replicas(&self) -> &Arc<AtomicU32> {
        &self.replicas
    }

    /// A call was answered.
    pub(super) fn good(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A call on a connection of `epoch` failed.
    pub(super) fn bad(&self, epoch: u64, fault: Fault) {
        if epoch == self.epoch() && self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= self.most {
            self.away(fault);
        }
    }

    /// It is not there, as far as can be told.
    pub(super) fn away(&self, fault: Fault) {
        let was_up = self.up.swap(false, Ordering::AcqRel);
        if was_up {
            self.renew();
            self.lost.notify_one();
        }
        let mut told = self.told();
        if was_up || told.up.is_none() {
            self.metrics.up.set(0.0);
            told.untold = Some(fault);
        }
        drop(told);
        self.tell();
    }

    /// It was heard from, and knows of so many gateways.
    pub(super) fn back(&self, replicas: u32) {
        let replicas = replicas.max(self.least);
        self.replicas.store(replicas, Ordering::Relaxed);
        self.metrics.replicas.set(i64::from(replicas));
        self.failures.store(0, Ordering::Relaxed);
        if self.up.swap(true, Ordering::AcqRel) {
            return;
        }
        self.metrics.up.set(1.0);
        let mut told = self.told();
        if told.untold.take().is_some() {
            told.left_out += 1;
        }
        if told.up != Some(true) {
            told.up = Some(true);
            self.log.write(&Event::StoreUp { replicas });
        }
    }

    /// Says that it is away, if that was not said, and not just before: one that comes and goes is told once in a while.
    pub(super) fn tell(&self) {
        let mut told = self.told();
        let now = self.clock.moment();
        let recent = told.away_at.is_some_and(|at| now.since(at) < self.interval);
        if recent {
            return;
        }
        if let Some(fault) = told.untold.take() {
            (told.up, told.away_at) = (Some(false), Some(now));
            self.log.write(&Event::StoreAway {
                fault,
                replicas: self.replicas.load(Ordering::Relaxed),
                left_out: std::mem::take(&mut told.left_out),
            });
        }
    }

    /// Every connection there is leads to the wrong place.
    pub(super) fn renew(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
