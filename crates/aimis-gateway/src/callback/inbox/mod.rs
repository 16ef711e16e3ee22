//! The inbox: where events are kept from before the platform's acknowledgement until the HIS has them.
//!
//! # States
//!
//! ```text
//!   append ──► ready ──lease──► in_flight ──settle──► delivered
//!     │          ▲               │  │  │
//!     │          └──── parked ───┘  │  └── dead ──► dead
//!     │                             └── retry ───► retrying ──lease──► in_flight
//!     └──► quarantined ──release──► ready
//!   delivered, dead ──redeliver──► ready
//! ```
//!
//! A lease that is not settled in time is up again: an `in_flight` event past its deadline is leased like a
//! `retrying` one whose time has come.
//!
//! # What always holds
//!
//! 1. An event is durable before its [`Receipt`] exists, and only the inbox can make one.
//! 2. What was acknowledged is in exactly one state, until retention or an operator removes it. Time alone
//!    removes nothing but delivered events.
//! 3. There is one event for each identity and body. The same again is a duplicate and is acknowledged without being
//!    stored; another body under the same identity is an update and an event of its own.
//! 4. Of one study, at most one event is leased at a time, and none before every earlier one that is still to be
//!    delivered. Dead and quarantined events do not hold up those behind them: released or delivered again, they
//!    queue behind what their study has by then. Studies do not wait for each other.
//! 5. A lease is settled by its holder or not at all: once the event was leased again, the old lease is
//!    [`SettleError::Lost`].
//! 6. A signature that already came with another body is [`Verified::Shared`], and puts the event in quarantine when
//!    that was over 60 s ago or the body is its seventeenth. The signatures are part of the store: a restart forgets none.
//! 7. Payloads are sealed under a key that is not in the store, each bound to its tenant and event id. Outside are
//!    only states, times, the tenant's name and keyed tags.
//! 8. After a failed commit of unknown outcome nothing more is acknowledged, and the process ends.

pub mod sqlite;

mod disk;
mod keys;
mod metrics;
#[cfg(test)]
mod model;
mod receipt;
mod rules;
#[cfg(test)]
mod testing;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::event::{EventId, NewEvent, Payload, QuarantineReason, Tags, Verified};
use crate::tenant::TenantName;

pub use keys::{KeyError, KeyId};
pub use metrics::InboxMetrics;
pub use receipt::Receipt;
pub use rules::Sharing;
pub use sqlite::Sqlite;

/// Keeps events. Every method may be called from any runtime; the work is done on threads of the inbox.
pub trait Inbox: Send + Sync {
    /// Makes the tags of new events. Its key stays the same as long as the store exists.
    fn tags(&self) -> &Tags;

    /// Stores an event; resolves once it is durable.
    fn append(&self, event: NewEvent) -> BoxFuture<'static, Result<Appended, AppendError>>;

    /// Leases up to `limit` events of a tenant for the time `period`, oldest first, at most one a study.
    fn lease(
        &self,
        tenant: &TenantName,
        limit: usize,
        period: Duration,
    ) -> BoxFuture<'static, Result<Leases, InboxError>>;

    /// Ends a lease.
    fn settle(&self, lease: Lease, outcome: Outcome) -> BoxFuture<'static, Result<(), SettleError>>;

    /// Takes up the delivery to a tenant's target again that [`Outcome::Parked`] suspended. Tells whether it was.
    fn resume(&self, tenant: &TenantName) -> BoxFuture<'static, Result<bool, InboxError>>;

    /// Puts dead or delivered events at the end of their studies' queues again. Those whose payload was wiped, and
    /// those in other states, are left alone and counted.
    fn redeliver(&self, filter: Filter, pace: Pace, run: Run) -> BoxFuture<'static, Result<Touched, InboxError>>;

    /// Lets quarantined events be delivered.
    fn release(&self, filter: Filter, run: Run) -> BoxFuture<'static, Result<Touched, InboxError>>;

    /// Removes quarantined, dead or delivered events for good. What is still to be delivered is never removed.
    fn remove(&self, filter: Filter, run: Run) -> BoxFuture<'static, Result<Touched, InboxError>>;

