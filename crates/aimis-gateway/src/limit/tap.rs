//! One tenant's way to the platform: lets a question through, or has it wait, or refuses it.
//!
//! All workers share it. What is free passes under a short lock and allocates nothing; who waits is woken by
//! whoever leaves, or looks again when the quota has come back. A [`Turn`] gives its place back however it ends.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::gate::{Entry, Gate, Obstacle, Paid, Told};
use super::line::{Lane, Ticket};
use super::pace::Outcome;
use super::shared::Shared;
use super::{Limit, Limited, NoTurn};
use crate::clock::{Clock, Moment};
use crate::config::{Config, OwnTenantQuota, TenantQuota};
use crate::store::Store;
use crate::telemetry::event::Event;
use crate::telemetry::labels::{LimitDecision, WaitedFor};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttle;
use crate::tenant::TenantName;

type Waiters = Gate<Arc<Waiter>>;

/// One tenant's tap.
pub(super) struct Tap {
    tenant: usize,
    name: TenantName,
    rules: Rules,
    gate: Mutex<Waiters>,
    clock: Clock,
    metrics: Arc<Metrics>,
    log: Log,
    lines: Throttle,
    /// Its quota at the store, where gateways share one.
    pub(super) shared: Option<Shared>,
}

/// What it goes by. As long as these are equal, so is what was counted.
#[derive(PartialEq)]
struct Rules {
    max_wait: Duration,
    closed: Duration,
    max_closed: Duration,
    /// `queue`, `interactive_percent`, `adaptive`.
    line: (usize, u32, bool),
    quota: TenantQuota,
    repeat_interval: Duration,
}

/// One that waits.
#[derive(Default)]
struct Waiter {
    woken: Notify,
    /// Set once, under the gate's lock.
    verdict: OnceLock<Result<(), NoTurn>>,
}

impl Waiter {
    fn tell(&self, verdict: Result<(), NoTurn>) {
        // One that has left the line is told nothing more.
        let _ = self.verdict.set(verdict);
        self.woken.notify_one();
    }
}

impl Tap {
    /// The tap of the tenant with this position and name.
    pub(super) fn new(
        config: &Config,
        (tenant, name): (usize, TenantName),
        store: Option<&Arc<Store>>,
        clock: &Clock,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> Self {
        let limits = &config.limits;
        let quota = OwnTenantQuota::over(config.tenants[tenant].limits.as_ref(), &limits.tenant);
        Self {
            tenant,
            gate: Mutex::new(Gate::new(limits, &quota, store.map(|store| &**store), clock)),
            shared: store.map(|store| Shared::new(store, name.as_str(), limits, &quota)),
            rules: Rules {
                max_wait: limits.max_wait,
                closed: limits.closed,
                max_closed: limits.max_closed,
                line: (limits.queue, limits.interactive_percent, limits.adaptive),
                quota,
                repeat_interval: config.log.repeat_interval,
            },
            clock: clock.clone(),
            metrics,
            log,
            lines: Throttle::new(config.log.repeat_interval, clock.clone()),
            name,
        }
    }

    /// `before` itself if it goes by the same rules; else `new`, closed for as long as that is.
    pub(super) fn following(new: Self, before: &Arc<Self>) -> Arc<Self> {
        if new.rules == before.rules {
            return Arc::clone(before);
        }
        let now = new.clock.moment();
        let closed = before.lock().closed(now);
        if let Some(wait) = closed {
            new.lock().close(now, wait);
        }
        Arc::new(new)
    }

    /// Waits for a turn, not beyond `deadline`, and tells how long that took.
    pub(super) async fn turn(
        self: &Arc<Self>,
        lane: Lane,
        weight: u32,
        deadline: Instant,
    ) -> (Result<Turn, NoTurn>, Duration) {
        let (result, waited, decision) = self.enter(lane, weight, Paid::Nothing, deadline).await;
        self.count(decision);
        (result, waited)
    }

    /// The same for one that has `paid` for some of it, and tells what was decided.
    pub(super) async fn enter(
        self: &Arc<Self>,
        lane: Lane,
        weight: u32,
        paid: Paid,
        deadline: Instant,
    ) -> (Result<Turn, NoTurn>, Duration, LimitDecision) {
        let mut waiter = None;
        let (came, entry) = self.change(|gate, now| {
            let make = || Arc::clone(waiter.insert(Arc::<Waiter>::default()));
            (now, gate.enter(now, lane, weight, paid, make))
        });
        let mut began = came;
        let (result, decision) = match entry {
            Entry::Passes => (Ok(()), LimitDecision::Allowed),
            Entry::Refused(refusal) => (Err(refusal), decision_of(refusal)),
            Entry::Waits { ticket, gone, obstacle } => {
                if let Some((gone, why)) = gone {
                    gone.tell(Err(why));
                }
                let waiter = waiter.expect("made for whoever waits");
                let result = self.wait(ticket, &waiter, deadline).await;
                began = self.clock.moment();
                let waits = self.metrics.limits.waited(waited_for(obstacle));
                waits.observe(began.since(came).as_secs_f64());
                (result, result.map_or_else(decision_of, |()| LimitDecision::Waited))
            }
        };
        let turn = result.map(|()| self.begun(lane, weight, began));
        (turn, began.since(came), decision)
    }

    /// A place, if there is one at once, for a question whose quota the store judges.
    pub(super) fn try_place(self: &Arc<Self>, lane: Lane, weight: u32) -> Result<Option<Turn>, NoTurn> {
        let (now, place) = self.change(|gate, now| (now, gate.try_place(now, lane)));
        Ok(place?.then(|| self.begun(lane, weight, now)))
    }

    /// The store let a question go, and told how it stands with the quota.
    pub(super) fn granted(&self, lane: Lane, weight: u32, told: Option<Told>) {
        self.change(|gate, now| gate.granted(now, lane, weight, told));
    }

    /// Counts a decision.
    pub(super) fn count(&self, decision: LimitDecision) {
        self.metrics.limits.decision(self.tenant, decision).inc();
    }

    /// Notes how long a question waited for the quota.
    pub(super) fn waited(&self, wait: Duration) {
        self.metrics
            .limits
            .waited(WaitedFor::Tenant)
            .observe(wait.as_secs_f64());
    }

    /// The time.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn begun(self: &Arc<Self>, lane: Lane, weight: u32, began: Moment) -> Turn {
        Turn {
            tap: Arc::clone(self),
            lane,
            weight,
            began,
            ended: None,
            outcome: Outcome::Unknown,
        }
    }

