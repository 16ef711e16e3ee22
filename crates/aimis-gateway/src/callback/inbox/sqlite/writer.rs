//! The thread that writes: many calls, one commit, answers behind it.
//!
//! Calls wait in a bounded queue. The thread takes what is there, runs all of it in one transaction, commits, and only
//! then answers: a single call costs one sync, and while that runs the next ones gather. A statement that fails
//! undoes the transaction, and its calls are run again one by one, so that one bad call harms no other.
//!
//! An error of the disk is another matter. After a failed sync nobody can say what is on the disk (a second sync may
//! succeed without the pages of the first), so nothing is acknowledged any more and the process ends. The next
//! start reads what there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use aimis_core::sign::Timestamp;
use rusqlite::{Connection, Error, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock_steps::Steps;
use super::room::{Room, reuse_log};
use super::{Parts, Role, Settings};
use crate::callback::inbox::InboxError;
use crate::callback::inbox::metrics::InboxMetrics;
use crate::clock::Clock;

/// Ends the process. It is told what failed, in words of ours. Where it returns, as in tests, the inbox answers
/// [`InboxError::Broken`] from then on.
pub type Abort = Arc<dyn Fn(&'static str) + Send + Sync>;

/// What the writing thread has.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<InboxMetrics>,
    /// Counts up whenever there may be more to lease. It is changed before the commit: whoever is woken by it queues
    /// behind it.
    pub(super) changes: watch::Sender<u64>,
    pub(super) room: Room,
    steps: Steps,
    abort: Abort,
    role: Role,
    broken: bool,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// Tests make commits fail.
#[cfg(test)]
pub(super) type Faults = Arc<std::sync::Mutex<Vec<std::ffi::c_int>>>;

impl Store {
    pub(super) fn new(
        connection: Connection,
        settings: Arc<Settings>,
        role: Role,
        parts: Parts,
        changes: watch::Sender<u64>,
        room: Room,
    ) -> Self {
        let Parts { clock, metrics, abort } = parts;
        Self {
            steps: Steps::new(&clock),
            connection,
            settings,
            clock,
            metrics,
            changes,
            room,
            abort,
            role,
            broken: false,
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    /// There may be more to lease than before.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn serve(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        if self.broken {
            return jobs.drain(..).for_each(|job| job.answer(Err(InboxError::Broken)));
        }
        match self.commit_within_room(jobs) {
            Ok(()) => jobs.drain(..).for_each(|job| job.answer(Ok(()))),
            Err(error) if is_fatal(&error) => self.break_down(jobs),
            Err(error) if jobs.len() == 1 => {
                let error = refusal(&error);
                jobs.drain(..).for_each(|job| job.answer(Err(error)));
            }
            Err(_) => {
                for job in jobs.drain(..) {
                    self.serve(&mut vec![job]);
                }
            }
        }
    }

    /// A disk that is full still has the room of the log, which can be written anew once it is in the database.
    fn commit_within_room(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        match self.commit(jobs) {
            Err(error) if refusal(&error) == InboxError::DiskFull => {
                reuse_log(&self.connection)?;
                self.commit(jobs)
            }
            committed => committed,
        }
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let committed = self.run(jobs);
        // Some failures undo the transaction themselves.
        if committed.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        committed
    }

    fn run(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.follow_clock()?;
        self.room.look(&self.connection)?;
        for job in jobs {
            job.run(self)?;
        }
        #[cfg(test)]
        self.fail_as_told()?;
        let start = self.clock.moment();
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        let took = self.clock.moment().since(start);
        self.metrics.fsync_seconds.observe(took.as_secs_f64());
        Ok(())
    }

    #[cfg(test)]
    fn fail_as_told(&self) -> rusqlite::Result<()> {
        match self.faults.lock().expect("no test panics holding it").pop() {
            Some(code) => Err(Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)),
            None => Ok(()),
        }
    }

    /// The time of this transaction. One for all of it, and the one that what is due was moved by: a clock that is set
    /// meanwhile is the next one's.
    pub(super) fn now(&self) -> Timestamp {
        self.steps.now
    }

    /// When the machine's clock was set, what is due moves with it: no event is put off by a day, and no lease runs
    /// out at once, because somebody corrected the time. So does what tells the next start by which clock it is due.
    fn follow_clock(&mut self) -> rusqlite::Result<()> {
        if let Some(step) = self.steps.observe(&self.clock) {
            self.connection.execute(
                "UPDATE events SET due_at = max(due_at + ?1, 0), since = max(since + ?1, 0) WHERE state < 3",
                [step],
            )?;
        }
        Ok(())
    }

    fn break_down(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        self.broken = true;
        (self.abort)("a write of the inbox failed, and what is on the disk is unknown");
        jobs.drain(..).for_each(|job| job.answer(Err(InboxError::Broken)));
    }

    /// What is done between commits, when everyone has an answer.
    fn tidy(&mut self) {
        if self.broken {
            return;
        }
        let tidied = self.room.shrink_log(&self.connection, &self.settings).and_then(|()| {
            let (stats, room) = (super::read::counts(&self.connection)?, &self.room);
            self.metrics.show(&stats, room.bytes_on_disk());
            Ok(())
        });
        if tidied.is_err_and(|error| is_fatal(&error)) {
            self.break_down(&mut Vec::new());
        }
    }
}

/// Whether the state of the database is unknown after this error.
fn is_fatal(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else {
        return false;
    };
    let no_room_for_index = failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    !no_room_for_index
        && matches!(
            failure.code,
            ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
        )
}

/// An error that undid what it belongs to, as callers learn it.
pub(super) fn refusal(error: &Error) -> InboxError {
    match error {
        Error::SqliteFailure(failure, _)
            if failure.code == ErrorCode::DiskFull || failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
        {
            InboxError::DiskFull
        }
        _ => InboxError::Failed,
    }
}

/// A call that waits for its commit. It may be run more than once; only what is committed is answered.
trait Job: Send {
    fn run(&mut self, store: &mut Store) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), InboxError>);
}

