//! The inbox in a file: SQLite with a write-ahead log, `synchronous=FULL`, one thread that writes.
//!
//! | file | is about |
//! |---|---|
//! | `open` | files, keys, settings of the database |
//! | `ring` | the keys in force, and others in their place |
//! | `recover` | what a gateway before had leased |
//! | `schema` | the tables |
//! | `writer` | the thread that writes: many calls, one commit, answers behind it |
//! | `arrive` | append |
//! | `deliver` | lease, settle, resume |
//! | `many` | redeliver, release, remove, retention |
//! | `read` | list, show, stats, verify, on a thread and a connection of their own |
//! | `clock_steps` | what is due, when somebody sets the machine's clock |
//! | `acts` | what operators did, and what they saw |
//! | `neighbours` | what commands do beside a running gateway |
//! | `whole` | all of it, to be copied |
//! | `room` | the disk budget and the write-ahead log |
//!
//! Payloads are sealed and opened by the caller's thread, so that the writer has little to do but to write.

mod acts;
mod arrive;
mod clock_steps;
mod deliver;
mod many;
mod needed;
mod neighbours;
mod open;
mod read;
mod recover;
mod ring;
mod room;
mod schema;
#[cfg(test)]
mod tests;
mod whole;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::keys::Unopened;
use super::metrics::InboxMetrics;
use super::rules::Sharing;
use super::{
    Act, AppendError, Appended, Filter, Inbox, InboxError, Lease, Leases, Outcome, Pace, Receipt, RekeyError, Rekeyed,
    Retained, Run, SettleError, Shown, Stats, Summary, Touched, Verdict,
};
use crate::callback::event::{EventId, NewEvent, Tags};
use crate::clock::Clock;
use crate::tenant::TenantName;
use arrive::Sealed;
use read::Reader;
use ring::Rings;
use writer::Writer;

pub(super) use needed::check_keys;
pub use open::{KeyFiles, OpenError};
pub(super) use whole::Whole;
pub use writer::Abort;

/// The settings of an inbox in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database.
    pub path: PathBuf,
    /// Bytes that database and write-ahead log may take.
    pub max_bytes: u64,
    /// Of these, how many sealed payloads in quarantine may take.
    pub quarantine_max_bytes: u64,
    /// How long payloads of delivered events are kept.
    pub delivered_body: Duration,
    /// How long delivered events are remembered.
    pub delivered_record: Duration,
    /// How long it is remembered what operators did.
    pub acts: Duration,
    /// Calls that may wait for the writer.
    pub queue: usize,
    /// Calls that share a commit.
    pub batch: usize,
    /// Bytes of write-ahead log that are brought into the database.
    pub wal_target_bytes: u64,
    /// Bytes of write-ahead log at which writing waits until they have been.
    pub wal_max_bytes: u64,
    /// How long another process that writes is waited for.
    pub busy_timeout: Duration,
    /// When a shared signature is one too many.
    pub sharing: Sharing,
    /// Whether the database may be on a network disk.
    pub allow_network_disk: bool,
}

impl From<&crate::config::Inbox> for Settings {
    fn from(config: &crate::config::Inbox) -> Self {
        let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 3600);
        let max_bytes = config.max_bytes as u64;
        let wal_max_bytes = (config.wal_max_bytes as u64).min(max_bytes / 4);
        Self {
            path: config.path.clone(),
            max_bytes,
            quarantine_max_bytes: max_bytes / 100 * config.quarantine_percent,
            delivered_body: hours(config.delivered_body),
            delivered_record: hours(config.delivered_record),
            acts: hours(config.acts.saturating_mul(24)),
            queue: config.queue,
            batch: config.batch,
            wal_target_bytes: (config.wal_target_bytes as u64).min(wal_max_bytes),
            wal_max_bytes,
            busy_timeout: config.busy_timeout,
            sharing: Sharing {
                late: config.shared_late,
                bodies: config.shared_bodies,
            },
            allow_network_disk: config.allow_network_disk,
        }
    }
}

/// Who opens an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The gateway that fills and empties it; there is one at a time. Leases of its predecessor are up again.
    Gateway,
    /// A command beside it.
    Command,
}

