//! The inbox against a plain model of it: random sequences of everything that can happen, crashes included.
//!
//! The model keeps a list and looks through all of it each time. It shares no code with the stores, only the words of
//! the trait. Any store can stand against it that can be opened anew ([`Subject`]).

use std::collections::BTreeMap;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use proptest::prelude::*;

use super::testing::{Arrival, Bed, north, wait};
use super::{
    Filter, Inbox, Kind, Lease, Outcome, Pace, Reason, Retained, Run, SettleError, Sqlite, State, Summary, Touched,
};
use crate::callback::event::{EventId, QuarantineReason, Verified};
use crate::clock::Clock;

/// A store that can be killed and opened again.
trait Subject {
    fn inbox(&self) -> &dyn Inbox;
    fn clock(&self) -> &Clock;
    /// Kill -9, and a new start.
    fn crash(&mut self);
}

struct InFile {
    bed: Bed,
    inbox: Sqlite,
}

impl Subject for InFile {
    fn inbox(&self) -> &dyn Inbox {
        &self.inbox
    }

    fn clock(&self) -> &Clock {
        &self.bed.clock
    }

    fn crash(&mut self) {
        self.bed.crash();
        self.inbox = self.bed.open();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Arrival),
    Lease {
        limit: usize,
        seconds: u64,
    },
    Settle {
        which: usize,
        how: How,
    },
    Resume,
    Redeliver {
        states: Vec<State>,
        rate: Option<u8>,
        run: Run,
    },
    Release {
        run: Run,
    },
    Remove {
        state: State,
    },
    Retain,
    Pass {
        seconds: u64,
    },
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Delivered,
    Retry { seconds: u64 },
    Dead,
    Parked,
    Unused,
}

fn arrivals() -> impl Strategy<Value = Arrival> {
    let quarantine = prop_oneof![9 => Just(None), 1 => Just(Some(QuarantineReason::LinkHost))];
    let triple = prop_oneof![1 => Just(None), 2 => (0..2_u8).prop_map(Some)];
    (
        0..3_u8,
        0..2_u8,
        0..20_u8,
        triple,
        prop_oneof![3 => Just(0_u64), 1 => 0..100_u64],
        quarantine,
    )
        .prop_map(|(study, report, body, triple, signed_ago_s, quarantine)| Arrival {
            study,
            report,
            body: format!("{{\"study\":{study},\"report\":{report},\"body\":{body}}}"),
            triple,
            signed_ago_s,
            quarantine,
        })
}

