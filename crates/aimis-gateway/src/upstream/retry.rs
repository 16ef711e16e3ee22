//! A second attempt when a pooled connection turned out to be closed.
//!
//! The platform may close a connection while our request is on its way; that says nothing about the
//! request. All questions only read, so asking again is safe. The second attempt is signed anew and
//! opens a connection of its own, so it cannot fail in the same way.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::error::{AttemptError, UpstreamError};
use super::reply::Reply;
use super::{Answer, Attempt};

/// Makes [`Retry`].
pub struct RetryLayer;

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner }
    }
}

/// Asks again, once, when the connection was a stale one.
#[derive(Clone)]
pub struct Retry<S> {
    inner: S,
}

impl<S> Retry<S> {
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S> Service<Attempt> for Retry<S>
where
    S: Service<Attempt, Response = Reply, Error = AttemptError, Future = Answer<AttemptError>> + Clone + 'static,
{
    type Response = Reply;
    type Error = UpstreamError;
    type Future = Answer<UpstreamError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(cx).map_err(|failed| failed.error)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let again = Attempt {
            request: attempt.request.clone(),
            fresh_connection: true,
            count: attempt.count.clone(),
        };
        let mut inner = self.inner.clone();
        let first = self.inner.call(attempt);
        Box::pin(async move {
            match first.await {
                Err(AttemptError {
                    error: UpstreamError::NoAnswer,
                    reused: true,
                }) => inner.call(again).await.map_err(|failed| failed.error),
                other => other.map_err(|failed| failed.error),
            }
        })
    }
}
