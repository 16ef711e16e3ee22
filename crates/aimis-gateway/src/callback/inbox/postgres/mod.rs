//! The inbox in PostgreSQL: for gateways that share it, so that what one of them took another one delivers.
//!
//! | file | is about |
//! |---|---|
//! | `open` | tables and keys, before anything is served |
//! | `schema` | the tables, migrations, and the locks that belong to no row |
//! | `session` | one connection: TLS, time-outs, what a commit is worth |
//! | `line` | a connection that is made again when it is lost, and the calls that wait for it |
//! | `committing` | whether a commit is what is waited for |
//! | `arrive` | append: many arrivals, one transaction |
//! | `deliver` | lease, settle, park, resume |
//! | `many` | redeliver, release, remove, retention |
//! | `read` | list, show, stats, verify |
//! | `wake` | what other gateways do; whether the database is there |
//! | `acts` | what operators did, and what they saw |
//! | `room` | the budget |
//! | `whole` | all of it, to be copied |
//! | `rows` | values as the database has them |
//!
//! Everything runs on one thread with five connections: arrivals, ends of leases, other work, long looks, listening.
//! Payloads are sealed and opened by the caller's thread.
//!
//! # Which commits count
//!
//! An arrival is answered behind its commit, with `synchronous_commit` on whatever the server has for others: it is on
//! the server's disk, and on its synchronous standbys where there are any. A server without `fsync` is refused.
//!
//! A commit whose answer does not come (the connection broke, the time was up, the standby was given up) may have
//! happened or not. Where the file's inbox ends the process then, since nobody else can say what is on its disk, here
//! the database itself knows, and nothing needs to end: the arrival is **not acknowledged**, so the platform sends it
//! again. If the commit did happen, that one is a duplicate, which is acknowledged on the strength of the stored one,
//! in a transaction that has a record of its own in the log: so it is answered only when the log up to there, with the
//! stored event in it, is as safe as any commit. If it did not happen, it is the first. Either way it is delivered once by id.
//! The same holds for the end of a lease: a delivery that could not be noted is made again, under the same id.
//!
//! # How replicas keep out of each other's way
//!
//! A transaction that decides about a study first takes the study's lock, and its signature's; in one order, so that
//! no two wait for each other. That a study has one event that can be leased is an index of the database. Leases are
//! numbered, their times are the database's. A gateway leases what it has the key for, so keys can be changed one
//! gateway after the other.

mod acts;
mod arrive;
mod committing;
mod deliver;
mod line;
mod many;
mod open;
mod read;
mod ring;
mod room;
mod rows;
mod schema;
mod session;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod wake;
mod whole;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::metrics::InboxMetrics;
use super::rules::Sharing;
use super::sqlite::{Abort, KeyFiles, Role};
use super::{
    Act, AppendError, Appended, Filter, Inbox, InboxError, Lease, Leases, Outcome, Pace, Receipt, RekeyError, Rekeyed,
    Retained, Run, SettleError, Shown, Stats, Summary, Touched, Verdict,
};
use crate::callback::event::{EventId, NewEvent, Tags};
use crate::clock::Clock;
use crate::tenant::TenantName;
use arrive::{Arrival, Sealed};
use committing::Committing;
use deliver::Endings;
use line::{Calls, Line};
use ring::{Ring, Rings};
use room::Room;
use session::{Connector, Session, Use};

pub use open::OpenError;
pub use session::{Reach, ReachError, Time};
pub use wake::{Contact, OnContact};
pub(super) use whole::Whole;

/// What time it is, by the clock of [`Time`].
const NOW: &str = "SELECT now_ms($1)";

/// The settings of an inbox in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The way there.
    pub reach: Reach,
    /// How long a database that is away is waited for at the start.
    pub start_timeout: Duration,
    /// How often is looked for what others did.
    pub poll: Duration,
    /// Bytes that events may take.
    pub max_bytes: u64,
    /// Of these, how many sealed payloads in quarantine may take.
    pub quarantine_max_bytes: u64,
    /// How long payloads of delivered events are kept.
    pub delivered_body: Duration,
    /// How long delivered events are remembered.
    pub delivered_record: Duration,
    /// How long it is remembered what operators did.
    pub acts: Duration,
    /// Calls that may wait.
    pub queue: usize,
    /// Calls that share a commit.
    pub batch: usize,
    /// When a shared signature is one too many.
    pub sharing: Sharing,
}

