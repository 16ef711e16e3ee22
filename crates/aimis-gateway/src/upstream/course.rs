//! What the layers of one question tell each other while it runs.
//!
//! A deadline drops everything below it at once, so what has to be known afterwards is kept outside of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::time::Instant;

use crate::limit::Repeats;

/// The course of one question. Cloning gives another handle; all belong to one worker's thread.
#[derive(Clone, Default)]
pub struct Course(Rc<Facts>);

#[derive(Default)]
struct Facts {
    /// None where nothing bounds what is asked.
    repeats: Option<Repeats>,
    attempts: Cell<u32>,
    signed_at: Cell<Option<Timestamp>>,
    resigned: Cell<bool>,
    slow_down: Cell<Option<Duration>>,
    end: Cell<Option<Instant>>,
    brief: Cell<bool>,
    over: Cell<bool>,
}

impl Course {
    /// Of a question whose further attempts are bounded by `repeats`.
    pub fn bounded(repeats: Repeats) -> Self {
        Self(Rc::new(Facts {
            repeats: Some(repeats),
            ..Facts::default()
        }))
    }

    /// Whether the platform may be asked for the tenant at all.
    pub(super) fn is_open(&self) -> bool {
        self.0.repeats.as_ref().is_none_or(Repeats::is_open)
    }

    /// Takes of the tenant's quota what a further attempt costs, if there is enough.
    pub(super) fn pay_again(&self) -> bool {
        self.0.repeats.as_ref().is_none_or(Repeats::take)
    }

    /// How often the platform was asked.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.get()
    }

    /// The timestamp of the last attempt.
    pub(super) fn signed_at(&self) -> Option<Timestamp> {
        self.0.signed_at.get()
    }

    /// Notes an attempt.
    pub(super) fn attempt(&self, signed_at: Timestamp) {
        self.0.attempts.set(self.0.attempts.get() + 1);
        self.0.signed_at.set(Some(signed_at));
    }

    /// Whether an attempt was signed by the platform's clock, because ours differs.
    pub fn resigned(&self) -> bool {
        self.0.resigned.get()
    }

    pub(super) fn resign(&self) {
        self.0.resigned.set(true);
    }

    /// How long the platform asks to be left alone, if it said that too much is asked.
    pub(super) fn slow_down(&self) -> Option<Duration> {
        self.0.slow_down.get()
    }

    pub(super) fn ask_less(&self, wait: Duration) {
        self.0.slow_down.set(Some(wait));
    }

    /// When all has to be done; `None` without a deadline.
    pub(super) fn end(&self) -> Option<Instant> {
        self.0.end.get()
    }

    pub(super) fn end_at(&self, end: Instant) {
        self.0.end.set(Some(end));
    }

    /// It was begun late, by a turn that came late: so little is left that its end says nothing about the platform.
    pub(super) fn be_brief(&self) {
        self.0.brief.set(true);
    }

    /// Whether the deadline ended it though the platform had had time enough; otherwise it was begun too late, or
    /// whoever asked has gone.
    pub(super) fn timed_out(&self) -> bool {
        self.0.over.get() && !self.0.brief.get()
    }

    pub(super) fn time_out(&self) {
        self.0.over.set(true);
    }
}
