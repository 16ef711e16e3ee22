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
//! 3. The last event of an identity has the body that came last. The same again is a duplicate and is acknowledged
//!    without being stored; another body under the same identity is an update and an event of its own, and so is a body
//!    that comes back after another, unless it is the very request of before, by its signature.
//! 4. Of one study, at most one event is leased at a time, and none before every earlier one that is still to be
//!    delivered. Dead and quarantined events do not hold up those behind them: released or delivered again, they
//!    queue behind what their study has by then. Studies do not wait for each other.
//! 5. A lease is settled by its holder or not at all: once the event was leased again, the old lease is
//!    [`SettleError::Lost`].
//! 6. A signature that already came with another body is [`super::event::Verified::Shared`], and puts the event in quarantine when
//!    that was over 60 s ago or the body is its seventeenth. The signatures are part of the store: a restart forgets none.
//! 7. Payloads are sealed under a key that is not in the store, each bound to its tenant and event id. Outside are
//!    only states, times, the tenant's name and keyed tags.
//! 8. What a study list told of is not told of again by the first callback that says the same: that one is a duplicate.
//! 9. A commit of unknown outcome acknowledges nothing. What follows from it each store says: that in a file ends the
//!    process, that in a database has somebody to ask.

pub mod postgres;
pub mod sqlite;

mod act;
mod answer;
mod copy;
mod end;
mod keys;
mod lease;
mod metrics;
#[cfg(test)]
mod model;
mod needed;
mod open;
mod receipt;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod view;

use std::time::Duration;

use aimis_core::sign::Timestamp;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::event::{EventId, NewEvent, Tags};
use crate::tenant::TenantName;

pub use act::Act;
pub use answer::{AppendError, Appended, InboxError, Kind, SettleError};
pub use copy::{Copied, CopyError, Way, copy};
pub use end::end_process;
pub use keys::{KeyError, KeyId, RekeyError, Rekeyed};
pub use lease::{Lease, Leased, Leases, Outcome, Reason};
pub use metrics::InboxMetrics;
pub use needed::check_keys;
pub use open::{OpenError, Parts, open};
pub use postgres::Postgres;
pub use receipt::Receipt;
pub use rules::Sharing;
pub use sqlite::{KeyFiles, Sqlite};
pub use view::{Filter, Pace, Retained, Run, Shown, State, Stats, Summary, Touched, Verdict};

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

    /// Suspends the delivery to a tenant until [`Inbox::resume`]. Tells whether it was not suspended before.
    fn park(&self, tenant: &TenantName) -> BoxFuture<'static, Result<bool, InboxError>>;

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

    /// One event with its payload.
    fn show(&self, id: EventId) -> BoxFuture<'static, Result<Option<Shown>, InboxError>>;

    /// What is in the store.
    fn stats(&self) -> BoxFuture<'static, Result<Stats, InboxError>>;

    /// Reads everything and opens every payload.
    fn verify(&self) -> BoxFuture<'static, Result<Verdict, InboxError>>;

    /// Notes what an operator does to events or sees of them; durable when it resolves, so ask before it is done.
    fn note(&self, act: Act) -> BoxFuture<'static, Result<(), InboxError>>;

    /// What was noted, in order, from behind the number `after` on, at most `limit`.
    fn acts(&self, after: u64, limit: usize) -> BoxFuture<'static, Result<Vec<(u64, Act)>, InboxError>>;

    /// Since when a tenant's study lists are compared with its callbacks. The first call says that they are from now on.
    fn reconciles(&self, tenant: &TenantName) -> BoxFuture<'static, Result<Timestamp, InboxError>>;

    /// Seals under the keys that `files` hold now, and opens with them; what was sealed before stays as it is. `None` if
    /// the current key is the one in force.
    fn rekey(&self, files: KeyFiles) -> BoxFuture<'static, Result<Option<Rekeyed>, RekeyError>>;

    /// Changes whenever there may be more to lease than before: an event came, was released, retried or resumed.
    fn changes(&self) -> watch::Receiver<u64>;
}