impl Settings {
    /// Those of a configuration, if its inbox is in a database.
    pub fn of(config: &crate::config::Inbox) -> Option<Self> {
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        let max_bytes = config.max_bytes as u64;
        Some(Self {
            reach: Reach {
                url: config.database_url.clone()?,
                password_file: config.database_password_file.clone(),
                ca_file: config.database_ca_file.clone(),
                connect_timeout: config.database_connect_timeout,
                answer_timeout: config.database_answer_timeout,
                statement_timeout: config.database_statement_timeout,
                lock_timeout: config.database_lock_timeout,
                read_timeout: config.database_read_timeout,
                reconnect_max: config.database_reconnect_max,
                keepalive: config.database_keepalive,
                tcp_user_timeout: config.database_tcp_user_timeout,
            },
            start_timeout: config.database_start_timeout,
            poll: config.database_poll,
            max_bytes,
            quarantine_max_bytes: max_bytes / 100 * config.quarantine_percent,
            delivered_body: hours(config.delivered_body),
            delivered_record: hours(config.delivered_record),
            acts: hours(config.acts.saturating_mul(24)),
            queue: config.queue,
            batch: config.batch,
            sharing: Sharing {
                late: config.shared_late,
                bodies: config.shared_bodies,
            },
        })
    }
}

/// What such an inbox needs beside its settings.
pub struct Parts {
    /// This gateway's time.
    pub clock: Clock,
    /// The time of leases.
    pub time: Time,
    /// What is counted.
    pub metrics: Arc<InboxMetrics>,
    /// Hears when the database is lost and found.
    pub on_contact: OnContact,
    /// Ends the process when the thread of the inbox panics: nobody would get an answer any more.
    pub abort: Abort,
}

/// What all connections share.
struct Common {
    settings: Settings,
    rings: Rings,
    clock: Clock,
    time: Time,
    metrics: Arc<InboxMetrics>,
    room: Room,
    /// Counts up whenever there may be more to lease.
    changes: watch::Sender<u64>,
    /// Counts up whenever this gateway changed something, which others are told of.
    done: watch::Sender<u64>,
}

impl Common {
    /// There may be more to lease than before.
    fn wake(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The same, and it was this gateway that changed something.
    fn changed(&self) {
        self.wake();
        self.done.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The inbox in a database.
pub struct Postgres {
    common: Arc<Common>,
    tags: Tags,
    arrivals: Option<mpsc::Sender<Arrival>>,
    /// Whether the database owes a commit of arrivals.
    committing: Committing,
    hands: Option<Queues>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// The ways to ask.
#[derive(Clone)]
struct Queues {
    endings: Endings,
    work: Calls,
    read: Calls,
}

/// A call's answer.
type Answer<T, E = InboxError> = BoxFuture<'static, Result<T, E>>;

impl Postgres {
    /// Opens the inbox, and makes it if `role` is the gateway and it is not there. Waits for a database that is away.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running then.
    pub fn open(settings: Settings, keys: &KeyFiles, role: Role, parts: Parts) -> Result<Self, OpenError> {
        let (opened, open) = std::sync::mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let keys = keys.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("aimis-inbox".to_owned())
            .spawn(move || {
                let _on_panic = OnPanic(Arc::clone(&parts.abort));
                runtime.block_on(run(settings, keys, role, parts, opened, stopped));
                // A name that is being looked up is not waited for.
                runtime.shutdown_background();
            })?;
        let Ok(ready) = open.recv() else {
            return Err(OpenError::Statement("defect"));
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                // It ends by itself.
                let _ = thread.join();
                return Err(error);
            }
        };
        Ok(Self {
            common: ready.common,
            tags: ready.tags,
            arrivals: Some(ready.arrivals),
            committing: ready.committing,
            hands: Some(ready.queues),
            stop,
            thread: Some(thread),
        })
    }

    fn queues(&self) -> &Queues {
        self.hands.as_ref().expect("they go when this is dropped")
    }

    fn hands(&self) -> many::Hands {
        let Queues { work, read, .. } = self.queues().clone();
        many::Hands {
            work,
            read,
            common: Arc::clone(&self.common),
        }
    }

    fn work<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Session, &Common) -> Result<T, session::Fault> + Send + 'static,
    ) -> Answer<T> {
        let common = Arc::clone(&self.common);
        self.queues()
            .work
            .call(async move |session: &mut Session| work(session, &common).await)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What waits is still done.
        drop((self.arrivals.take(), self.hands.take()));
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told by then.
            let _ = thread.join();
        }
    }
}

