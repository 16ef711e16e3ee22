//! What the inbox answers, and why it does not.

use super::Receipt;
use crate::callback::event::{EventId, QuarantineReason, Verified};

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

impl AppendError {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// Which of them it is, below [`AppendError::COUNT`].
    pub fn index(self) -> usize {
        match self {
            Self::Busy => 0,
            Self::Full => 1,
            Self::QuarantineFull => 2,
            Self::Inbox(InboxError::Failed) => 3,
            Self::Inbox(InboxError::Late) => 4,
            Self::Inbox(InboxError::Unconfirmed) => 5,
            Self::Inbox(InboxError::DiskFull) => 6,
            Self::Inbox(InboxError::Broken) => 7,
            Self::Inbox(InboxError::Unreadable) => 8,
            Self::Inbox(InboxError::Closed) => 9,
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// The store refused a statement; it was undone.
    #[error("the store failed")]
    Failed,
    /// The store gave no answer in time; what became of the question is unknown.
    #[error("the store gave no answer in time")]
    Late,
    /// The store did not confirm a commit in time, as while a synchronous standby of it is away; what became of the commit
    /// is unknown.
    #[error("the store did not confirm a commit in time; is the database's synchronous standby there?")]
    Unconfirmed,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_place_of_its_own() {
        let inbox = [
            InboxError::Failed,
            InboxError::Late,
            InboxError::Unconfirmed,
            InboxError::Unreadable,
            InboxError::DiskFull,
            InboxError::Broken,
            InboxError::Closed,
        ];
        let own = [AppendError::Busy, AppendError::Full, AppendError::QuarantineFull];
        let mut places: Vec<usize> = own.into_iter().map(AppendError::index).collect();
        places.extend(inbox.map(|error| AppendError::Inbox(error).index()));
        places.sort_unstable();

        assert_eq!(places, (0..AppendError::COUNT).collect::<Vec<_>>());
    }
}
