//! The thread that writes the trail: it empties the workers' queues, chains, writes, and makes durable.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::sync::watch;

use super::journal::Journal;
use super::lane::{Progress, Shared};
use super::line;
use super::record::Record;
use super::syslog::Exporter;
use super::told::{End, Told};
use crate::clock::{Clock, Moment};
use crate::config::Fsync;
use crate::telemetry::audit::AuditMetrics;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;

/// How long records are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes that are gathered at most.
const BATCH: usize = 1 << 20;
/// Bytes that may wait to be durable, whatever the interval.
const UNSYNCED: usize = 4 << 20;
/// The pause behind a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause before a new file is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked for files whose time is over, and the trail's end is told.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// The other end of a worker's queue.
pub(super) struct Source {
    pub(super) queue: Receiver<Box<Record>>,
    pub(super) progress: watch::Sender<Progress>,
    /// Records taken from it.
    pub(super) taken: u64,
}

pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) shared: Arc<Shared>,
    pub(super) sources: Vec<Source>,
    pub(super) exporter: Option<Exporter>,
    pub(super) fsync: Fsync,
    pub(super) interval: Duration,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) metrics: Arc<AuditMetrics>,
    /// Records in what is pending that are not counted as written yet.
    pub(super) uncounted: u64,
    pub(super) synced: Moment,
    pub(super) housekept: Moment,
    pub(super) told: u64,
    /// A new file is not tried again before.
    pub(super) not_before: Option<Moment>,
}

impl Writer {
    /// Writes until told to stop, and then what is left.
    pub(super) fn run(mut self) {
        self.tell_end();
        self.export();
        loop {
            let last = self.shared.stopping.load(Ordering::Acquire);
            self.sources.extend(self.shared.new_sources());
            let took = self.take();
            // Behind what was recorded before it: that has the old key's tags.
            self.take_up_keys();
            let outcome = self.write(last);
            if let Err(error) = &outcome {
                self.fail(error);
                if last {
                    return self.give_up();
                }
            } else {
                self.recover();
            }
            self.publish(outcome.is_ok());
            self.show();
            if last && !took && outcome.is_ok() {
                return self.close();
            }
            if !last {
                self.rest(took, outcome.is_err());
            }
        }
    }

