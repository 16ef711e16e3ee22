//! What the layers of one question tell each other while it runs.
//!
//! A deadline drops everything below it at once, so what has to be known afterwards is kept outside of it.

use std::cell::Cell;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::time::Instant;

use crate::limit::Repeats;

/// The course of one question.
#[derive(Default)]
pub struct Course {
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
        Self {
            repeats: Some(repeats),
            ..Self::default()
        }
    }

    /// Whether the platform may be asked for the tenant at all.
    pub(super) fn is_open(&self) -> bool {
        self.repeats.as_ref().is_none_or(Repeats::is_open)
    }

    /// Takes of the tenant's quota what a further attempt costs, if there is enough.
    pub(super) async fn pay_again(&self) -> bool {
        match &self.repeats {
            Some(repeats) => repeats.take().await,
            None => true,
        }
    }

    /// How often the platform was asked.
    pub fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// The timestamp of the last attempt.
    pub(super) fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at.get()
    }

    /// Notes an attempt.
    pub(super) fn attempt(&self, signed_at: Timestamp) {
        self.attempts.set(self.attempts.get() + 1);
        self.signed_at.set(Some(signed_at));
    }

    /// Whether an attempt was signed by the platform's clock, because ours differs.
    pub fn resigned(&self) -> bool {
        self.resigned.get()
    }

    pub(super) fn resign(&self) {
        self.resigned.set(true);
    }

    /// How long the platform asks to be left alone, if it said that too much is asked.
    pub(super) fn slow_down(&self) -> Option<Duration> {
        self.slow_down.get()
    }

    pub(super) fn ask_less(&self, wait: Duration) {
        self.slow_down.set(Some(wait));
    }

    /// When all has to be done; `None` without a deadline.
    pub(super) fn end(&self) -> Option<Instant> {
        self.end.get()
    }

    pub(super) fn end_at(&self, end: Instant) {
        self.end.set(Some(end));
    }

    /// It was begun late, by a turn that came late: so little is left that its end says nothing about the platform.
    pub(super) fn be_brief(&self) {
        self.brief.set(true);
    }

    /// Whether the deadline ended it though the platform had had time enough; otherwise it was begun too late, or
    /// whoever asked has gone.
    pub(super) fn timed_out(&self) -> bool {
        self.over.get() && !self.brief.get()
    }

    pub(super) fn time_out(&self) {
        self.over.set(true);
    }
}