    /// Wipes what is older than the store keeps it, and gives room back. Called about once a minute.
    fn retain(&self) -> BoxFuture<'static, Result<Retained, InboxError>>;

    /// Events that match, in the order of their arrival, from behind `after` on, at most `limit`.
    fn list(
        &self,
        filter: Filter,
        after: Option<EventId>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Summary>, InboxError>>;

    /// One event with its payload; the payload is `None` once wiped.
    fn show(&self, id: EventId) -> BoxFuture<'static, Result<Option<(Summary, Option<Payload>)>, InboxError>>;

    /// What is in the store.
    fn stats(&self) -> BoxFuture<'static, Result<Stats, InboxError>>;

    /// Reads everything and opens every payload.
    fn verify(&self) -> BoxFuture<'static, Result<Verdict, InboxError>>;

    /// Changes whenever there may be more to lease than before: an event came, was released, retried or resumed.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What became of an appended event.
#[derive(Debug)]
pub struct Appended {
    /// Proof that the event is durable; the platform's success answer is made from it.
    pub receipt: Receipt,
    /// The stored event; of a duplicate, the one that is there already.
    pub event: EventId,
    /// How it was taken.
    pub kind: Kind,
    /// What is known of its signature.
    pub verified: Verified,
}

/// How an event was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of its identity.
    Accepted,
    /// Known with this very body; nothing was stored.
    Duplicate,
    /// Known with another body; this one is delivered, too.
    Updated,
    /// Stored, and not delivered before an operator releases it.
    Quarantined(QuarantineReason),
}

/// Why an event was not stored. The platform must be told that it was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// As many events as may wait for the disk do so.
    #[error("as many events wait for the disk as may")]
    Busy,
    /// The budget of the store, or the disk, is used up.
    #[error("the inbox is full")]
    Full,
    /// Quarantined events take as much room as they may.
    #[error("the quarantine is full")]
    QuarantineFull,
    /// The store failed.
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// The store refused a statement; it was undone.
    #[error("the store failed")]
    Failed,
    /// The payload does not open: it was changed on the disk.
    #[error("the payload does not open")]
    Unreadable,
    /// There is no room left on the disk, not even to note what became of an event.
    #[error("the disk is full")]
    DiskFull,
    /// The state of the store is unknown since a write failed; the process is ending.
    #[error("the store is out of action")]
    Broken,
    /// The inbox is closed.
    #[error("the inbox is closed")]
    Closed,
}

/// Why a lease was not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The event was leased again, settled already or removed.
    #[error("the lease is lost")]
    Lost,
    /// The store failed; the lease runs on.
    #[error(transparent)]
    Inbox(#[from] InboxError),
}

/// The right to deliver one event until a deadline. It can be written down and read again (`evt_…-3`): the number
/// counts the leases of the event, so an older one is known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of which event.
    pub event: EventId,
    /// Which lease of that event, from 1.
    pub number: u64,
}

/// What a call for leases brought.
pub struct Leases {
    /// The events to deliver now.
    pub events: Vec<Leased>,
    /// When to ask again at the latest: the next retry is due then, or the next lease runs out. `None` when there is nothing to wait for but
    /// [`Inbox::changes`]; also when the limit was reached, so ask again once there is room.
    pub next_at: Option<Timestamp>,
    /// Delivery to this tenant's target is suspended ([`Outcome::Parked`]).
    pub parked: bool,
}

/// An event to deliver.
pub struct Leased {
    /// To be settled.
    pub lease: Lease,
    /// Whose it is.
    pub tenant: TenantName,
    /// When it came.
    pub received_at: Timestamp,
    /// What is known of its signature.
    pub verified: Verified,
    /// Which attempt this is since it became ready, from 1.
    pub attempt: u32,
    /// Until when the lease holds.
    pub until: Timestamp,
    /// What to deliver.
    pub payload: Payload,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The HIS has it.
    Delivered,
    /// To be tried again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Not to be tried again by itself.
    Dead {
        /// Why.
        reason: Reason,
    },
    /// The target wants nothing more: the event waits, and so does all of the tenant's until [`Inbox::resume`].
    Parked {
        /// Why.
        reason: Reason,
    },
    /// Not tried at all: given back, as when the process stops. The attempt does not count.
    Unused,
}

