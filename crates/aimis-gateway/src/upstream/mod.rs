//! One remote peer, the imaging platform: what is needed to ask it a question and get a whole answer.
//!
//! `deadline > retry > breaker > sign > pool`, a file each, outermost first. A [`ProtectedRequest`] goes in
//! at the top; only an attempt turns it into a [`sign::SignedRequest`], and only that can be sent.
//!
//! The stack belongs to one worker and is touched by its thread alone. What is known of the platform as a
//! whole is [`Shared`]: retry budget, breakers, clock. The state machines behind these are pure, a file each
//! ([`budget`], [`circuit`], [`clock_offset`]); their locks are held for microseconds and never over a wait.

pub mod addresses;
pub mod breaker;
pub mod budget;
pub mod circuit;
pub mod clock_offset;
pub mod clock_watch;
pub mod connect;
pub mod course;
pub mod deadline;
pub mod envelope;
pub mod error;
mod http_date;
pub mod jitter;
mod likeness;
pub mod multiplexed;
pub mod pool;
pub mod proxy;
pub mod reply;
pub mod retry;
pub mod sign;
#[cfg(test)]
mod tests;
pub mod tls;
mod wire;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::clock::{self, Clock};
use crate::config::{Config, Platform as Settings};
use crate::forward::protect::ProtectedRequest;
use crate::limit::Repeats;
use crate::snapshot::Snapshot;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tried;

use breaker::{BreakerGate, BreakerLayer, Breakers};
use budget::RetryBudget;
use clock_watch::ClockWatch;
use connect::Connector;
use course::Course;
use deadline::{Deadline, DeadlineLayer};
use error::UpstreamError;
use jitter::Jitter;
use pool::Pool;
use reply::Reply;
use retry::{Policy, Retry, RetryLayer};
use sign::{Sign, SignLayer};

/// What a question can be asked of: the pool, or a layer with all that is below it.
///
/// The layers are stacked up by tower. Its `Service` is not their trait, since a future of that kind owns what it works
/// with: in each layer a box, a clone of the stack below and one of the request. Here they make up one future, which
/// borrows (docs/performance.md).
pub(crate) trait Ask<Q> {
    /// Why there is no answer.
    type Error;

    /// Asks, and waits for the answer.
    async fn ask(&self, question: Q) -> Result<Reply, Self::Error>;
}

/// The imaging platform, as one worker reaches it. Cloning gives another handle.
#[derive(Clone)]
pub struct Platform {
    stack: Rc<Deadline<Retry<BreakerGate<Sign<Pool>>>>>,
    shared: Arc<Shared>,
    clock: Clock,
}

/// What all workers know of the platform together.
pub struct Shared {
    snapshot: Arc<Snapshot>,
    budget: Arc<RetryBudget>,
    jitter: Arc<Jitter>,
    breakers: Arc<Breakers>,
    watch: Arc<ClockWatch>,
    metrics: Arc<Metrics>,
    settings: Settings,
    /// Attempts are traced.
    traced: bool,
}

impl Shared {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        config: &Config,
        snapshot: &Arc<Snapshot>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        log: &Log,
    ) -> io::Result<Arc<Self>> {
        Self::after(None, config, snapshot, clock, metrics, log)
    }

    /// Knows what the one `before` it knew, as far as that is still true.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn after(
        before: Option<&Self>,
        config: &Config,
        snapshot: &Arc<Snapshot>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        log: &Log,
    ) -> io::Result<Arc<Self>> {
        let jitter = match before {
            Some(before) => Arc::clone(&before.jitter),
            None => Arc::new(Jitter::new()?),
        };
        let same_platform = before.filter(|before| before.settings == config.platform);
        let breakers = Breakers::after(
            same_platform.map(|before| &*before.breakers),
            &config.breaker,
            Arc::clone(snapshot),
            clock.clone(),
            Arc::clone(&jitter),
            Arc::clone(metrics),
            log.clone(),
        )?;
        let watch = || {
            let clock = clock.shifted(config.clock.offset_ms);
            Arc::new(ClockWatch::new(&config.clock, clock, Arc::clone(metrics), log.clone()))
        };
        let budget = || Arc::new(RetryBudget::new(budget::Terms::of(&config.platform), clock.clone()));
        let shared = Self {
            snapshot: Arc::clone(snapshot),
            budget: same_platform.map_or_else(budget, |before| Arc::clone(&before.budget)),
            jitter,
            breakers: Arc::new(breakers),
            watch: before.map_or_else(watch, |before| Arc::clone(&before.watch)),
            metrics: Arc::clone(metrics),
            settings: config.platform.clone(),
            traced: config.traces.target().is_some(),
        };
        shared.show();
        Ok(Arc::new(shared))
    }

    /// Shows what changes by itself as time goes by.
    fn show(&self) {
        self.metrics.retry_budget.set(self.budget.left());
        self.breakers.show_all();
    }
}

