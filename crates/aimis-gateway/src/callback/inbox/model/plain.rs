//! The model: a list, and looking through all of it.

use std::collections::BTreeMap;

use aimis_core::sign::Timestamp;

use super::steps::How;
use crate::callback::event::{EventId, QuarantineReason, Verified};
use crate::callback::inbox::testing::Arrival;
use crate::callback::inbox::{Kind, Lease, Retained, Run, SettleError, State, Summary, Touched};

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) identity: (u8, u8),
    pub(super) body: String,
    pub(super) state: State,
    pub(super) verified: Verified,
    pub(super) reason: Option<String>,
    pub(super) received: u64,
    pub(super) since: u64,
    pub(super) due: u64,
    pub(super) place: u64,
    pub(super) attempts: u32,
    pub(super) leases: u64,
    pub(super) wiped: bool,
    /// Its body came again, under another event.
    pub(super) retired: bool,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) now: u64,
    pub(super) entries: Vec<Entry>,
    /// First arrival and end of memory of each body under each signature.
    pub(super) signatures: BTreeMap<(u8, String), (u64, u64)>,
    pub(super) places: u64,
    pub(super) parked: bool,
}

impl Model {
    pub(super) fn place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    pub(super) fn append(&mut self, arrival: &Arrival) -> (Kind, Verified, Option<usize>) {
        let identity = (arrival.study, arrival.report);
        let mut against = arrival.quarantine;
        let mut verified = Verified::Unsigned;
        let mut repeated = false;
        if let Some(triple) = arrival.triple {
            let others = self.signatures.iter();
            let others: Vec<u64> = others
                .filter(|((of, body), _)| *of == triple && *body != arrival.body)
                .map(|(_, (first, _))| *first)
                .collect();
            verified = Verified::Signed;
            if let Some(first) = others.iter().min() {
                verified = Verified::Shared;
                let shared = if others.len() >= 16 {
                    Some(QuarantineReason::SharedOften)
                } else if self.now - first > 60_000 || arrival.signed_ago_s > 60 {
                    Some(QuarantineReason::SharedLate)
                } else {
                    None
                };
                against = against.or(shared);
            }
            repeated = self.signatures.contains_key(&(triple, arrival.body.clone()));
            let until = (self.now - arrival.signed_ago_s * 1000 + 300_000).max(self.now);
            self.signatures
                .entry((triple, arrival.body.clone()))
                .or_insert((self.now, until));
        }
        let same = self
            .entries
            .iter()
            .position(|entry| !entry.retired && entry.identity == identity && entry.body == arrival.body);
        let comes_back = |index: usize| {
            let same = &self.entries[index];
            let others = self.entries.iter().enumerate();
            let mut others =
                others.filter(|(_, entry)| entry.identity == identity && entry.state != State::Quarantined);
            let superseded = others.any(|(at, entry)| at > index || entry.place > same.place);
            same.state != State::Quarantined && superseded && !repeated
        };
        if let Some(index) = same.filter(|index| comes_back(*index)) {
            self.entries[index].retired = true;
        } else if let Some(index) = same {
            if self.entries[index].state == State::Quarantined && against.is_none() {
                self.entries[index].verified = verified;
                self.queue(index, self.now);
                return (Kind::Accepted, verified, Some(index));
            }
            return (Kind::Duplicate, self.entries[index].verified, Some(index));
        }
        let mut known = self.entries.iter().filter(|entry| entry.identity == identity);
        let kind = match against {
            Some(reason) => Kind::Quarantined(reason),
            None if known.any(|entry| entry.state != State::Quarantined) => Kind::Updated,
            None => Kind::Accepted,
        };
        (kind, verified, None)
    }

    pub(super) fn store(&mut self, arrival: &Arrival, id: EventId, kind: Kind, verified: Verified) {
        let (state, reason) = match kind {
            Kind::Quarantined(reason) => (State::Quarantined, Some(reason.as_str().to_owned())),
            _ => (State::Ready, None),
        };
        let place = self.place();
        self.entries.push(Entry {
            id,
            identity: (arrival.study, arrival.report),
            body: arrival.body.clone(),
            state,
            verified,
            reason,
            received: self.now,
            since: self.now,
            due: self.now,
            place,
            attempts: 0,
            leases: 0,
            wiped: false,
            retired: false,
        });
    }

    pub(super) fn queue(&mut self, index: usize, due: u64) {
        let (place, now) = (self.place(), self.now);
        let entry = &mut self.entries[index];
        entry.state = State::Ready;
        entry.reason = None;
        entry.since = now;
        entry.due = due;
        entry.place = place;
        entry.attempts = 0;
    }

