//! A platform that fails and fails is left alone for a while: one [`Circuit`] per tenant and API, for all workers.
//!
//! Above the signature, so that what is not sent is not signed; below the retries, so that each attempt counts.
//! What counts as failure is what tells of the platform or the way to it: no connection, no whole answer in
//! time, 5xx. A code that speaks of the caller's data never does, whatever its status.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tower::{Layer, Service};

use super::circuit::{Admission, Circuit, Rules, State};
use super::course::Course;
use super::error::{AttemptError, UpstreamError};
use super::jitter::Jitter;
use super::reply::Reply;
use super::{Answer, Attempt};
use crate::clock::{Clock, Moment};
use crate::config::Breaker as Settings;
use crate::forward::protect::ProtectedRequest;
use crate::snapshot::Snapshot;
use crate::telemetry::event::Event;
use crate::telemetry::labels::{BreakerState, CodeClass};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::tenant::Tenant;

/// What a caller is told to wait while a probe is on its way.
const WHILE_PROBING: Duration = Duration::from_secs(1);

/// The breakers of all tenants and APIs.
pub struct Breakers {
    enabled: bool,
    open: Duration,
    /// Tenant by tenant; each has one for every API.
    all: Vec<Arc<Breaker>>,
    settings: Settings,
    tenants: Vec<Arc<Tenant>>,
    apis: usize,
    /// Tells questions apart; keyed anew in each process, so that a number tells nothing of a patient.
    hasher: RandomState,
    clock: Clock,
    jitter: Arc<Jitter>,
    snapshot: Arc<Snapshot>,
    metrics: Arc<Metrics>,
    log: Log,
}

struct Breaker {
    circuit: Mutex<Circuit>,
    /// Index of its state, for the metric: read without the lock.
    shown: AtomicUsize,
}

impl Breakers {
    /// All closed, but for those of `before` that stay as they are: of tenants that stay, under the same rules.
    pub fn after(
        before: Option<&Self>,
        settings: &Settings,
        snapshot: Arc<Snapshot>,
        clock: Clock,
        jitter: Arc<Jitter>,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> Self {
        let rules = Rules {
            ratio_percent: settings.ratio_percent,
            min_requests: settings.min_requests,
            window: settings.window,
            consecutive: settings.consecutive,
        };
        let apis = snapshot.apis.names().len();
        let breaker = || {
            Arc::new(Breaker {
                circuit: Mutex::new(Circuit::new(rules)),
                shown: AtomicUsize::new(BreakerState::Closed.index()),
            })
        };
        let tenants = snapshot.tenants.all().to_vec();
        let before = before.filter(|before| before.settings == *settings && before.apis == apis);
        let of_tenant = |tenant: &Arc<Tenant>| -> Vec<Arc<Breaker>> {
            let old = before.and_then(|before| {
                let at = before.tenants.iter().position(|old| old.is_same(tenant))?;
                Some(before.all[at * apis..][..apis].to_vec())
            });
            old.unwrap_or_else(|| (0..apis).map(|_| breaker()).collect())
        };
        Self {
            enabled: settings.enabled,
            open: settings.open,
            all: tenants.iter().flat_map(of_tenant).collect(),
            settings: settings.clone(),
            tenants,
            apis,
            hasher: RandomState::new(),
            clock,
            jitter,
            snapshot,
            metrics,
            log,
        }
    }

    fn of(&self, request: &ProtectedRequest) -> &Breaker {
        &self.all[request.tenant().index * self.apis + request.api()]
    }

    /// How long a tenant's questions to an API are refused if one came now; changes nothing.
    pub fn suspended(&self, tenant: usize, api: usize) -> Option<Duration> {
        let breaker = &self.all[tenant * self.apis + api];
        // Closed as a rule, and seen without the lock.
        if !self.enabled || breaker.shown.load(Ordering::Relaxed) == BreakerState::Closed.index() {
            return None;
        }
        let circuit = breaker.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = circuit.refusal(self.clock.moment())?;
        Some(wait.max(WHILE_PROBING))
    }

    /// Lets a question pass, or tells how long to wait.
    fn admit(self: &Arc<Self>, attempt: &Attempt) -> Result<Pass, Duration> {
        let request = &attempt.request;
        let admission = self.change(request, |circuit, now| circuit.admit(now));
        let probe = match admission {
            Admission::Pass => false,
            Admission::Probe => true,
            Admission::Refused(wait) => return Err(wait.max(WHILE_PROBING)),
        };
        Ok(Pass {
            breakers: Arc::clone(self),
            request: request.clone(),
            course: attempt.course.clone(),
            probe,
            told: false,
        })
    }

    /// Changes a breaker and tells of it if its state is another then.
    fn change<T>(&self, request: &ProtectedRequest, change: impl FnOnce(&mut Circuit, Moment) -> T) -> T {
        let breaker = self.of(request);
        let now = self.clock.moment();
        let mut circuit = breaker.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let before = circuit.state();
        let result = change(&mut circuit, now);
        let after = circuit.state();
        drop(circuit);
        if label(before) != label(after) {
            breaker.shown.store(label(after).index(), Ordering::Relaxed);
            self.show(request.api());
            let (tenant, api) = (&request.tenant().name, self.snapshot.apis.name(request.api()));
            match (before, after) {
                (State::Closed, _) => self.log.write(&Event::BreakerOpened { tenant, api }),
                (_, State::Closed) => self.log.write(&Event::BreakerClosed { tenant, api }),
                _ => {}
            }
        }
        result
    }

    /// Shows the worst state of an API's breakers. Called now and then as well, since two workers may show theirs
    /// in another order than they changed it.
    fn show(&self, api: usize) {
        let states = self.all.iter().skip(api).step_by(self.apis);
        let worst = states
            .map(|breaker| breaker.shown.load(Ordering::Relaxed))
            .max()
            .unwrap_or(0);
        self.metrics.breaker(api, BreakerState::ALL[worst]);
    }

    /// Shows the state of every API.
    pub fn show_all(&self) {
        (0..self.apis).for_each(|api| self.show(api));
    }

    /// Whether an outcome tells of a platform in trouble; `None` if it tells nothing.
    fn failed(&self, api: usize, outcome: &Result<Reply, AttemptError>) -> Option<bool> {
        match outcome {
            Ok(reply) => {
                let about_data = reply
                    .envelope()
                    .code()
                    .is_some_and(|code| self.snapshot.class_of(api, Some(code)) == CodeClass::Data);
                Some(reply.status().is_server_error() && !about_data)
            }
            Err(failed) if failed.unprocessed => None,
            Err(failed) => match failed.error {
                UpstreamError::Busy | UpstreamError::Suspended(_) | UpstreamError::TurnTimeout => None,
                // The platform closed what had been idle, as it may.
                UpstreamError::NoAnswer if failed.reused => None,
                // It answered, and would again; it is this question that has too much to answer.
                UpstreamError::TooLarge => Some(false),
                UpstreamError::NotEnvelope(..) => Some(
                    failed
                        .head
                        .is_none_or(|head| head.status != http::StatusCode::TOO_MANY_REQUESTS),
                ),
                UpstreamError::Dns
                | UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Certificate(_)
                | UpstreamError::Tls
                | UpstreamError::Proxy(_)
                | UpstreamError::Deadline
                | UpstreamError::NoAnswer
                | UpstreamError::Cut
                | UpstreamError::NotHttp => Some(true),
            },
        }
    }
}

fn label(state: State) -> BreakerState {
    match state {
        State::Closed => BreakerState::Closed,
        State::Open { .. } => BreakerState::Open,
        State::HalfOpen { .. } => BreakerState::HalfOpen,
    }
}

/// Leave to ask once. Dropped without a word it is a failure if the deadline ended it, and nothing if it was begun
/// too late or the caller has gone; the place of a probe is free again in each case.
struct Pass {
    breakers: Arc<Breakers>,
    request: ProtectedRequest,
    course: Course,
    probe: bool,
    told: bool,
}

impl Pass {
    fn record(mut self, outcome: &Result<Reply, AttemptError>) {
        if let Some(failed) = self.breakers.failed(self.request.api(), outcome) {
            self.tell(failed);
        }
    }