    /// Whether a question of `weight` would be missed by nobody.
    pub(super) fn is_slack(&self, weight: u32) -> bool {
        self.lock().is_slack(self.clock.moment(), weight)
    }

    async fn wait(self: &Arc<Self>, ticket: Ticket, waiter: &Arc<Waiter>, deadline: Instant) -> Result<(), NoTurn> {
        let mut leaving = Leaving {
            tap: self,
            ticket,
            waiter,
            settled: false,
        };
        let mut patience = pin!(tokio::time::sleep(self.rules.max_wait));
        let mut over = pin!(tokio::time::sleep_until(deadline));
        let mut impatient = false;
        loop {
            // Also serves whoever may go by now, itself among them.
            let again = self.change(|gate, now| gate.look_again(ticket).map(|at| at.since(now)));
            let refusal = impatient.then(|| self.lock().impatient(self.clock.moment(), ticket));
            if let Some(verdict) = waiter.verdict.get() {
                leaving.settled = true;
                return *verdict;
            }
            // Also when the place that it waited for is there, and the quota is not.
            if let Some(refusal) = refusal.flatten() {
                return Err(refusal);
            }
            // A timer of a millisecond's grain: not before its time, so that it need not look twice.
            let again = tokio::time::sleep(again.map_or(Duration::MAX, |wait| wait + Duration::from_millis(1)));
            tokio::select! {
                biased;
                () = waiter.woken.notified() => {}
                () = &mut over => return Err(NoTurn::Deadline),
                () = &mut patience, if !impatient => impatient = true,
                () = again => {}
            }
        }
    }

    /// The platform says that this tenant asks too much, and for how long at least. Tells how long nobody asks.
    fn close(&self, asked: Duration) -> Option<Duration> {
        if self.rules.closed.is_zero() {
            return None;
        }
        let wait = self.rules.closed.max(asked.min(self.rules.max_closed));
        let refusal = NoTurn::Limited(Limited {
            limit: Limit::Platform,
            wait,
            standing: None,
        });
        let now = self.clock.moment();
        let mut gate = self.lock();
        let was_open = gate.closed(now).is_none();
        for waiter in gate.close(now, wait) {
            waiter.tell(Err(refusal));
        }
        self.show_gate(&gate, now);
        drop(gate);
        if was_open {
            self.metrics.limits.closed(self.tenant).inc();
        }
        if was_open && let Some(left_out) = self.lines.pass() {
            self.log.write(&Event::TapClosed {
                tenant: &self.name,
                wait,
                left_out,
            });
        }
        Some(wait)
    }