fn steps() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        4 => Just(How::Delivered),
        2 => prop_oneof![Just(5_u64), Just(1_000_000)].prop_map(|seconds| How::Retry { seconds }),
        1 => Just(How::Dead),
        1 => Just(How::Parked),
        1 => Just(How::Unused),
    ];
    let state = prop::sample::select(State::ALL.to_vec());
    let run = || prop_oneof![3 => Just(Run::Real), 1 => Just(Run::Preview)];
    let states = prop_oneof![
        Just(vec![State::Dead]),
        Just(vec![State::Delivered]),
        Just(State::ALL.to_vec())
    ];
    prop_oneof![
        10 => arrivals().prop_map(Step::Append),
        6 => (1..4_usize, 1..60_u64).prop_map(|(limit, seconds)| Step::Lease { limit, seconds }),
        8 => (any::<usize>(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => Just(Step::Resume),
        1 => (states, prop::option::of(1..4_u8), run()).prop_map(|(states, rate, run)| Step::Redeliver { states, rate, run }),
        1 => run().prop_map(|run| Step::Release { run }),
        1 => state.prop_map(|state| Step::Remove { state }),
        1 => Just(Step::Retain),
        3 => prop_oneof![Just(1_u64), Just(30), Just(61), Just(3_600), Just(90_000), Just(700_000)]
            .prop_map(|seconds| Step::Pass { seconds }),
        2 => Just(Step::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Entry {
    id: EventId,
    identity: (u8, u8),
    body: String,
    state: State,
    verified: Verified,
    reason: Option<String>,
    received: u64,
    since: u64,
    due: u64,
    place: u64,
    attempts: u32,
    leases: u64,
    wiped: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    entries: Vec<Entry>,
    /// First arrival and end of memory of each body under each signature.
    signatures: BTreeMap<(u8, String), (u64, u64)>,
    places: u64,
    parked: bool,
}

impl Model {
    fn place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    fn append(&mut self, arrival: &Arrival) -> (Kind, Verified, Option<usize>) {
        let identity = (arrival.study, arrival.report);
        let mut against = arrival.quarantine;
        let mut verified = Verified::Unsigned;
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
            let until = (self.now - arrival.signed_ago_s * 1000 + 300_000).max(self.now);
            self.signatures
                .entry((triple, arrival.body.clone()))
                .or_insert((self.now, until));
        }
        let same = self
            .entries
            .iter()
            .position(|entry| entry.identity == identity && entry.body == arrival.body);
        if let Some(index) = same {
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

    fn store(&mut self, arrival: &Arrival, id: EventId, kind: Kind, verified: Verified) {
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
        });
    }

    fn queue(&mut self, index: usize, due: u64) {
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
    fn heads(&self) -> Vec<usize> {
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

    fn lease(&mut self, limit: usize, seconds: u64) -> Vec<Lease> {
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

    fn next_at(&self) -> Option<u64> {
        let due = self.heads().into_iter().map(|index| self.entries[index].due);
        due.filter(|due| *due > self.now && !self.parked).min()
    }

    fn settle(&mut self, lease: Lease, how: How) -> Result<(), SettleError> {
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

    fn redeliver(&mut self, states: &[State], rate: Option<u8>, run: Run) -> Touched {
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

    fn release(&mut self, run: Run) -> u64 {
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

    fn remove(&mut self, state: State) {
        self.entries.retain(|entry| entry.state != state || state.is_live());
    }

    fn retain(&mut self) -> Retained {
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

    fn crash(&mut self) {
        for entry in &mut self.entries {
            if entry.state == State::InFlight {
                entry.due = entry.due.min(self.now);
            }
        }
    }

    fn summaries(
        &self,
    ) -> Vec<(
        EventId,
        State,
        Verified,
        u64,
        u64,
        Option<u64>,
        u32,
        Option<String>,
        bool,
    )> {
        let seen = |entry: &Entry| {
            (
                entry.id,
                entry.state,
                entry.verified,
                entry.received,
                entry.since,
                entry.state.is_live().then_some(entry.due),
                entry.attempts,
                entry.reason.clone(),
                entry.wiped,
            )
        };
        self.entries.iter().map(seen).collect()
    }
}

fn seen(
    event: &Summary,
) -> (
    EventId,
    State,
    Verified,
    u64,
    u64,
    Option<u64>,
    u32,
    Option<String>,
    bool,
) {
    (
        event.id,
        event.state,
        event.verified,
        event.received_at.as_millis(),
        event.since.as_millis(),
        event.due_at.map(Timestamp::as_millis),
        event.attempts,
        event.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        event.bytes == 0,
    )
}

/// Runs the steps on both, and compares after each.
fn compare(subject: &mut dyn Subject, steps: Vec<Step>) {
    let mut model = Model {
        now: subject.clock().now().as_millis(),
        ..Model::default()
    };
    let mut held: Vec<Lease> = Vec::new();
    for step in steps {
        let told = format!("{step:?}");
        take(subject, &mut model, &mut held, step);
        let listed = wait(subject.inbox().list(Filter::default(), None, 10_000)).unwrap();
        assert_eq!(
            listed.iter().map(seen).collect::<Vec<_>>(),
            model.summaries(),
            "after {told}"
        );
    }
    let verdict = wait(subject.inbox().verify()).unwrap();
    assert_eq!((&verdict.broken[..], &verdict.faults[..]), (&[][..], &[][..]));
}

fn take(subject: &mut dyn Subject, model: &mut Model, held: &mut Vec<Lease>, step: Step) {
    let inbox = subject.inbox();
    match step {
        Step::Append(arrival) => {
            let now = Timestamp::from_millis(model.now);
            let real = wait(inbox.append(arrival.event(inbox.tags(), now))).unwrap();
            let (kind, verified, same) = model.append(&arrival);
            assert_eq!((real.kind, real.verified), (kind, verified));
            match same {
                Some(index) => assert_eq!(real.event, model.entries[index].id),
                None => {
                    assert!(model.entries.iter().all(|entry| entry.id != real.event));
                    model.store(&arrival, real.event, kind, verified);
                }
            }
        }
        Step::Lease { limit, seconds } => {
            let real = wait(inbox.lease(&north(), limit, Duration::from_secs(seconds))).unwrap();
            let leases = model.lease(limit, seconds);
            assert_eq!(
                real.events.iter().map(|leased| leased.lease).collect::<Vec<_>>(),
                leases
            );
            for leased in &real.events {
                let entry = model
                    .entries
                    .iter()
                    .find(|entry| entry.id == leased.lease.event)
                    .unwrap();
                assert_eq!(leased.payload.as_bytes(), entry.body.as_bytes());
                assert_eq!((leased.attempt, leased.until.as_millis()), (entry.attempts, entry.due));
            }
            assert_eq!(
                (real.next_at.map(Timestamp::as_millis), real.parked),
                (model.next_at(), model.parked)
            );
            held.extend(leases);
        }
        Step::Settle { which, how } if !held.is_empty() => {
            let lease = held[which % held.len()];
            let outcome = match how {
                How::Delivered => Outcome::Delivered,
                How::Retry { seconds } => Outcome::Retry {
                    at: Timestamp::from_millis(model.now + seconds * 1000),
                    reason: Reason::status(503),
                },
                How::Dead => Outcome::Dead {
                    reason: Reason::word("dead"),
                },
                How::Parked => Outcome::Parked {
                    reason: Reason::status(410),
                },
                How::Unused => Outcome::Unused,
            };
            assert_eq!(wait(inbox.settle(lease, outcome)), model.settle(lease, how));
        }
        Step::Settle { .. } => {}
        Step::Resume => {
            assert_eq!(wait(inbox.resume(&north())), Ok(std::mem::take(&mut model.parked)));
        }
        Step::Redeliver { states, rate, run } => {
            let pace = Pace {
                per_second: rate.and_then(|rate| u32::from(rate).try_into().ok()),
            };
            let filter = Filter {
                states: Some(states.clone()),
                ..Filter::default()
            };
            let real = wait(inbox.redeliver(filter, pace, run)).unwrap();
            assert_eq!(real, model.redeliver(&states, rate, run));
        }
        Step::Release { run } => {
            let real = wait(inbox.release(Filter::default(), run)).unwrap();
            assert_eq!(real.changed, model.release(run));
        }
        Step::Remove { state } => {
            let filter = Filter {
                states: Some(vec![state]),
                ..Filter::default()
            };
            wait(inbox.remove(filter, Run::Real)).unwrap();
            model.remove(state);
        }
        Step::Retain => assert_eq!(wait(inbox.retain()), Ok(model.retain())),
        Step::Pass { seconds } => {
            model.now += seconds * 1000;
            subject.clock().advance(Duration::from_secs(seconds));
        }
        Step::Crash => {
            subject.crash();
            model.crash();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_inbox_does_what_its_model_does(steps in prop::collection::vec(steps(), 1..60)) {
        let bed = Bed::new();
        let inbox = bed.open();
        compare(&mut InFile { bed, inbox }, steps);
    }
}
