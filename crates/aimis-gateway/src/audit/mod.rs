//! The audit trail: who asked about whom, when, for what, and what came of it; chained, so that a change shows.
//!
//! ```text
//! workers ──Record──► lane (a queue each) ──► writer: chain, write, sync ──► files, head
//!                                                └──► syslog
//! ```
//!
//! | file | is about |
//! |---|---|
//! | [`record`] | what is recorded |
//! | [`tags`], [`operator`] | persons, as keyed tags |
//! | `keys` | the keys, and what follows from each |
//! | `chain` | the seal of a line |
//! | `line` | a line as a reader sees it |
//! | `files`, `head` | files and their names; the file that says where the trail ends |
//! | `needed` | whether the keys at hand are all that it takes |
//! | `rekey` | other keys, while it is written |
//! | `journal`, `open` | a trail that is written; taking one up where it ended |
//! | [`lane`], `writer` | the way from a request to the disk |
//! | `syslog` | a copy elsewhere |
//! | [`acts`] | records of the command line |
//! | [`verify`], `watch` | whether a trail is as it was written |
//! | [`find`] | who looked at this patient |
//! | [`told`] | what the log tells of it all |
//!
//! # What always holds
//!
//! 1. Nothing that names a person is in a record: only types that cannot hold one can be written.
//! 2. Who adds a record never waits for another's lock, nor for the disk unless `fsync = "each"` says so.
//! 3. Each line is chained to the one before, over all files of a trail; it is known where the trail ended.
//! 4. What is written is never changed, and removed only when its time is over, which is recorded first.

pub mod acts;
mod chain;
pub mod count;
mod files;
pub mod find;
mod head;
mod journal;
mod keys;
pub mod lane;
mod line;
mod needed;
mod open;
pub mod operator;
pub mod record;
mod rekey;
mod syslog;
pub mod tags;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod told;
pub mod verify;
mod watch;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

pub use files::{Trail, moment};
pub use keys::{KeyError, KeyId, Keys};
pub use lane::{Auditor, Unwritable};
pub use line::Stated;
pub use needed::{Needed, check_keys};
pub use open::{Anomaly, OpenError};
pub use record::{Kind, Record};
pub use rekey::{KeyRing, RekeyError};
pub use tags::Subject;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::config;
use crate::telemetry::audit::AuditMetrics;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use journal::Bounds;
use lane::Shared;
use syslog::Exporter;
use told::Told;
use writer::Writer;

/// As long a syslog server may take for what is still to be sent at the end.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// The trail of a running gateway.
pub struct Audit {
    shared: Arc<Shared>,
    clock: Clock,
}

/// Keeps the threads; its end writes out what is left, and ends the trail well.
pub struct AuditGuard {
    shared: Arc<Shared>,
    stop_watch: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
    watch: Option<JoinHandle<()>>,
    exported: Option<Receiver<()>>,
}

