//! Further attempts, where a repeat is safe and may help. All questions only read, so each may be repeated.
//!
//! | reason | how often | waits | budget |
//! |---|---|---|---|
//! | a pooled connection turned out to be closed | once | no | free: it says nothing about the platform |
//! | HTTP/2: the connection ended in order before the question was taken up | 8 times | no | free: the same |
//! | signature refused while the clocks differ | once | no | free: a cure, not a hope |
//! | no connection, no answer, 502, 503, 504 | `platform.max_retries` together | full jitter, or `Retry-After` | counted |
//! | a code that the table of codes says to repeat | once of these | the same | counted |
//!
//! Each but the first kind takes of the tenant's quota what its question weighs, at the moment it goes; the first was
//! paid for by the attempt that the platform did not read. Where the quota has not enough, where others wait for it, or
//! where the tap is closed because the platform said that too much is asked, there is no further attempt of any kind.
//!
//! All of it inside the one deadline above: a wait that would not end in time is not begun. In the end the
//! platform's last word is what the caller gets, unchanged.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::Class;
use http::StatusCode;
use tower::Layer;

use super::budget::RetryBudget;
use super::clock_watch::ClockWatch;
use super::error::{AttemptError, UpstreamError};
use super::jitter::Jitter;
use super::reply::Reply;
use super::{Ask, Attempt};
use crate::clock;
use crate::config::Platform as Settings;
use crate::snapshot::Snapshot;
use crate::telemetry::labels::RetryReason;
use crate::telemetry::metrics::Metrics;

/// When to ask again.
#[derive(Clone)]
pub struct Policy {
    /// `platform.max_retries`.
    pub most: u32,
    /// `platform.retry_base_ms`: the longest first wait, doubled for each further one.
    pub base: Duration,
    /// `platform.retry_max_ms`: the longest wait of all.
    pub cap: Duration,
    /// What all workers may spend.
    pub budget: Arc<RetryBudget>,
    /// For the waits.
    pub jitter: Arc<Jitter>,
    /// For the codes.
    pub snapshot: Arc<Snapshot>,
    /// Measures the clock anew when a signature is refused.
    pub watch: Arc<ClockWatch>,
    /// For counting.
    pub metrics: Arc<Metrics>,
}

/// Free repeats of a question that was not taken up: so many connections may end under a burst.
const MOST_UNPROCESSED: u32 = 8;

/// What was done about one question so far.
#[derive(Default)]
struct Used {
    stale: bool,
    unprocessed: u32,
    code: bool,
    counted: u32,
}

/// How to ask again.
struct Again {
    reason: RetryReason,
    wait: Duration,
    /// Milliseconds to add to our clock for the signature.
    correction: Option<i64>,
}

impl Policy {
    /// The policy of `[platform]`, with the parts that workers share.
    pub fn new(settings: &Settings, shared: &super::Shared) -> Self {
        Self {
            most: settings.max_retries,
            base: settings.retry_base,
            cap: settings.retry_max,
            budget: Arc::clone(&shared.budget),
            jitter: Arc::clone(&shared.jitter),
            snapshot: Arc::clone(&shared.snapshot),
            watch: Arc::clone(&shared.watch),
            metrics: Arc::clone(&shared.metrics),
        }
    }

    /// Whether to ask again after `outcome`, and how. Says yes at most so often that it ends.
    fn judge(&self, attempt: Attempt<'_>, outcome: &Result<Reply, AttemptError>, used: &mut Used) -> Option<Again> {
        if let Some(wait) = self.too_much(attempt.request.api(), outcome) {
            attempt.course.ask_less(wait);
            return None;
        }
        let at_once = |reason| Again {
            reason,
            wait: Duration::ZERO,
            correction: None,
        };
        if matches!(outcome, Err(failed) if failed.unprocessed) && used.unprocessed < MOST_UNPROCESSED {
            used.unprocessed += 1;
            return Some(at_once(RetryReason::StaleConnection));
        }
        if let Err(AttemptError {
            error: UpstreamError::NoAnswer,
            reused: true,
            ..
        }) = outcome
            && !used.stale
        {
            used.stale = true;
            return Some(at_once(RetryReason::StaleConnection));
        }
        let (reason, asked_to_wait) = match outcome {
            Ok(reply) => {
                let rule = reply
                    .envelope()
                    .code()
                    .map(|code| self.snapshot.rule(attempt.request.api(), code));
                if rule.is_some_and(|rule| rule.resign) {
                    if attempt.course.resigned() {
                        return None;
                    }
                    return Some(Again {
                        correction: Some(self.watch.remedy(reply.dated()?)?),
                        ..at_once(RetryReason::Resign)
                    });
                }
                let reason = if rule.is_some_and(|rule| rule.class == Class::Limit) {
                    return None;
                } else if is_gateways(reply.status()) {
                    RetryReason::Status
                } else if rule.is_some_and(|rule| rule.retry) && !used.code {
                    RetryReason::Code
                } else {
                    return None;
                };
                (reason, reply.wait())
            }
            Err(failed) => (reason_of(failed)?, failed.head.and_then(|head| head.wait)),
        };
        if used.counted >= self.most {
            return None;
        }
        let wait = self.back_off(used.counted).max(asked_to_wait.unwrap_or_default());
        // By the timer, since that is what the deadline is kept by.
        let too_late = |end| clock::timer_now() + wait >= end;
        if attempt.course.end().is_some_and(too_late) || !attempt.course.is_open() || !self.budget.take() {
            return None;
        }
        used.counted += 1;
        used.code |= reason == RetryReason::Code;
        Some(Again {
            wait,
            ..at_once(reason)
        })
    }

