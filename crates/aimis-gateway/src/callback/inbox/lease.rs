//! A lease: the right to deliver one event for a while, and how it ends.

use std::time::Duration;

use std::borrow::Cow;
use std::fmt;

use aimis_core::sign::Timestamp;

use crate::callback::event::{EventId, Payload, Verified};
use crate::tenant::TenantName;

/// The right to deliver one event until a deadline. It can be written down and read again (`evt_…-3`): the number
/// counts the leases of the event, so an older one is known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of which event.
    pub event: EventId,
    /// Which lease of that event, from 1.
    pub number: u64,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.event, self.number)
    }
}

impl Lease {
    /// Reads what `Display` writes; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (event, number) = text.split_once('-')?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            event: EventId::parse(event)?,
            number: digits.then(|| number.parse().ok()).flatten()?,
        })
    }
}

/// What a call for leases brought.
pub struct Leases {
    /// The events to deliver now.
    pub events: Vec<Leased>,
    /// Events that became dead letters instead, since their content does not open.
    pub unopened: Vec<EventId>,
    /// When to ask again at the latest: the next retry is due then, or the next lease runs out. `None` when there is nothing to wait for but
    /// [`super::Inbox::changes`]; also when the limit was reached, so ask again once there is room.
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
        /// Not before so much time has gone by. Not a moment: between the one who says it and the store somebody may set the
        /// clock.
        after: Duration,
        /// Why.
        reason: Reason,
    },
    /// Not to be tried again by itself.
    Dead {
        /// Why.
        reason: Reason,
    },
    /// The target wants nothing more: the event waits, and so does all of the tenant's until [`super::Inbox::resume`].
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

    /// A code in the answer of a HIS: `code_17`. A longer number that a HIS puts there could be a person's, and this
    /// word goes into the log: it is `code_other`.
    pub fn code(code: i64) -> Self {
        if code.unsigned_abs() < 1_000_000 {
            Self(Cow::Owned(format!("code_{code}")))
        } else {
            Self::word("code_other")
        }
    }

    /// A word from a store.
    pub(super) fn stored(word: String) -> Self {
        Self(Cow::Owned(word))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_survives_its_text() {
        let lease = Lease {
            event: EventId::from_bytes([7; 16]),
            number: 12,
        };

        let text = lease.to_string();

        assert_eq!(text, "evt_07070707070707070707070707070707-12");
        assert_eq!(Lease::parse(&text), Some(lease));
        let id = "evt_07070707070707070707070707070707";
        for wrong in [
            "",
            "-1",
            id,
            &format!("{id}-"),
            &format!("{id}-+1"),
            &format!("{id}--1"),
        ] {
            assert_eq!(Lease::parse(wrong), None, "{wrong}");
        }
    }
}