impl Audit {
    /// Takes up the trail of a configuration, and starts the thread that writes it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running then.
    pub fn start(
        settings: &config::Audit,
        clock: &Clock,
        log: &Log,
        metrics: &Arc<AuditMetrics>,
    ) -> Result<(Self, AuditGuard), OpenError> {
        let failed = |error| OpenError::File(settings.path.clone(), error);
        let lock = open::lock(Trail::Gateway, &settings.path, false)?;
        let keys = Arc::new(read_keys(settings)?);
        let (journal, found) = open::open(bounds(settings), Trail::Gateway, Arc::clone(&keys), clock.now(), lock)?;
        for anomaly in &found.anomalies {
            log.write(&Event::Audit(Told::Anomaly(*anomaly)));
        }
        if found.torn > 0 {
            log.write(&Event::Audit(Told::Torn(found.torn)));
        }
        let shared = Arc::new(Shared {
            keys: ArcSwap::from(Arc::clone(&keys)),
            on_failure: settings.on_failure,
            each: settings.fsync == config::Fsync::Each,
            max_wait: settings.max_wait,
            queue: settings.queue,
            metrics: Arc::clone(metrics),
            failing: AtomicBool::new(false),
            written: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            writer: OnceLock::new(),
            lost: Default::default(),
            new: Mutex::default(),
        });
        let (exporter, exported) = match &settings.syslog {
            Some(server) => {
                let (server, facility) = (server.clone(), settings.syslog_facility);
                let metrics = Arc::clone(metrics);
                let (done, exported) = channel();
                let exporter = Exporter::start(server, facility, settings.syslog_queue, metrics, log.clone(), done);
                (Some(exporter.map_err(failed)?), Some(exported))
            }
            None => (None, None),
        };
        let writer = Writer {
            journal,
            shared: Arc::clone(&shared),
            sources: Vec::new(),
            exporter,
            fsync: settings.fsync,
            interval: settings.fsync_interval,
            clock: clock.clone(),
            log: log.own_lane(),
            metrics: Arc::clone(metrics),
            uncounted: 0,
            synced: clock.moment(),
            housekept: clock.moment(),
            told: 0,
            not_before: None,
        };
        let thread = std::thread::Builder::new().name("aimis-audit".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(failed)?;
        let _ = shared.writer.set(thread.thread().clone());
        // Before it was known whom to wake, something may have come.
        thread.thread().unpark();
        let mut guard = AuditGuard {
            shared: Arc::clone(&shared),
            stop_watch: Arc::default(),
            writer: Some(thread),
            watch: None,
            exported,
        };
        if settings.verify_interval_hours > 0 {
            let interval = Duration::from_secs(u64::from(settings.verify_interval_hours) * 3_600);
            let (directory, stop) = (settings.path.clone(), Arc::clone(&guard.stop_watch));
            let shared = Arc::clone(&shared);
            let (clock, log, metrics) = (clock.clone(), log.own_lane(), Arc::clone(metrics));
            let thread = std::thread::Builder::new().name("aimis-audit-read".to_owned());
            let watch = thread.spawn(move || watch::run(&directory, &shared, interval, &stop, &clock, &log, &metrics));
            guard.watch = Some(watch.map_err(failed)?);
        }
        let clock = clock.clone();
        Ok((Self { shared, clock }, guard))
    }

    /// A handle on the keys, for a reload.
    pub fn key_ring(&self) -> KeyRing {
        KeyRing::new(&self.shared)
    }

    /// A handle for a thread, with a queue of its own.
    pub fn lane(&self) -> Auditor {
        Auditor::new(&self.shared, self.clock.clone())
    }
}

impl Drop for AuditGuard {
    fn drop(&mut self) {
        self.stop_watch.store(true, Ordering::Release);
        self.shared.stopping.store(true, Ordering::SeqCst);
        for thread in [self.writer.take(), self.watch.take()].into_iter().flatten() {
            thread.thread().unpark();
            // A thread that panicked has told so in the log.
            let _ = thread.join();
        }
        if let Some(exported) = &self.exported {
            // The writer is gone, so the exporter ends when all is sent. A server that is down is not waited for.
            let _ = exported.recv_timeout(LAST_EXPORT);
        }
    }
}

/// The keys of a configuration; the first is made where nothing has been written yet.
///
/// # Errors
/// [`OpenError`].
pub fn read_keys(settings: &config::Audit) -> Result<Keys, OpenError> {
    let failed = |error| OpenError::File(settings.path.clone(), error);
    let empty = needed::is_empty(&settings.path).map_err(failed)?;
    Ok(Keys::read(settings, empty)?)
}

fn bounds(settings: &config::Audit) -> Bounds {
    let days = settings.retention_days;
    Bounds {
        directory: settings.path.clone(),
        file: settings.max_file_bytes as u64,
        all: settings.max_bytes as u64,
        // Of the gateway's trail; the other has nobody who sends.
        export: settings.syslog.is_some(),
        retention: (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400)),
    }
}