/// What an inbox needs beside its settings.
pub struct Parts {
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<InboxMetrics>,
    /// Ends the process when the state of the database is unknown.
    pub abort: Abort,
}

/// The inbox in a file.
pub struct Sqlite {
    ring: Rings,
    tags: Tags,
    clock: Clock,
    settings: Arc<Settings>,
    writer: Writer,
    reader: Arc<Reader>,
    changes: watch::Sender<u64>,
    /// Looks for what commands do beside this gateway.
    _neighbours: Option<neighbours::Neighbours>,
    /// Held as long as this is the gateway's inbox.
    _lock: Option<std::fs::File>,
    #[cfg(test)]
    faults: writer::Faults,
}

/// A call's answer.
type Answer<T, E = InboxError> = BoxFuture<'static, Result<T, E>>;

impl Sqlite {
    fn hands(&self) -> many::Hands {
        many::Hands {
            calls: self.writer.calls().clone(),
            reader: Arc::clone(&self.reader),
            clock: self.clock.clone(),
        }
    }

    fn opener(&self) -> Opener {
        self.ring.clone()
    }
}

/// Opens sealed payloads.
type Opener = Rings;

impl Inbox for Sqlite {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn append(&self, event: NewEvent) -> Answer<Appended, AppendError> {
        let ring = self.ring.hold();
        let Ok(sealed) = Sealed::new(event, ring.keys.current(), ring.number, self.clock.now()) else {
            return std::future::ready(Err(InboxError::Failed.into())).boxed();
        };
        let call = self.writer.calls().offer(move |store| store.append(&sealed));
        drop(ring);
        async move {
            let taken = match call.ok_or(AppendError::Busy)?.await {
                Err(InboxError::DiskFull) => return Err(AppendError::Full),
                answer => answer??,
            };
            // The writer answers behind its commit.
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
        deliver::lease(
            self.writer.calls().clone(),
            self.opener(),
            tenant.clone(),
            limit,
            period,
        )
        .boxed()
    }

    fn settle(&self, lease: Lease, outcome: Outcome) -> Answer<(), SettleError> {
        let call = self.writer.calls().call(move |store| store.settle(lease, &outcome));
        async move { call.await? }.boxed()
    }

    fn resume(&self, tenant: &TenantName) -> Answer<bool> {
        let tenant = tenant.clone();
        self.writer.calls().call(move |store| store.resume(&tenant)).boxed()
    }

    fn park(&self, tenant: &TenantName) -> Answer<bool> {
        let tenant = tenant.clone();
        self.writer.calls().call(move |store| store.park(&tenant)).boxed()
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
        self.reader
            .call(move |connection| read::list(connection, &filter, after, limit))
    }

    fn show(&self, id: EventId) -> Answer<Option<Shown>> {
        let opener = self.opener();
        let found = self.reader.call(move |connection| read::show(connection, id));
        async move {
            let Some(found) = found.await? else { return Ok(None) };
            found.open(&opener).map(Some).map_err(|_| InboxError::Unreadable)
        }
        .boxed()
    }

    fn stats(&self) -> Answer<Stats> {
        let settings = Arc::clone(&self.settings);
        self.reader.call(move |connection| read::stats(connection, &settings))
    }

    fn verify(&self) -> Answer<Verdict> {
        let opener = self.opener();
        self.reader
            .call(move |connection| read::verify(connection, |sealed| sealed.open(&opener).is_ok()))
    }

    fn note(&self, act: Act) -> Answer<()> {
        self.writer.calls().call(move |store| store.note(&act)).boxed()
    }

    fn acts(&self, after: u64, limit: usize) -> Answer<Vec<(u64, Act)>> {
        self.reader.call(move |connection| acts::list(connection, after, limit))
    }

    fn reconciles(&self, tenant: &TenantName) -> Answer<Timestamp> {
        let tenant = tenant.clone();
        let call = self.writer.calls().call(move |store| store.reconciles(tenant.as_str()));
        async move { call.await.map(read::timestamp) }.boxed()
    }

    fn rekey(&self, files: KeyFiles) -> Answer<Option<Rekeyed>, RekeyError> {
        ring::rekey(self.ring.clone(), self.writer.calls().clone(), files).boxed()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