struct OnPanic(Abort);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)("the thread of the inbox panicked");
        }
    }
}

struct Ready {
    common: Arc<Common>,
    tags: Tags,
    arrivals: mpsc::Sender<Arrival>,
    committing: Committing,
    queues: Queues,
}

/// The thread: opens, then serves until nobody can ask any more.
async fn run(
    settings: Settings,
    keys: KeyFiles,
    role: Role,
    parts: Parts,
    opened: std::sync::mpsc::Sender<Result<Ready, OpenError>>,
    stop: watch::Receiver<bool>,
) {
    let patience = match role {
        Role::Gateway => settings.start_timeout,
        Role::Command => Duration::ZERO,
    };
    let begun = async {
        let connector = Connector::new(Arc::new(settings.reach.clone()))?;
        let found = open::open(&connector, &keys, role, patience).await?;
        Ok::<_, OpenError>((connector, found))
    };
    let (connector, found) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            // Whoever opens waits for this.
            let _ = opened.send(Err(error));
            return;
        }
    };
    parts.metrics.show_limit(settings.max_bytes);
    let common = Arc::new(Common {
        room: Room::new(settings.max_bytes),
        settings,
        rings: Rings::new(Ring {
            keys: found.keys,
            key: found.key,
            known: found.known,
        }),
        clock: parts.clock,
        time: parts.time,
        metrics: parts.metrics,
        changes: watch::channel(0).0,
        done: watch::channel(0).0,
    });
    let (notified, notifications) = watch::channel(0);
    let (silent, heard) = watch::channel(false);
    let line = |usage| Line::new(connector.clone(), usage, notified.clone(), heard.clone());
    let (arrivals, arrived) = mpsc::channel(common.settings.queue);
    let arriving = line(Use::Work);
    let (endings, ended) = mpsc::channel(common.settings.queue);
    let (work, to_do) = Calls::new(common.settings.queue);
    let (read, to_read) = Calls::new(common.settings.queue);
    let ready = Ready {
        common: Arc::clone(&common),
        tags: found.tags,
        arrivals,
        committing: arriving.committing(),
        queues: Queues {
            endings: Endings(endings),
            work,
            read,
        },
    };
    let listener = wake::Listener::new(
        Arc::clone(&common),
        line(Use::Work),
        notifications,
        silent,
        parts.on_contact,
    );
    if opened.send(Ok(ready)).is_err() {
        return;
    }
    let mut stopped = stop.clone();
    let serve = async {
        let listen = async {
            if role == Role::Gateway {
                listener.run(stop).await;
            }
        };
        tokio::join!(
            arrive::serve(arriving, arrived, &common),
            deliver::serve(line(Use::Work), ended, &common),
            line::serve(line(Use::Work), to_do),
            line::serve(line(Use::Read), to_read),
            listen,
        );
    };
    // What waits is still done, but a database that says nothing holds up no end of a process: what it was asked last is
    // as unknown as after a cut, and nobody was told otherwise.
    let given_up = async {
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(connector.reach().answer_timeout).await;
    };
    tokio::select! {
        () = serve => {}
        () = given_up => {}
    }
    connector.cancelled().await;
}

