//! Whether the store is there: one breaker for the whole process, shared by all its connections.
//!
//! Up, until so many calls in a row failed; then away, until the keeper has heard from it again. Nobody else tries: a
//! request of a store that is away costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::fault::Fault;
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
    /// It was told to be away at least once.
    told: AtomicBool,
    least: u32,
    /// Wakes the keeper.
    pub(super) lost: Notify,
    pub(super) metrics: Arc<StoreMetrics>,
    log: Log,
}

impl Health {
    /// Away, until it is heard from.
    pub(super) fn new(most: u32, least: u32, metrics: Arc<StoreMetrics>, log: Log) -> Self {
        metrics.up.set(0.0);
        metrics.replicas.set(i64::from(least));
        Self {
            up: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            most,
            epoch: AtomicU64::new(0),
            replicas: Arc::new(AtomicU32::new(least)),
            told: AtomicBool::new(false),
            least,
            lost: Notify::new(),
            metrics,
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
        let first = !self.told.swap(true, Ordering::AcqRel);
        if was_up {
            self.renew();
            self.lost.notify_one();
        }
        if was_up || first {
            self.metrics.up.set(0.0);
            self.log.write(&Event::StoreAway {
                fault,
                replicas: self.replicas.load(Ordering::Relaxed),
            });
        }
    }

    /// It was heard from, and knows of so many gateways.
    pub(super) fn back(&self, replicas: u32) {
        let replicas = replicas.max(self.least);
        self.replicas.store(replicas, Ordering::Relaxed);
        self.metrics.replicas.set(i64::from(replicas));
        self.failures.store(0, Ordering::Relaxed);
        if !self.up.swap(true, Ordering::AcqRel) {
            self.told.store(true, Ordering::Release);
            self.metrics.up.set(1.0);
            self.log.write(&Event::StoreUp { replicas });
        }
    }

    /// Every connection there is leads to the wrong place.
    pub(super) fn renew(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}