    /// The first of each study that is still to be delivered.
    pub(super) fn heads(&self) -> Vec<usize> {
        let mut first: BTreeMap<u8, usize> = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let head = first.entry(entry.identity.0).or_insert(index);
            let live = |entry: &Entry| entry.state.is_live();
            if live(entry) && (!live(&self.entries[*head]) || entry.place < self.entries[*head].place) {
                *head = index;
            }
        }
        first
            .into_values()
            .filter(|index| self.entries[*index].state.is_live())
            .collect()
    }

    pub(super) fn lease(&mut self, limit: usize, seconds: u64) -> Vec<Lease> {
        if self.parked {
            return Vec::new();
        }
        let mut due: Vec<usize> = self.heads();
        due.retain(|index| self.entries[*index].due <= self.now);
        due.sort_by_key(|index| (self.entries[*index].due, self.entries[*index].place));
        due.truncate(limit);
        let now = self.now;
        due.into_iter()
            .map(|index| {
                let entry = &mut self.entries[index];
                entry.state = State::InFlight;
                entry.since = now;
                entry.due = now + seconds * 1000;
                entry.attempts += 1;
                entry.leases += 1;
                Lease {
                    event: entry.id,
                    number: entry.leases,
                }
            })
            .collect()
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        let due = self.heads().into_iter().map(|index| self.entries[index].due);
        due.filter(|due| *due > self.now && !self.parked).min()
    }

    pub(super) fn settle(&mut self, lease: Lease, how: How) -> Result<(), SettleError> {
        let now = self.now;
        let held = |entry: &&mut Entry| {
            entry.id == lease.event && entry.leases == lease.number && entry.state == State::InFlight
        };
        let entry = self.entries.iter_mut().find(held).ok_or(SettleError::Lost)?;
        entry.since = now;
        let mut give_back = || {
            entry.attempts -= 1;
            entry.due = now;
            entry.state = if entry.attempts == 0 {
                State::Ready
            } else {
                State::Retrying
            };
        };
        match how {
            How::Delivered => entry.state = State::Delivered,
            How::Dead => {
                entry.state = State::Dead;
                entry.reason = Some("dead".to_owned());
            }
            How::Retry { seconds } => {
                entry.state = State::Retrying;
                entry.due = now + seconds.min(48 * 3600) * 1000;
                entry.reason = Some("status_503".to_owned());
            }
            How::Parked => {
                give_back();
                entry.reason = Some("status_410".to_owned());
                self.parked = true;
            }
            How::Unused => give_back(),
        }
        Ok(())
    }

    pub(super) fn redeliver(&mut self, states: &[State], rate: Option<u8>, run: Run) -> Touched {
        let mut matched: Vec<usize> = (0..self.entries.len()).collect();
        matched.retain(|index| states.contains(&self.entries[*index].state));
        matched.sort_by_key(|index| self.entries[*index].place);
        let mut touched = Touched {
            matched: matched.len() as u64,
            ..Touched::default()
        };
        for index in matched {
            let entry = &self.entries[index];
            touched.wiped += u64::from(entry.wiped);
            if matches!(entry.state, State::Dead | State::Delivered) && !entry.wiped {
                if run == Run::Real {
                    let pause = rate.map_or(0, |rate| touched.changed * 1000 / u64::from(rate));
                    self.queue(index, self.now + pause);
                }
                touched.changed += 1;
            }
        }
        touched
    }

    pub(super) fn release(&mut self, run: Run) -> u64 {
        let mut quarantined: Vec<usize> = (0..self.entries.len()).collect();
        quarantined.retain(|index| self.entries[*index].state == State::Quarantined);
        quarantined.sort_by_key(|index| self.entries[*index].place);
        for index in &quarantined {
            if run == Run::Real {
                self.queue(*index, self.now);
            }
        }
        quarantined.len() as u64
    }

    pub(super) fn remove(&mut self, state: State) {
        self.entries.retain(|entry| entry.state != state || state.is_live());
    }

    pub(super) fn retain(&mut self) -> Retained {
        let now = self.now;
        let mut done = Retained::default();
        for entry in &mut self.entries {
            if entry.state == State::Delivered && now - entry.since > 24 * 3_600_000 && !entry.wiped {
                entry.wiped = true;
                done.wiped += 1;
            }
        }
        let before = self.entries.len();
        let old = |entry: &Entry| entry.state == State::Delivered && now - entry.since > 7 * 24 * 3_600_000;
        self.entries.retain(|entry| !old(entry));
        done.forgotten = (before - self.entries.len()) as u64;
        self.signatures.retain(|_, (_, until)| *until >= now);
        done
    }

    pub(super) fn crash(&mut self) {
        for entry in &mut self.entries {
            if entry.state == State::InFlight {
                entry.due = entry.due.min(self.now);
            }
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        let seen = |entry: &Entry| Seen {
            id: entry.id,
            state: entry.state,
            verified: entry.verified,
            received: entry.received,
            since: entry.since,
            due: entry.state.is_live().then_some(entry.due),
            attempts: entry.attempts,
            reason: entry.reason.clone(),
            wiped: entry.wiped,
        };
        self.entries.iter().map(seen).collect()
    }
}

/// What can be seen of an event, in a model and in a store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    id: EventId,
    state: State,
    verified: Verified,
    received: u64,
    since: u64,
    due: Option<u64>,
    attempts: u32,
    reason: Option<String>,
    wiped: bool,
}

impl From<&Summary> for Seen {
    fn from(event: &Summary) -> Self {
        Self {
            id: event.id,
            state: event.state,
            verified: event.verified,
            received: event.received_at.as_millis(),
            since: event.since.as_millis(),
            due: event.due_at.map(Timestamp::as_millis),
            attempts: event.attempts,
            reason: event.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            wiped: event.bytes == 0,
        }
    }
}