    /// Changes the gate, and lets those go who may go then.
    fn change<R>(&self, change: impl FnOnce(&mut Waiters, Moment) -> R) -> R {
        self.change_at(self.clock.moment(), change)
    }

    fn change_at<R>(&self, now: Moment, change: impl FnOnce(&mut Waiters, Moment) -> R) -> R {
        let mut gate = self.lock();
        let result = change(&mut gate, now);
        if gate.waiting() > 0 {
            while let Some(waiter) = gate.next(now) {
                waiter.tell(Ok(()));
            }
            gate.watchers(|waiter| waiter.woken.notify_one());
        }
        self.show_gate(&gate, now);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what changes by itself as time goes by.
    pub(super) fn show(&self) {
        let now = self.clock.moment();
        self.show_gate(&self.lock(), now);
    }

    fn show_gate(&self, gate: &Waiters, now: Moment) {
        let shown = self.metrics.limits.shown(self.tenant);
        shown.tokens.set(gate.tokens(now).unwrap_or(f64::INFINITY));
        shown.in_flight.set(count(gate.busy()));
        shown.in_flight_limit.set(match gate.limit() {
            usize::MAX => f64::INFINITY,
            limit => limit as f64,
        });
        shown.waiting.set(count(gate.waiting()));
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn waited_for(obstacle: Obstacle) -> WaitedFor {
    match obstacle {
        Obstacle::Place => WaitedFor::Platform,
        Obstacle::Quota { .. } => WaitedFor::Tenant,
    }
}

pub(super) fn decision_of(refusal: NoTurn) -> LimitDecision {
    match refusal {
        NoTurn::Limited(Limited { limit, .. }) => match limit {
            Limit::Client => LimitDecision::RefusedClient,
            Limit::Tenant => LimitDecision::RefusedTenant,
            Limit::Platform => LimitDecision::RefusedPlatform,
        },
        NoTurn::Overloaded => LimitDecision::Overloaded,
        NoTurn::Deadline => LimitDecision::Expired,
    }
}

/// Leaves the line, whichever way the wait ends.
struct Leaving<'a> {
    tap: &'a Tap,
    ticket: Ticket,
    waiter: &'a Waiter,
    /// The verdict was taken up.
    settled: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        self.tap.change(|gate, now| match self.waiter.verdict.get() {
            // Its turn came just as it left.
            Some(Ok(())) => gate.leave(now, self.ticket.lane, Outcome::Unknown, now),
            Some(Err(_)) => {}
            None => gate.give_up(self.ticket),
        });
    }
}

/// Leave to ask the platform once. Gives its place back when it is dropped.
pub struct Turn {
    tap: Arc<Tap>,
    lane: Lane,
    weight: u32,
    began: Moment,
    /// When it was done; `None` for one that is given up.
    ended: Option<Moment>,
    outcome: Outcome,
}

impl Turn {
    /// For the question's further attempts.
    pub fn repeats(&self) -> Repeats {
        Repeats {
            tap: Arc::clone(&self.tap),
            weight: self.weight,
        }
    }

    /// How the question ended just now; `slow_down` is how long the platform asks to be left alone, if it said that too
    /// much is asked. Tells for how long all others are refused therefore.
    pub fn done(mut self, outcome: Outcome, slow_down: Option<Duration>) -> Option<Duration> {
        self.outcome = outcome;
        self.ended = Some(self.tap.clock.same_moment());
        slow_down.and_then(|wait| self.tap.close(wait))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (lane, outcome, began) = (self.lane, self.outcome, self.began);
        let now = self.ended.unwrap_or_else(|| self.tap.clock.moment());
        self.tap
            .change_at(now, |gate, now| gate.leave(now, lane, outcome, began));
    }
}

/// Tells whether a question whose turn it is may be asked once more. Nothing of it waits.
pub struct Repeats {
    tap: Arc<Tap>,
    weight: u32,
}

impl Repeats {
    /// Whether the platform may be asked at all: it has not said that the tenant asks too much.
    pub fn is_open(&self) -> bool {
        self.tap.lock().closed(self.tap.clock.moment()).is_none()
    }

    /// Takes what the question weighs of the tenant's quota once more; false if there is not enough, if others wait
    /// for it, or if the tap is closed.
    pub async fn take(&self) -> bool {
        if let Some(shared) = &self.tap.shared
            && self.is_open()
            && let Some(taken) = Box::pin(shared.take_again(self.weight)).await
        {
            return taken;
        }
        self.tap.change(|gate, now| gate.repeat(now, self.weight))
    }
}