struct Call<T, F> {
    work: F,
    made: Option<T>,
    reply: oneshot::Sender<Result<T, InboxError>>,
}

impl<T: Send, F: FnMut(&mut Store) -> rusqlite::Result<T> + Send> Job for Call<T, F> {
    fn run(&mut self, store: &mut Store) -> rusqlite::Result<()> {
        self.made = Some((self.work)(store)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), InboxError>) {
        let Self { made, reply, .. } = *self;
        // The caller may have gone; what it asked for is done all the same.
        let _ = reply.send(committed.and_then(|()| made.ok_or(InboxError::Failed)));
    }
}

/// Asks the writing thread.
#[derive(Clone)]
pub(super) struct Calls(mpsc::Sender<Box<dyn Job>>);

impl Calls {
    /// Asks for `work`, unless the queue is full.
    pub(super) fn offer<T: Send + 'static, W>(
        &self,
        work: W,
    ) -> Option<impl Future<Output = Result<T, InboxError>> + Send + use<T, W>>
    where
        W: FnMut(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    {
        let (job, answer) = job(work);
        match self.0.try_send(job) {
            Err(mpsc::error::TrySendError::Full(_)) => None,
            // A closed queue dropped the job, and with it the sender of the answer.
            _ => Some(async move { answer.await.unwrap_or(Err(InboxError::Closed)) }),
        }
    }

    /// Asks for `work`, once the queue has room.
    pub(super) fn call<T: Send + 'static, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, InboxError>> + Send + use<T, W>
    where
        W: FnMut(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    {
        let (job, answer) = job(work);
        let queue = self.0.clone();
        async move {
            queue.send(job).await.map_err(|_| InboxError::Closed)?;
            drop(queue);
            answer.await.unwrap_or(Err(InboxError::Closed))
        }
    }
}

/// The writing thread. Dropping this lets it finish what waits, and waits for that.
pub(super) struct Writer {
    calls: Calls,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(store: Store) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(store.settings.queue);
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("aimis-inbox".to_owned())
            .spawn(move || write(store, jobs, &told))?;
        Ok(Self {
            calls: Calls(queue),
            stopping,
            thread: Some(thread),
        })
    }

    /// A handle to ask with.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }
}

fn job<T: Send + 'static>(
    work: impl FnMut(&mut Store) -> rusqlite::Result<T> + Send + 'static,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, InboxError>>) {
    let (reply, answer) = oneshot::channel();
    let call = Call {
        work,
        made: None,
        reply,
    };
    (Box::new(call), answer)
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // A call that does nothing wakes the thread; where there is no room for it, it is awake.
        drop(self.calls.offer(|_| Ok(())));
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told and has ended the process by then.
            let _ = thread.join();
        }
    }
}

/// Ends the process when the thread panics: calls would wait in vain.
struct OnPanic(Abort);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)("the thread that writes the inbox panicked");
        }
    }
}

fn write(mut store: Store, mut queue: mpsc::Receiver<Box<dyn Job>>, stopping: &AtomicBool) {
    let _on_panic = OnPanic(Arc::clone(&store.abort));
    let batch = store.settings.batch;
    let mut jobs = Vec::with_capacity(batch);
    store.tidy();
    while !(stopping.load(Ordering::Acquire) && queue.is_empty()) {
        if queue.blocking_recv_many(&mut jobs, batch) == 0 {
            break;
        }
        store.serve(&mut jobs);
        store.tidy();
    }
    // A command leaves the log to the gateway that may be running, and does not make it wait.
    if !store.broken && store.role == Role::Gateway {
        // What stays in the log is as safe; the next start is quicker without.
        let _ = store.room.empty_log(&store.connection);
    }
}
