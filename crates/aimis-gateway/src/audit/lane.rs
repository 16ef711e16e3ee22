//! A worker's way into the trail: a bounded queue of its own, without a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::keys::Keys;
use super::operator::Operator;
use super::record::Record;
use super::tags::Tagger;
use super::writer::Source;
use crate::clock::Clock;
use crate::config::OnFailure;
use crate::telemetry::audit::AuditMetrics;

/// A pause before a further try to find room.
const TRY_AGAIN: Duration = Duration::from_millis(1);

/// A record cannot be written, so what it is about must not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written")]
pub struct Unwritable;

/// How far a queue's records got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// So many are durable.
    pub(super) durable: u64,
    /// Nothing can be written just now.
    pub(super) failing: bool,
}

/// What workers and the writer share.
pub(super) struct Shared {
    /// Replaced as a whole by a reload.
    pub(super) keys: ArcSwap<Keys>,
    pub(super) on_failure: OnFailure,
    /// Whether whoever adds a record waits until it is durable.
    pub(super) each: bool,
    pub(super) max_wait: Duration,
    pub(super) queue: usize,
    pub(super) metrics: Arc<AuditMetrics>,
    /// Nothing can be written just now.
    pub(super) failing: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// The writer waits to be woken; whoever clears this has to wake it.
    pub(super) asleep: AtomicBool,
    pub(super) writer: OnceLock<Thread>,
    /// The number of the last record that is in the files; 0 before the first.
    pub(super) written: AtomicU64,
    /// Records that could not be kept since the trail last said so.
    pub(super) lost: AtomicU64,
    /// Queues that the writer does not know yet.
    pub(super) new: Mutex<Vec<Source>>,
}

impl Shared {
    pub(super) fn new_sources(&self) -> Vec<Source> {
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_new_sources(&self) -> bool {
        !self.new.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn wake(&self) {
        // With the writer's own: either it sees what was added, or it is seen asleep here.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::Relaxed)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

/// A thread's handle on the trail. Its clones share a queue, so a thread asks for one of its own
/// ([`super::Audit::lane`]).
#[derive(Clone)]
pub struct Auditor {
    queue: SyncSender<Box<Record>>,
    /// Records added so far.
    added: Arc<AtomicU64>,
    progress: watch::Receiver<Progress>,
    shared: Arc<Shared>,
    clock: Clock,
}

impl Auditor {
    pub(super) fn new(shared: &Arc<Shared>, clock: Clock) -> Self {
        let (queue, receiver) = sync_channel(shared.queue);
        let (sender, progress) = watch::channel(Progress::default());
        let source = Source {
            queue: receiver,
            progress: sender,
            taken: 0,
        };
        shared.new.lock().unwrap_or_else(PoisonError::into_inner).push(source);
        shared.wake();
        Self {
            queue,
            added: Arc::default(),
            progress,
            shared: Arc::clone(shared),
            clock,
        }
    }

    /// The time that records carry.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes the tags of persons.
    pub fn tagger(&self) -> Tagger {
        self.shared.keys.load().current().tagger.clone()
    }

    /// The user that a header names.
    pub fn operator(&self, value: &http::HeaderValue) -> Option<Operator> {
        Operator::read(value, &self.shared.keys.load().current().tagger)
    }

    /// Whether what would be recorded may be done. Asked before it is done; [`Self::record`] has the last word.
    ///
    /// # Errors
    /// [`Unwritable`] while records cannot be written, under `on_failure = "refuse"`.
    pub fn ready(&self) -> Result<(), Unwritable> {
        if self.shared.failing.load(Ordering::Relaxed) && self.shared.on_failure == OnFailure::Refuse {
            self.shared.metrics.refused.inc();
            return Err(Unwritable);
        }
        Ok(())
    }

    /// Adds a record. What it is about may be done when this returns: under `fsync = "each"` it is durable then.
    ///
    /// # Errors
    /// [`Unwritable`] when it cannot be kept, under `on_failure = "refuse"`. It may be written all the same: there can be
    /// a record of a look-up that was refused in the end, never the other way round.
    pub async fn record(&self, record: Box<Record>) -> Result<(), Unwritable> {
        let added = match self.queue.try_send(record) {
            Ok(()) => self.added(),
            Err(TrySendError::Full(record) | TrySendError::Disconnected(record)) => {
                match self.wait_for_room(record).await {
                    Some(added) => added,
                    None => return self.lost(),
                }
            }
        };
        if self.shared.each {
            self.durable(added).await
        } else {
            Ok(())
        }
    }

    fn added(&self) -> u64 {
        let added = self.added.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.wake();
        added
    }

    async fn wait_for_room(&self, mut record: Box<Record>) -> Option<u64> {
        let mut waited = Duration::ZERO;
        // With a disk that fails there will be none.
        while waited < self.shared.max_wait && !self.shared.failing.load(Ordering::Relaxed) {
            tokio::time::sleep(TRY_AGAIN).await;
            waited += TRY_AGAIN;
            match self.queue.try_send(record) {
                Ok(()) => return Some(self.added()),
                Err(TrySendError::Full(back)) => record = back,
                Err(TrySendError::Disconnected(_)) => return None,
            }
        }
        None
    }

    fn lost(&self) -> Result<(), Unwritable> {
        match self.shared.on_failure {
            OnFailure::Refuse => {
                self.shared.metrics.refused.inc();
                Err(Unwritable)
            }
            OnFailure::Continue => {
                self.shared.metrics.lost.inc();
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    async fn durable(&self, added: u64) -> Result<(), Unwritable> {
        let mut progress = self.progress.clone();
        let done = |progress: &Progress| progress.durable >= added || progress.failing;
        let durable = match tokio::time::timeout(self.shared.max_wait, progress.wait_for(done)).await {
            Ok(Ok(progress)) => progress.durable >= added,
            Ok(Err(_)) | Err(_) => false,
        };
        match self.shared.on_failure {
            OnFailure::Refuse if !durable => {
                self.shared.metrics.refused.inc();
                Err(Unwritable)
            }
            // It waits in memory, and is written when that is possible again.
            OnFailure::Refuse | OnFailure::Continue => Ok(()),
        }
    }
}