    fn tell(&mut self, failed: bool) {
        self.told = true;
        let breakers = &self.breakers;
        let jittered = breakers.open + breakers.jitter.up_to(breakers.open / 5);
        let question = breakers
            .hasher
            .hash_one((self.request.tenant().index, self.request.body()));
        breakers.change(&self.request, |circuit, now| {
            if self.probe {
                circuit.record_probe(failed, now.after(jittered));
            } else {
                circuit.record(now, question, failed, now.after(jittered));
            }
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        if self.course.timed_out() {
            self.tell(true);
        } else if self.probe {
            self.breakers
                .change(&self.request, |circuit, _| circuit.abandon_probe());
        }
    }
}

/// Makes [`BreakerGate`].
pub struct BreakerLayer(Arc<Breakers>);

impl BreakerLayer {
    /// Asks `breakers` before each attempt.
    pub fn new(breakers: Arc<Breakers>) -> Self {
        Self(breakers)
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = BreakerGate<S>;

    fn layer(&self, inner: S) -> BreakerGate<S> {
        BreakerGate {
            inner,
            breakers: Arc::clone(&self.0),
        }
    }
}

/// Lets attempts through as long as the platform is not given up.
#[derive(Clone)]
pub struct BreakerGate<S> {
    inner: S,
    breakers: Arc<Breakers>,
}

impl<S> BreakerGate<S> {
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S> Service<Attempt> for BreakerGate<S>
where
    S: Service<Attempt, Response = Reply, Error = AttemptError, Future = Answer<AttemptError>>,
{
    type Response = Reply;
    type Error = AttemptError;
    type Future = Answer<AttemptError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        if !self.breakers.enabled {
            return self.inner.call(attempt);
        }
        let pass = match self.breakers.admit(&attempt) {
            Ok(pass) => pass,
            Err(wait) => {
                let refused = AttemptError::new(UpstreamError::Suspended(wait), false);
                return Box::pin(std::future::ready(Err(refused)));
            }
        };
        let answer = self.inner.call(attempt);
        Box::pin(async move {
            let outcome = answer.await;
            pass.record(&outcome);
            outcome
        })
    }
}
