//! The inbox against a plain model of it: random sequences of everything that can happen, crashes included.
//!
//! The model keeps a list and looks through all of it each time. It shares no code with the stores, only the words of
//! the trait. Any store can stand against it that can be opened anew ([`Subject`]).

mod plain;
mod steps;

use std::time::Duration;

use aimis_core::sign::Timestamp;
use proptest::prelude::*;

use super::postgres::testing::DatabaseBed;
use super::testing::{Bed, north, wait};
use super::{Filter, Inbox, Lease, Outcome, Pace, Postgres, Reason, Run, Sqlite};
use crate::clock::Clock;
use plain::{Model, Seen};
use steps::{How, Step, steps};

/// A store that can be killed and opened again.
trait Subject {
    fn inbox(&self) -> &dyn Inbox;
    fn clock(&self) -> &Clock;
    /// Kill -9, and a new start.
    fn crash(&mut self);
    /// Whether what was leased is up again when that start has happened, and not only when its time is over.
    fn crash_ends_leases(&self) -> bool;
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

    fn crash_ends_leases(&self) -> bool {
        true
    }
}

/// Two gateways on one database, asked in turn.
struct Shared {
    bed: DatabaseBed,
    inboxes: [Postgres; 2],
    turn: std::cell::Cell<usize>,
}

impl Subject for Shared {
    fn inbox(&self) -> &dyn Inbox {
        let turn = self.turn.get();
        self.turn.set(turn + 1);
        &self.inboxes[turn % 2]
    }

    fn clock(&self) -> &Clock {
        &self.bed.clock
    }

    fn crash(&mut self) {
        let turn = self.turn.get();
        self.inboxes[turn % 2] = self.bed.open();
    }

    /// The other one cannot know that its holder is gone.
    fn crash_ends_leases(&self) -> bool {
        false
    }
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
            listed.iter().map(Seen::from).collect::<Vec<_>>(),
            model.seen(),
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
                    after: Duration::from_secs(seconds),
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
                per_minute: rate.and_then(|rate| (60 * u32::from(rate)).try_into().ok()),
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
            if subject.crash_ends_leases() {
                model.crash();
            }
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

proptest! {
    // A step costs a dozen statements here.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_inbox_in_a_database_does_what_its_model_does(steps in prop::collection::vec(steps(), 1..60)) {
        let bed = DatabaseBed::again();
        let inboxes = [bed.open(), bed.open()];
        compare(&mut Shared { bed, inboxes, turn: 0.into() }, steps);
    }
}
