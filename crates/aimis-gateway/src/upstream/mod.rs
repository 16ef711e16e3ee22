//! One remote peer, the imaging platform: what is needed to ask it a question and get a whole answer.
//!
//! `deadline > retry > sign > pool`, a file each, outermost first. A [`ProtectedRequest`] goes in at the
//! top; only an attempt turns it into a [`sign::SignedRequest`], and only that can be sent.
//!
//! Everything here belongs to one worker and is touched by its thread alone: no lock, no atomic counter
//! on the way but those of the metrics.

pub mod addresses;
pub mod connect;
pub mod deadline;
pub mod envelope;
pub mod error;
pub mod pool;
pub mod proxy;
pub mod reply;
pub mod retry;
pub mod sign;
pub mod tls;
mod wire;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tower::{Service, ServiceBuilder};

use crate::clock::Clock;
use crate::config::Platform as Settings;
use crate::forward::protect::ProtectedRequest;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

use connect::Connector;
use deadline::{Deadline, DeadlineLayer};
use error::UpstreamError;
use pool::Pool;
use reply::Reply;
use retry::{Retry, RetryLayer};
use sign::{Sign, SignLayer};

/// What each layer returns. One box a layer is nothing beside a round trip (about 25 ns each); a named
/// future would be forty lines.
pub(crate) type Answer<E> = LocalBoxFuture<'static, Result<Reply, E>>;

/// The imaging platform, as one worker reaches it.
#[derive(Clone)]
pub struct Platform {
    stack: Deadline<Retry<Sign<Pool>>>,
    clock: Clock,
}

/// What became of one question.
pub struct Sent {
    /// The answer, or why there is none.
    pub result: Result<Reply, UpstreamError>,
    /// How often the platform was asked.
    pub attempts: u32,
    /// Time from the first attempt to the end.
    pub took: Duration,
}

/// Counts the attempts of one request; shared by its layers, since a deadline drops them all.
#[derive(Clone, Default)]
pub struct AttemptCount(Rc<Cell<u32>>);

impl AttemptCount {
    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// One try to get an answer.
pub struct Attempt {
    pub(crate) request: ProtectedRequest,
    /// Use no pooled connection: the last one turned out to be closed.
    pub(crate) fresh_connection: bool,
    pub(crate) count: AttemptCount,
}

impl Platform {
    /// A worker's own way to the platform. `signing_clock` is `clock` with `clock.offset_ms` in it.
    pub fn new(
        settings: &Settings,
        connector: Connector,
        clock: &Clock,
        signing_clock: &Clock,
        metrics: &Arc<Metrics>,
        log: Log,
    ) -> Self {
        let pool = Pool::new(settings, connector, clock.clone(), Arc::clone(metrics), log);
        let stack = ServiceBuilder::new()
            // The caller's wait is bounded whatever happens below: connects, retries, slow bodies.
            .layer(DeadlineLayer::new(settings.deadline, Arc::clone(metrics)))
            // Above the signature, since every attempt needs one of its own.
            .layer(RetryLayer)
            .layer(SignLayer::new(signing_clock.clone()))
            .service(pool);
        Self {
            stack,
            clock: clock.clone(),
        }
    }

    /// Asks the platform.
    pub async fn send(&self, request: ProtectedRequest) -> Sent {
        let start = self.clock.moment();
        let count = AttemptCount::default();
        let first = Attempt {
            request,
            fresh_connection: false,
            count: count.clone(),
        };
        let result = self.stack.clone().call(first).await;
        Sent {
            result,
            attempts: count.0.get(),
            took: self.clock.moment().since(start),
        }
    }

    /// Closes pooled connections that were idle for too long; called now and then by the worker.
    pub fn close_idle(&self) {
        self.stack.inner().inner().inner().close_idle();
    }
}
