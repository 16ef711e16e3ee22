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
        // Under the lock of what was said, so that gauge and log end with what is.
        let mut told = self.told();
        let was_up = self.up.swap(false, Ordering::AcqRel);
        if was_up {
            self.renew();
            self.lost.notify_one();
        }
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
        let mut told = self.told();
        if self.up.swap(true, Ordering::AcqRel) {
            return;
        }
        self.metrics.up.set(1.0);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use aimis_core::codes::Codes;

    use super::*;
    use crate::telemetry::log::Level;
    use crate::telemetry::metrics::Metrics;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What the log says of a store to which this happens.
    fn logged(happens: impl FnOnce(&Health, &Clock)) -> Vec<String> {
        let (sink, clock) = (Sink::default(), Clock::manual(0));
        let (log, guard) = Log::start(clock.clone(), Level::Info, "test", Box::new(sink.clone())).unwrap();
        let metrics = Arc::clone(&Metrics::new(&["north"], &[], &Codes::builtin()).store);
        let health = Health::new(3, 2, Duration::from_secs(2), clock.clone(), metrics, log);
        happens(&health, &clock);
        drop(health);
        drop(guard);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = line["event.name"].as_str().unwrap();
            match line["suppressed"].as_u64() {
                Some(left_out) => format!("{name} {} {left_out}", line["error.type"].as_str().unwrap()),
                None => name.to_owned(),
            }
        });
        lines.collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let told = logged(|health, clock| {
            health.back(2);
            for _ in 0..9 {
                health.bad(health.epoch(), Fault::OutOfMemory);
            }
            health.away(Fault::Timeout);
            clock.advance(Duration::from_secs(9));
            health.tell();
            health.back(2);
        });
        assert_eq!(told, ["store_up", "store_away out_of_memory 0", "store_up"]);
    }

    #[test]
    fn a_store_that_comes_and_goes_is_told_once_in_a_while_and_how_it_is_at_last() {
        let told = logged(|health, clock| {
            for _ in 0..100 {
                health.away(Fault::Timeout);
                clock.advance(Duration::from_millis(10));
                health.back(2);
                clock.advance(Duration::from_millis(10));
            }
            // So long ago by now that the next is told; and while it was not, it stays away.
            clock.advance(Duration::from_secs(2));
            health.away(Fault::Connect);
            health.back(2);
            health.away(Fault::ReadOnly);
            clock.advance(Duration::from_secs(2));
            health.tell();
            health.tell();
        });
        assert_eq!(
            told,
            [
                "store_away timeout 0",
                "store_up",
                "store_away connect 99",
                "store_up",
                "store_away read_only 0"
            ]
        );
    }
}