/// What became of one question.
pub struct Sent {
    /// The answer, or why there is none.
    pub result: Result<Reply, UpstreamError>,
    /// How often the platform was asked.
    pub attempts: u32,
    /// Time from the first attempt to the end.
    pub took: Duration,
    /// An attempt was signed by the platform's clock, since ours is off.
    pub resigned: bool,
    /// The deadline ended it, and the platform had had half of `platform.deadline_ms` at least.
    pub timed_out: bool,
    /// The platform said that too much is asked (status 429, or a code with `brake`): how long it asks to be left
    /// alone, zero if it did not say.
    pub slow_down: Option<Duration>,
    /// The attempts, where they are traced.
    pub tries: Vec<Tried>,
}

/// One try to get an answer.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub(crate) request: &'a ProtectedRequest,
    /// Use no pooled connection: the last one turned out to be closed.
    pub(crate) fresh_connection: bool,
    /// Milliseconds to add to our clock, which was found to be off.
    pub(crate) correction: Option<i64>,
    pub(crate) course: &'a Course,
}

impl<'a> Attempt<'a> {
    /// The first try.
    fn first(request: &'a ProtectedRequest, course: &'a Course) -> Self {
        Self {
            request,
            fresh_connection: false,
            correction: None,
            course,
        }
    }
}

impl Platform {
    /// A worker's own way to the platform.
    pub fn new(settings: &Settings, connector: Connector, clock: &Clock, shared: &Arc<Shared>, log: Log) -> Self {
        let pool = Pool::new(settings, connector, clock.clone(), Arc::clone(&shared.metrics), log);
        Self::over(pool, settings, clock, shared)
    }

    /// The same way, with its connections, under other settings.
    pub fn following(&self, settings: &Settings, shared: &Arc<Shared>) -> Self {
        Self::over(self.pool().clone(), settings, &self.clock, shared)
    }

    fn over(pool: Pool, settings: &Settings, clock: &Clock, shared: &Arc<Shared>) -> Self {
        let metrics = &shared.metrics;
        let stack = ServiceBuilder::new()
            // The caller's wait is bounded whatever happens below: connects, retries, slow bodies.
            .layer(DeadlineLayer::new(settings.deadline, Arc::clone(metrics)))
            // Above the signature, since every attempt needs one of its own, and above the breaker, which
            // may open between two attempts.
            .layer(RetryLayer::new(Policy::new(settings, shared)))
            // Above the signature: what is not sent is not signed.
            .layer(BreakerLayer::new(Arc::clone(&shared.breakers)))
            .layer(SignLayer::new(Arc::clone(&shared.watch)))
            .service(pool);
        Self {
            stack: Rc::new(stack),
            shared: Arc::clone(shared),
            clock: clock.clone(),
        }
    }

    /// When whatever is asked from now on has to be done with: `platform.deadline_ms` ahead.
    pub fn deadline(&self) -> Instant {
        self.stack.expiry()
    }

    /// How long the platform is not asked for this tenant and API, as it failed too often. To be looked at before a
    /// question pays for its turn; `send` looks for itself.
    pub fn suspended(&self, tenant: usize, api: usize) -> Option<Duration> {
        self.shared.breakers.suspended(tenant, api)
    }

    /// Asks the platform, until `deadline` at most, which several questions may share; again as far as `repeats` let.
    pub async fn send(&self, request: ProtectedRequest, repeats: Repeats, deadline: Instant) -> Sent {
        let start = self.clock.moment();
        let course = Course::bounded(repeats).traced(self.shared.traced.then(|| self.clock.clone()));
        // One whose turn comes too late is not asked at all: nobody would wait for its answer.
        let result = if clock::timer_now() >= deadline {
            Err(UpstreamError::Deadline)
        } else {
            self.stack.ask_until(Attempt::first(&request, &course), deadline).await
        };
        Sent {
            result,
            attempts: course.attempts(),
            took: self.clock.moment().since(start),
            resigned: course.resigned(),
            timed_out: course.timed_out(),
            slow_down: course.slow_down(),
            tries: course.into_tries(),
        }
    }

    /// How far our clock is ahead of the platform's, below 0 behind, when that is more than `clock.warn_ms`.
    pub fn clock_off_ms(&self) -> Option<i64> {
        self.shared.watch.off_ms()
    }

    fn pool(&self) -> &Pool {
        self.stack.inner().inner().inner().inner()
    }

    /// Closes pooled connections that were idle for too long; called now and then by the worker.
    pub fn close_idle(&self) {
        self.pool().close_idle();
        self.shared.show();
    }
}
