//! What an operator sees of the inbox, and how they choose what to change.

use std::num::NonZeroU32;

use aimis_core::sign::Timestamp;

use super::Reason;
use crate::callback::event::{EventId, Payload, Verified};
use crate::tenant::TenantName;

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
    /// So many a minute; `None`: all at once.
    pub per_minute: Option<NonZeroU32>,
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

/// An event with its payload.
pub struct Shown {
    /// Everything else.
    pub summary: Summary,
    /// What the HIS got, or will get; `None` once wiped.
    pub payload: Option<Payload>,
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

impl Stats {
    /// Events to be delivered to tenants that are not `known` any more: as long as the configuration has no tenant of
    /// that name, nobody brings or fetches them.
    pub fn stranded(&self, known: impl Fn(&TenantName) -> bool) -> Vec<(TenantName, u64)> {
        let mut stranded: Vec<(TenantName, u64)> = Vec::new();
        let live = self
            .items
            .iter()
            .filter(|(_, state, count)| state.is_live() && *count > 0);
        for (tenant, _, count) in live.filter(|(tenant, ..)| !known(tenant)) {
            match stranded.iter_mut().find(|(known, _)| known == tenant) {
                Some((_, all)) => *all += count,
                None => stranded.push((tenant.clone(), *count)),
            }
        }
        stranded
    }
}

/// What [`super::Inbox::verify`] found.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_tenant_that_is_gone_is_stranded() {
        let (here, gone) = (TenantName::new("here"), TenantName::new("gone"));
        let item = |tenant: &TenantName, state, count| (tenant.clone(), state, count);
        let stats = Stats {
            items: vec![
                item(&gone, State::Ready, 3),
                item(&gone, State::Retrying, 2),
                item(&gone, State::Delivered, 7),
                item(&here, State::Ready, 1),
                item(&TenantName::new("done"), State::Delivered, 1),
                item(&TenantName::new("none"), State::Ready, 0),
            ],
            ..Stats::default()
        };

        assert_eq!(stats.stranded(|tenant| *tenant == here), [(gone, 5)]);
        assert_eq!(stats.stranded(|_| true), []);
    }
}
