//! What the layers of one question tell each other while it runs.
//!
//! A deadline drops everything below it at once, so what has to be known afterwards is kept outside of it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::time::Instant;

use super::error::AttemptError;
use super::reply::Reply;
use crate::clock::{Clock, Moment};
use crate::limit::Repeats;
use crate::telemetry::labels::AttemptResult;
use crate::telemetry::traces::Tried;

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
    /// Where attempts are traced.
    clock: Option<Clock>,
    tries: RefCell<Vec<Tried>>,
}

/// An attempt that is under way. Dropped untold it was ended by the deadline.
pub(super) struct Try<'a> {
    course: &'a Course,
    clock: &'a Clock,
    begun: Moment,
    told: bool,
}

impl Try<'_> {
    /// Notes what came of it.
    pub(super) fn end(mut self, outcome: &Result<Reply, AttemptError>) {
        self.told = true;
        match outcome {
            Ok(reply) => {
                let code = reply.envelope().code();
                let result = if code == Some(0) {
                    AttemptResult::Ok
                } else {
                    AttemptResult::Business
                };
                self.note(result, Some(reply.status().as_u16()), code);
            }
            Err(failed) => {
                let status = failed.head.map(|head| head.status.as_u16());
                self.note(failed.error.attempt_result(), status, None);
            }
        }
    }

    fn note(&self, result: AttemptResult, status: Option<u16>, code: Option<i64>) {
        self.course.tries.borrow_mut().push(Tried {
            begun: self.begun,
            ended: self.clock.moment(),
            result,
            status,
            code,
        });
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.note(AttemptResult::Timeout, None, None);
        }
    }
}

impl Course {
    /// Of a question whose further attempts are bounded by `repeats`.
    pub fn bounded(repeats: Repeats) -> Self {
        Self {
            repeats: Some(repeats),
            ..Self::default()
        }
    }

    /// The same, with its attempts traced by `clock`.
    pub(super) fn traced(self, clock: Option<Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Begins to trace an attempt, where they are.
    pub(super) fn begin(&self) -> Option<Try<'_>> {
        let clock = self.clock.as_ref()?;
        Some(Try {
            course: self,
            clock,
            begun: clock.moment(),
            told: false,
        })
    }

    /// The attempts that were traced.
    pub(super) fn into_tries(self) -> Vec<Tried> {
        self.tries.into_inner()
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