    /// Takes what waits, a batch at most; nothing while what was taken before cannot be written.
    fn take(&mut self) -> bool {
        if self.shared.failing.load(Ordering::Relaxed) {
            return false;
        }
        let mut took = false;
        for source in &mut self.sources {
            while self.journal.pending.len() - self.journal.written < BATCH {
                match source.queue.try_recv() {
                    Ok(record) => {
                        self.journal.add(record.at, |line| record.write(line));
                        source.taken += 1;
                        self.uncounted += 1;
                        took = true;
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
        }
        took
    }

    /// Goes over to the keys of a reload. The file that is written stays under its own, so that one has to be among them.
    fn take_up_keys(&mut self) {
        let keys = self.shared.keys.load_full();
        if keys.by_id(self.journal.key).is_some() {
            self.journal.keys = keys;
        }
    }

    fn has_new_keys(&self) -> bool {
        !Arc::ptr_eq(&self.shared.keys.load(), &self.journal.keys)
    }

    fn write(&mut self, last: bool) -> io::Result<()> {
        let now = self.clock.now();
        let fresh = self.journal.is_unwritten();
        self.journal.write()?;
        self.metrics.written.inc_by(std::mem::take(&mut self.uncounted));
        self.export();
        let due = match self.fsync {
            Fsync::Each => self.journal.is_pending(),
            Fsync::Interval => {
                let waited = self.clock.moment().since(self.synced) >= self.interval;
                self.journal.is_pending() && (waited || last || self.journal.pending.len() > UNSYNCED)
            }
            Fsync::Off => {
                self.journal.settle();
                false
            }
        };
        if due {
            self.synced = self.clock.moment();
            self.journal.sync(now)?;
        }
        if fresh && self.journal.is_full(now) || self.journal.is_under_old_key() {
            self.next_file(now)?;
        }
        if self.clock.moment().since(self.housekept) >= HOUSEKEEPING {
            self.prune(now);
            self.tell_end();
        }
        Ok(())
    }

    /// Begins the next file. That this does not succeed keeps nobody from writing on in the one there is.
    fn next_file(&mut self, now: Timestamp) -> io::Result<()> {
        self.journal.sync(now)?;
        let moment = self.clock.moment();
        if self.not_before.is_some_and(|not_before| moment < not_before) {
            return Ok(());
        }
        let number = self.journal.number;
        let rolled = self.journal.roll(now);
        if self.journal.number == number {
            self.not_before = Some(moment.after(AGAIN));
            let kind = rolled.err().map_or(io::ErrorKind::Other, |error| error.kind());
            self.log.write(&Event::Audit(Told::Housekeeping(kind)));
            return Ok(());
        }
        rolled?;
        self.export();
        self.tell_end();
        self.prune(now);
        Ok(())
    }

    fn prune(&mut self, now: Timestamp) {
        self.housekept = self.clock.moment();
        match self.journal.prune(now) {
            Ok(None) => {}
            Ok(Some(file)) => self.log.write(&Event::Audit(Told::Pruned(file))),
            Err(error) => self.log.write(&Event::Audit(Told::Housekeeping(error.kind()))),
        }
    }

    /// Sends what was written to the syslog server.
    fn export(&mut self) {
        let fresh = self.journal.fresh();
        if let Some(exporter) = &self.exporter {
            exporter.send(&fresh);
        }
    }

    /// The trail's end, where whoever changes files cannot change it: in the log, which is collected elsewhere.
    fn tell_end(&mut self) {
        let head = self.journal.end();
        if head.seq != self.told && !self.journal.is_unwritten() {
            self.told = head.seq;
            self.log.write(&Event::Audit(Told::End(End {
                seq: head.seq,
                seal: self.journal.seal,
            })));
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if !self.shared.failing.swap(true, Ordering::Relaxed) {
            self.metrics.failing.set(1);
            self.log.write(&Event::Audit(Told::Failing(error.kind())));
        }
    }

    fn recover(&mut self) {
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            self.metrics.failing.set(0);
            self.log.write(&Event::Audit(Told::Works));
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            // So that a reader of the trail knows that something is not in it.
            self.journal.add(self.clock.now(), |line| {
                line.field("kind", line::LOST).field("count", lost);
            });
            self.log.write(&Event::Audit(Told::Lost(lost)));
        }
    }

    /// Tells those who wait for the disk.
    fn publish(&self, good: bool) {
        if self.fsync != Fsync::Each {
            return;
        }
        for source in &self.sources {
            let durable = if good {
                source.taken
            } else {
                source.progress.borrow().durable
            };
            source.progress.send_if_modified(|progress| {
                let new = Progress {
                    durable,
                    failing: !good,
                };
                std::mem::replace(progress, new) != new
            });
        }
    }

    fn show(&self) {
        if !self.journal.is_unwritten() {
            self.shared.written.store(self.journal.seq, Ordering::Release);
        }
        self.metrics
            .sequence
            .set(i64::try_from(self.journal.seq).unwrap_or(i64::MAX));
        self.metrics
            .disk_bytes
            .set(i64::try_from(self.journal.size()).unwrap_or(i64::MAX));
    }

    /// Waits for work.
    fn rest(&mut self, took: bool, failed: bool) {
        if failed {
            return std::thread::park_timeout(PAUSE);
        }
        if took {
            // Under `each` somebody waits; what comes during a sync is gathered by that.
            if self.fsync != Fsync::Each {
                std::thread::park_timeout(GATHER);
            }
            return;
        }
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // A record may have come between the look and the store; whoever added it saw nobody asleep.
        let idle = !self.shared.stopping.load(Ordering::Relaxed) && !self.shared.has_new_sources();
        if idle && !self.has_new_keys() && !self.take() {
            let until_sync = self.interval.saturating_sub(self.clock.moment().since(self.synced));
            let wait = if self.journal.is_pending() {
                until_sync.max(GATHER)
            } else {
                HOUSEKEEPING
            };
            std::thread::park_timeout(wait);
        }
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    fn close(mut self) {
        match self.journal.close(self.clock.now()) {
            Ok(()) => self.tell_end(),
            Err(error) => self.fail(&error),
        }
        self.export();
        self.publish(true);
        self.show();
    }

    /// The end came while nothing can be written.
    fn give_up(mut self) {
        let waiting: usize = self.sources.iter().map(|source| source.queue.try_iter().count()).sum();
        let lost = waiting as u64 + self.uncounted + self.shared.lost.swap(0, Ordering::Relaxed);
        self.metrics
            .lost
            .inc_by(waiting as u64 + std::mem::take(&mut self.uncounted));
        if lost > 0 {
            self.log.write(&Event::Audit(Told::Lost(lost)));
        }
    }
}
