//! One deadline over everything that is done for a question: connects, attempts, the answer's body.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, Service};

use super::error::UpstreamError;
use super::{Answer, Attempt};
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
#[derive(Clone)]
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
        tokio::time::sleep(self.limit).deadline()
    }
}

impl<S> Deadline<S>
where
    S: Service<Attempt, Response = super::reply::Reply, Error = UpstreamError, Future = Answer<UpstreamError>>,
{
    /// Begins what has to be done with at `expiry`, which it may share with others.
    pub(super) fn call_until(&mut self, attempt: Attempt, expiry: Instant) -> Answer<UpstreamError> {
        let api = attempt.request.api();
        let course = attempt.course.clone();
        // The layers below look at the end as well, and begin no wait that goes beyond it.
        course.end_at(expiry);
        // Less than half of the time that the platform is granted, asked of the timer.
        if tokio::time::sleep(self.limit / 2).deadline() > expiry {
            course.be_brief();
        }
        let mut answer = self.inner.call(attempt);
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move {
            tokio::time::timeout_at(expiry, &mut answer)
                .await
                .unwrap_or_else(|_elapsed| {
                    metrics.attempts(api, UpstreamError::Deadline.attempt_result()).inc();
                    // Before what is below is dropped: a platform that is late is not a caller who has gone.
                    course.time_out();
                    drop(answer);
                    Err(UpstreamError::Deadline)
                })
        })
    }
}

impl<S> Service<Attempt> for Deadline<S>
where
    S: Service<Attempt, Response = super::reply::Reply, Error = UpstreamError, Future = Answer<UpstreamError>>,
{
    type Response = S::Response;
    type Error = UpstreamError;
    type Future = Answer<UpstreamError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let expiry = self.expiry();
        self.call_until(attempt, expiry)
    }
}
