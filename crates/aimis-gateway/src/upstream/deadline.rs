//! One deadline over everything that is done for a question: connects, attempts, the answer's body.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tower::Layer;

use super::error::UpstreamError;
use super::reply::Reply;
use super::{Ask, Attempt};
use crate::clock;
use crate::telemetry::metrics::Metrics;

/// Makes [`Deadline`].
pub struct DeadlineLayer {
    limit: Duration,
    metrics: Arc<Metrics>,
}

impl DeadlineLayer {
    /// `limit` is `platform.deadline_ms`.
    pub fn new(limit: Duration, metrics: Arc<Metrics>) -> Self {
        Self { limit, metrics }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline {
            inner,
            limit: self.limit,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// Ends what takes too long. What it ends is dropped with its connection, never reused.
pub struct Deadline<S> {
    inner: S,
    limit: Duration,
    metrics: Arc<Metrics>,
}

impl<S> Deadline<S> {
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// When whatever begins now has to be done with; by tokio's clock, which a paused runtime controls.
    pub(super) fn expiry(&self) -> Instant {
        clock::timer_now() + self.limit
    }
}

impl<S> Deadline<S> {
    /// Asks what has to be done with at `expiry`, which it may share with others.
    pub(super) async fn ask_until<'a>(&self, attempt: Attempt<'a>, expiry: Instant) -> Result<Reply, UpstreamError>
    where
        S: Ask<Attempt<'a>, Error = UpstreamError>,
    {
        let course = attempt.course;
        // The layers below look at the end as well, and begin no wait that goes beyond it.
        course.end_at(expiry);
        // Less than half of the time that the platform is granted.
        if clock::timer_now() + self.limit / 2 > expiry {
            course.be_brief();
        }
        let mut answer = pin!(self.inner.ask(attempt));
        match timeout_at(expiry, answer.as_mut()).await {
            Ok(result) => result,
            Err(_) => {
                let late = UpstreamError::Deadline;
                self.metrics
                    .attempts(attempt.request.api(), late.attempt_result())
                    .inc();
                // Before what is below is dropped: a platform that is late is not a caller who has gone.
                course.time_out();
                Err(late)
            }
        }
    }
}
