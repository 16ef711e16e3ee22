//! Health: what probes ask, answered from flags without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::labels::ReadyCheck;
use super::metrics::Metrics;

/// The state behind `/livez`, `/readyz`, `/startupz` and `/healthz`.
///
/// The platform being down fails none of them: restarting the gateway would not help it, and a sidecar's
/// readiness counts for the whole pod.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    checks: Vec<AtomicBool>,
    draining: AtomicBool,
    inbox_away: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Health {
    /// Nothing is good yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let checks = ReadyCheck::ALL.iter().map(|_| AtomicBool::new(false)).collect();
        Self(Arc::new(Inner {
            checks,
            draining: AtomicBool::new(false),
            inbox_away: AtomicBool::new(false),
            metrics,
        }))
    }

    /// Sets one check.
    pub fn set(&self, check: ReadyCheck, good: bool) {
        self.0.checks[check.index()].store(good, Ordering::Relaxed);
        self.0.metrics.ready(check).set(i64::from(good));
    }

    /// Says that the database of the inbox does not answer, or does again. Readiness stays as it is: queries need no
    /// inbox, and all replicas on one database would be taken out at once.
    pub fn inbox_away(&self, away: bool) {
        self.0.inbox_away.store(away, Ordering::Relaxed);
        self.0.metrics.ready(ReadyCheck::Inbox).set(i64::from(!away));
    }

    /// Whether the database of the inbox does not answer.
    pub fn is_inbox_away(&self) -> bool {
        self.0.inbox_away.load(Ordering::Relaxed)
    }

    /// From now on readiness says no.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
        self.0.metrics.draining.set(1);
    }

    /// Whether a signal to stop has come.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Whether one check is good.
    pub fn good(&self, check: ReadyCheck) -> bool {
        self.0.checks[check.index()].load(Ordering::Relaxed)
    }

    /// Whether everything that was to be started is.
    pub fn started(&self) -> bool {
        ReadyCheck::ALL.iter().all(|check| self.good(*check))
    }

    /// Whether requests should be sent here.
    pub fn ready(&self) -> bool {
        self.started() && !self.draining()
    }
}