impl Inbox for Postgres {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn append(&self, event: NewEvent) -> Answer<Appended, AppendError> {
        let Ok(sealed) = Sealed::new(event, &self.common.rings.now(), self.common.clock.now()) else {
            return std::future::ready(Err(InboxError::Failed.into())).boxed();
        };
        let (reply, answer) = oneshot::channel();
        let arrivals = self.arrivals.as_ref().expect("it goes when this is dropped");
        let offered = arrivals.try_send(Arrival { sealed, reply });
        let patience = self.common.settings.reach.answer_timeout;
        let committing = self.committing.clone();
        async move {
            match offered {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => return Err(AppendError::Busy),
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(InboxError::Closed.into()),
            }
            // Whoever waited for so long is told that nothing was stored. If it comes about all the same, what is sent again
            // is known as a duplicate; what was not begun by then is left.
            let answered = tokio::time::timeout(patience, answer).await;
            let answered = answered.map_err(|_elapsed| committing.late().told())?;
            let taken = answered.unwrap_or(Err(InboxError::Closed.into()))?;
            // The answer comes behind the commit.
            Ok(Appended {
                receipt: Receipt::after_commit(),
                event: taken.event,
                kind: taken.kind,
                verified: taken.verified,
            })
        }
        .boxed()
    }

    fn lease(&self, tenant: &TenantName, limit: usize, period: Duration) -> Answer<Leases> {
        let Queues { endings, work, .. } = self.queues().clone();
        let common = Arc::clone(&self.common);
        deliver::lease(work, endings, common, tenant.clone(), limit, period).boxed()
    }

    fn settle(&self, lease: Lease, outcome: Outcome) -> Answer<(), SettleError> {
        self.queues().endings.clone().settle(lease, outcome).boxed()
    }

    fn rekey(&self, files: KeyFiles) -> Answer<Option<Rekeyed>, RekeyError> {
        let work = self.queues().work.clone();
        ring::rekey(Arc::clone(&self.common), work, files).boxed()
    }

    fn resume(&self, tenant: &TenantName) -> Answer<bool> {
        let tenant = tenant.clone();
        self.work(async move |session, common| deliver::resume(session, common, &tenant).await)
    }

    fn park(&self, tenant: &TenantName) -> Answer<bool> {
        let tenant = tenant.clone();
        self.work(async move |session, common| deliver::park(session, common, &tenant).await)
    }

    fn redeliver(&self, filter: Filter, pace: Pace, run: Run) -> Answer<Touched> {
        many::redeliver(self.hands(), filter, pace, run).boxed()
    }

    fn release(&self, filter: Filter, run: Run) -> Answer<Touched> {
        many::release(self.hands(), filter, run).boxed()
    }

    fn remove(&self, filter: Filter, run: Run) -> Answer<Touched> {
        many::remove(self.hands(), filter, run).boxed()
    }

    fn retain(&self) -> Answer<Retained> {
        many::retain(self.hands()).boxed()
    }

    fn list(&self, filter: Filter, after: Option<EventId>, limit: usize) -> Answer<Vec<Summary>> {
        let read = &self.queues().read;
        read.call(async move |session: &mut Session| read::list(session, &filter, after, limit).await)
    }

    fn show(&self, id: EventId) -> Answer<Option<Shown>> {
        let common = Arc::clone(&self.common);
        let read = &self.queues().read;
        let found = read.call(async move |session: &mut Session| read::show(session, id).await);
        async move {
            let Some(found) = found.await? else { return Ok(None) };
            found
                .open(&common.rings.now())
                .map(Some)
                .map_err(|_| InboxError::Unreadable)
        }
        .boxed()
    }

    fn stats(&self) -> Answer<Stats> {
        let max_bytes = self.common.settings.max_bytes;
        let read = &self.queues().read;
        read.call(async move |session: &mut Session| read::stats(session, max_bytes).await)
    }

    fn verify(&self) -> Answer<Verdict> {
        let common = Arc::clone(&self.common);
        let read = &self.queues().read;
        read.call(async move |session: &mut Session| read::verify(session, &common).await)
    }

    fn note(&self, act: Act) -> Answer<()> {
        self.work(async move |session, _| acts::note(session, &act).await)
    }

    fn acts(&self, after: u64, limit: usize) -> Answer<Vec<(u64, Act)>> {
        let read = &self.queues().read;
        read.call(async move |session: &mut Session| acts::list(session, after, limit).await)
    }

    fn reconciles(&self, tenant: &TenantName) -> Answer<Timestamp> {
        let tenant = tenant.clone();
        let from = self.work(async move |session, common| acts::reconciles(session, common, tenant.as_str()).await);
        async move { from.await.map(rows::timestamp) }.boxed()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.common.changes.subscribe()
    }
}