/// Why a delivery failed: a word of ours, never text from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Cow<'static, str>);

impl Reason {
    /// A word such as `timeout`.
    pub const fn word(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// An HTTP status: `status_503`.
    pub fn status(status: u16) -> Self {
        Self(Cow::Owned(format!("status_{status}")))
    }

    /// A code in the answer of a HIS: `code_17`.
    pub fn code(code: i64) -> Self {
        Self(Cow::Owned(format!("code_{code}")))
    }

    /// A word from a store.
    fn stored(word: String) -> Self {
        Self(Cow::Owned(word))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an event is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// To be delivered.
    Ready,
    /// Leased.
    InFlight,
    /// To be delivered again at its time.
    Retrying,
    /// Given up until an operator acts.
    Dead,
    /// Not to be delivered until an operator releases it.
    Quarantined,
    /// The HIS has it.
    Delivered,
}

impl State {
    /// Every state.
    pub const ALL: &'static [State] = &[
        State::Ready,
        State::InFlight,
        State::Retrying,
        State::Dead,
        State::Quarantined,
        State::Delivered,
    ];

    /// The word for it, in metrics, lists and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::InFlight => "in_flight",
            Self::Retrying => "retrying",
            Self::Dead => "dead",
            Self::Quarantined => "quarantined",
            Self::Delivered => "delivered",
        }
    }

    /// Position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Still to be delivered, so that later events of its study wait.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Ready | Self::InFlight | Self::Retrying)
    }
}

/// Which events; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These only.
    pub ids: Option<Vec<EventId>>,
    /// Of this tenant.
    pub tenant: Option<TenantName>,
    /// In one of these states.
    pub states: Option<Vec<State>>,
    /// Received at this moment or later.
    pub from: Option<Timestamp>,
    /// Received before this moment.
    pub to: Option<Timestamp>,
}

/// How fast redelivered events become ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// So many a second; `None`: all at once.
    pub per_second: Option<NonZeroU32>,
}

/// Whether to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Do it.
    Real,
    /// Only tell what would be done.
    Preview,
}

/// What a change of many events did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Events that matched.
    pub matched: u64,
    /// Of them, those that were changed.
    pub changed: u64,
    /// Of them, those that cannot be delivered again because their payload was wiped.
    pub wiped: u64,
}

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Payloads wiped.
    pub wiped: u64,
    /// Events forgotten.
    pub forgotten: u64,
}

/// An event without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantName,
    /// Where it is.
    pub state: State,
    /// What is known of its signature.
    pub verified: Verified,
    /// When it came.
    pub received_at: Timestamp,
    /// When the state began.
    pub since: Timestamp,
    /// When it is due, or its lease ends; `None` unless it is to be delivered.
    pub due_at: Option<Timestamp>,
    /// Deliveries tried since it became ready.
    pub attempts: u32,
    /// Why the last one failed, or why it is in quarantine.
    pub reason: Option<Reason>,
    /// Bytes of the sealed payload; 0 once wiped.
    pub bytes: u64,
}

/// What is in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events by tenant and state.
    pub items: Vec<(TenantName, State, u64)>,
    /// When the oldest event that is still to be delivered became so.
    pub oldest: Option<Timestamp>,
    /// Bytes on the disk.
    pub disk_bytes: u64,
    /// Bytes that the store may take.
    pub disk_limit: u64,
    /// Bytes of sealed payloads in quarantine.
    pub quarantine_bytes: u64,
    /// Keys by id, and how many payloads each has sealed.
    pub keys: Vec<(String, u64)>,
    /// Tenants whose delivery is suspended.
    pub parked: Vec<TenantName>,
}

/// What [`Inbox::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events read.
    pub events: u64,
    /// Payloads opened.
    pub opened: u64,
    /// Events whose payload does not open, at most a hundred.
    pub broken: Vec<EventId>,
    /// What is wrong with the store itself, at most a hundred.
    pub faults: Vec<String>,
}
