//! Several questions under one deadline, so many at a time: whoever waits for all waits no longer than for one.

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::Instant;

use super::course::Course;
use super::error::UpstreamError;
use super::{Attempt, Platform, Sent};
use crate::forward::protect::ProtectedRequest;

impl Platform {
    /// Asks each of `requests`, at most `at_once` of them at a time, and gives what became of each in their order.
    pub async fn send_each(&self, requests: Vec<ProtectedRequest>, at_once: usize) -> Vec<Sent> {
        let expiry = self.stack.expiry();
        stream::iter(requests)
            .map(|request| self.send_until(request, expiry))
            .buffered(at_once.max(1))
            .collect()
            .await
    }

    async fn send_until(&self, request: ProtectedRequest, expiry: Instant) -> Sent {
        let start = self.clock.moment();
        let course = Course::default();
        // One whose turn comes too late is not asked at all: nobody would wait for its answer.
        let result = if tokio::time::sleep_until(expiry).now_or_never().is_some() {
            Err(UpstreamError::Deadline)
        } else {
            let first = Attempt::first(request, course.clone());
            self.stack.clone().call_until(first, expiry).await
        };
        Sent {
            result,
            attempts: course.attempts(),
            took: self.clock.moment().since(start),
            resigned: course.resigned(),
        }
    }
}