    /// Whether the platform says that too much is asked, and how long it asks to be left alone.
    fn too_much(&self, api: usize, outcome: &Result<Reply, AttemptError>) -> Option<Duration> {
        let (status, code, wait) = match outcome {
            Ok(reply) => (Some(reply.status()), reply.envelope().code(), reply.wait()),
            Err(failed) => (
                failed.head.map(|head| head.status),
                None,
                failed.head.and_then(|head| head.wait),
            ),
        };
        let says_so = status == Some(StatusCode::TOO_MANY_REQUESTS)
            || code.is_some_and(|code| self.snapshot.rule(api, code).brake);
        says_so.then(|| wait.unwrap_or_default())
    }

    /// Full jitter: from nothing to a bound that doubles.
    fn back_off(&self, retries: u32) -> Duration {
        let most = self.base.saturating_mul(1_u32.checked_shl(retries).unwrap_or(u32::MAX));
        self.jitter.up_to(most.min(self.cap))
    }
}

/// What proxies and load balancers answer while the platform behind them is away.
fn is_gateways(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

fn reason_of(failed: &AttemptError) -> Option<RetryReason> {
    match failed.error {
        UpstreamError::Dns | UpstreamError::Connect(_) | UpstreamError::ConnectTimeout | UpstreamError::Tls => {
            Some(RetryReason::Connect)
        }
        UpstreamError::NoAnswer => Some(RetryReason::Reset),
        UpstreamError::Proxy(fault) => fault.may_pass().then_some(RetryReason::Connect),
        UpstreamError::NotEnvelope(..) if failed.head.is_some_and(|head| is_gateways(head.status)) => {
            Some(RetryReason::Status)
        }
        // What an answer was begun for, what will be the same again, and what is no fault of the platform.
        UpstreamError::NotEnvelope(..)
        | UpstreamError::Certificate(_)
        | UpstreamError::Deadline
        | UpstreamError::TurnTimeout
        | UpstreamError::Cut
        | UpstreamError::TooLarge
        | UpstreamError::NotHttp
        | UpstreamError::Busy
        | UpstreamError::Suspended(_) => None,
    }
}

/// Makes [`Retry`].
pub struct RetryLayer(Policy);

impl RetryLayer {
    /// Retries by `policy`.
    pub fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry {
            inner,
            policy: self.0.clone(),
        }
    }
}

/// Asks again where that may help.
pub struct Retry<S> {
    inner: S,
    policy: Policy,
}

impl<S> Retry<S> {
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }
}

impl<'a, S> Ask<Attempt<'a>> for Retry<S>
where
    S: Ask<Attempt<'a>, Error = AttemptError>,
{
    type Error = UpstreamError;

    async fn ask(&self, mut attempt: Attempt<'a>) -> Result<Reply, UpstreamError> {
        self.policy.budget.request();
        let course = attempt.course;
        let mut used = Used::default();
        let mut last = None;
        loop {
            let outcome = self.inner.ask(attempt).await;
            if let Err(AttemptError {
                error: UpstreamError::Suspended(_),
                ..
            }) = outcome
                && let Some(last) = last
            {
                // The breaker opened meanwhile: what was said before says more.
                return last;
            }
            let Some(again) = self.policy.judge(attempt, &outcome, &mut used) else {
                return outcome.map_err(|failed| failed.error);
            };
            if !again.wait.is_zero() {
                tokio::time::sleep(again.wait).await;
            }
            // Asked at the last moment, since others may have been told meanwhile that too much is asked.
            let granted = match again.reason {
                RetryReason::StaleConnection => course.is_open(),
                _ => course.pay_again().await,
            };
            if !granted {
                return outcome.map_err(|failed| failed.error);
            }
            if again.reason == RetryReason::Resign {
                course.resign();
            }
            last = Some(outcome.map_err(|failed| failed.error));
            self.policy.metrics.retries(again.reason).inc();
            attempt = Attempt {
                fresh_connection: again.reason == RetryReason::StaleConnection,
                correction: again.correction.or(attempt.correction),
                ..attempt
            };
        }
    }
}
