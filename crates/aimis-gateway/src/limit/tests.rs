//! Gate and tap together with their parts, under a manual and a paused clock.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::Codes;
use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::gate::{Entry, Gate, Paid};
use super::line::{Lane, Ticket};
use super::pace::Outcome;
use super::tap::{Tap, Turn};
use super::{Limit, Limited, NoTurn};
use crate::clock::Clock;
use crate::config::{self, Config, Sources};
use crate::telemetry::labels::LimitDecision;
use crate::telemetry::log::{Level, Log, LogGuard};
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;

/// A configuration with these lines in `[limits]` and `[limits.tenant]`.
fn config(limits: &str, tenant: &str) -> Config {
    let text =
        format!("[limits]\n{limits}\n[limits.tenant]\n{tenant}\n[[tenants]]\nname = \"first\"\napp_id = \"900001\"\n");
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    config::load(&Sources::text("test.toml", text).with_env(token))
        .unwrap()
        .config
}

fn gate(config: &Config, clock: &Clock) -> Gate<u32> {
    Gate::new(&config.limits, &config.limits.tenant, None, clock)
}

#[derive(Clone, Debug)]
enum Step {
    Enter(Lane, u32),
    Leave(usize),
    GiveUp(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop_oneof![Just(Lane::Interactive), Just(Lane::Batch)];
    prop_oneof![
        6 => (lane, 1_u32..5).prop_map(|(lane, weight)| Step::Enter(lane, weight)),
        3 => (0_usize..8).prop_map(Step::Leave),
        1 => (0_usize..8).prop_map(Step::GiveUp),
        3 => (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whoever passes, at once or after a wait: never more than the quota in any window, never more than the places,
    /// batches never more than their share of both; and nobody is forgotten in the line.
    #[test]
    fn what_passes_keeps_every_bound(
        (queue, percent, in_flight, burst) in (0_usize..6, 0_u32..90, 0_usize..6, 1_u32..8),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let period_ms = 100;
        let config = config(
            &format!("queue = {queue}\ninteractive_percent = {percent}\nadaptive = false\nmax_wait_ms = 60000"),
            &format!("rate_per_s = 10\nburst = {burst}\nin_flight = {in_flight}"),
        );
        let clock = Clock::manual(0);
        let mut gate = gate(&config, &clock);
        let mut now_ms = 0;
        let mut waiting: Vec<(u32, Ticket, u32)> = Vec::new();
        let mut busy: Vec<Lane> = Vec::new();
        let mut passed: Vec<(u64, u32, Lane)> = Vec::new();
        for (name, step) in (0_u32..).zip(steps) {
            let now = clock.moment();
            match step {
                Step::Enter(lane, weight) => match gate.enter(now, lane, weight, Paid::Nothing, || name) {
                    Entry::Passes => {
                        busy.push(lane);
                        passed.push((now_ms, weight, lane));
                    }
                    Entry::Waits { ticket, gone, .. } => {
                        if let Some((gone, _)) = gone {
                            waiting.retain(|(name, ..)| *name != gone);
                        }
                        waiting.push((name, ticket, weight));
                    }
                    Entry::Refused(NoTurn::Overloaded) => prop_assert!(gate.waiting() >= queue),
                    Entry::Refused(_) => {}
                },
                Step::Leave(at) if at < busy.len() => gate.leave(now, busy.remove(at), Outcome::Unknown, now),
                Step::GiveUp(at) if at < waiting.len() => gate.give_up(waiting.remove(at).1),
                Step::Leave(_) | Step::GiveUp(_) => {}
                Step::Wait(ms) => {
                    clock.advance(Duration::from_millis(ms));
                    now_ms += ms;
                }
            }
            while let Some(name) = gate.next(clock.moment()) {
                let at = waiting.iter().position(|(known, ..)| *known == name).unwrap();
                let (_, ticket, weight) = waiting.remove(at);
                busy.push(ticket.lane);
                passed.push((now_ms, weight, ticket.lane));
            }
            prop_assert_eq!((gate.waiting(), gate.busy()), (waiting.len(), busy.len()));
            prop_assert!(waiting.len() <= queue);
            let batches = busy.iter().filter(|lane| **lane == Lane::Batch).count();
            if in_flight > 0 {
                prop_assert!(busy.len() <= in_flight);
                prop_assert!(batches <= (in_flight * (100 - percent as usize) / 100).max(1));
            }
        }
        let weight = |weight: u32, burst: u32| u64::from(weight.min(burst));
        for from in 0..passed.len() {
            let mut sum = 0;
            for (at, heavy, _) in &passed[from..] {
                sum += weight(*heavy, burst);
                prop_assert!(sum.saturating_sub(burst.into()) * period_ms <= at - passed[from].0);
            }
        }
        let (share, mut sum) = ((burst * (100 - percent) / 100).max(1), 0);
        for (at, heavy, _) in passed.iter().filter(|(.., lane)| *lane == Lane::Batch) {
            sum += weight(*heavy, share);
            prop_assert!(sum.saturating_sub(share.into()) * period_ms * 100 <= at * u64::from(100 - percent));
        }
        // Once there is room and time, everybody goes.
        for _ in 0..waiting.len() + 1 {
            clock.advance(Duration::from_secs(60));
            for lane in busy.drain(..) {
                gate.leave(clock.moment(), lane, Outcome::Unknown, clock.moment());
            }
            while let Some(name) = gate.next(clock.moment()) {
                let at = waiting.iter().position(|(known, ..)| *known == name).unwrap();
                busy.push(waiting.remove(at).1.lane);
            }
        }
        prop_assert!(waiting.is_empty());
    }
}

#[test]
fn a_flood_of_batches_leaves_the_doctors_their_share() {
    let config = config("max_wait_ms = 0", "rate_per_s = 10\nburst = 20\nin_flight = 8");
    let clock = Clock::manual(0);
    let mut gate = gate(&config, &clock);
    let mut batches = 0;
    for round in 0..20_000_u64 {
        clock.advance(Duration::from_millis(5));
        let now = clock.moment();
        if matches!(gate.enter(now, Lane::Batch, 1, Paid::Nothing, || 0), Entry::Passes) {
            batches += 1;
            gate.leave(now, Lane::Batch, Outcome::Unknown, now);
        }
        // 2.5 a second of the 3 that are theirs.
        if round % 80 == 0 {
            assert!(
                matches!(
                    gate.enter(now, Lane::Interactive, 1, Paid::Nothing, || 0),
                    Entry::Passes
                ),
                "{round}"
            );
            gate.leave(now, Lane::Interactive, Outcome::Unknown, now);
        }
    }
    // All of their own share: 14 at once, 7 a second for 100 s.
    assert!((712..=714).contains(&batches), "{batches}");
}

#[test]
fn batches_leave_places_free_and_one_place_is_theirs_in_any_case() {
    for (in_flight, theirs) in [(8, 5), (2, 1), (1, 1)] {
        let config = config("queue = 0", &format!("rate_per_s = 0\nin_flight = {in_flight}"));
        let clock = Clock::manual(0);
        let mut gate = gate(&config, &clock);
        let mut enter = |lane| matches!(gate.enter(clock.moment(), lane, 1, Paid::Nothing, || 0), Entry::Passes);
        assert_eq!((0..20).filter(|_| enter(Lane::Batch)).count(), theirs);
        assert_eq!((0..20).filter(|_| enter(Lane::Interactive)).count(), in_flight - theirs);
    }
}

#[test]
fn who_waits_for_a_place_looks_at_no_clock() {
    let config = config("", "rate_per_s = 10\nburst = 3\nin_flight = 3");
    let clock = Clock::manual(0);
    let mut gate = gate(&config, &clock);
    let enter = |gate: &mut Gate<u32>, lane| gate.enter(clock.moment(), lane, 1, Paid::Nothing, || 0);
    // Of the batches' own quota there are two.
    assert!(matches!(enter(&mut gate, Lane::Batch), Entry::Passes));
    gate.leave(clock.moment(), Lane::Batch, Outcome::Unknown, clock.moment());
    assert!(matches!(enter(&mut gate, Lane::Batch), Entry::Passes));
    gate.leave(clock.moment(), Lane::Batch, Outcome::Unknown, clock.moment());
    let Entry::Waits { ticket, .. } = enter(&mut gate, Lane::Batch) else {
        panic!("it passed, or was refused");
    };
    assert_eq!(gate.next(clock.moment()), None);
    let mut told = 0;
    gate.watchers(|_| told += 1);
    assert_eq!(told, 1);
    assert!(gate.look_again(ticket).is_some());

    for _ in 0..3 {
        clock.advance(Duration::from_millis(100));
        assert!(matches!(enter(&mut gate, Lane::Interactive), Entry::Passes));
    }
    assert_eq!(gate.next(clock.moment()), None);

    gate.watchers(|_| told += 1);
    assert_eq!((told, gate.look_again(ticket)), (1, None));
    gate.leave(clock.moment(), Lane::Interactive, Outcome::Unknown, clock.moment());
    assert_eq!(gate.next(clock.moment()), Some(0));
}

#[test]
fn who_waits_for_the_quota_again_is_told_again() {
    let config = config("", "rate_per_s = 1\nburst = 4\nin_flight = 1");
    let clock = Clock::manual(0);
    let now = clock.moment();
    let mut gate = gate(&config, &clock);
    for _ in 0..2 {
        assert!(matches!(
            gate.enter(now, Lane::Batch, 1, Paid::Nothing, || 0),
            Entry::Passes
        ));
        gate.leave(now, Lane::Batch, Outcome::Unknown, now);
    }
    assert!(matches!(
        gate.enter(now, Lane::Interactive, 1, Paid::Nothing, || 0),
        Entry::Passes
    ));
    let Entry::Waits { ticket, .. } = gate.enter(now, Lane::Batch, 1, Paid::Nothing, || 0) else {
        panic!("it passed, or was refused");
    };
    let mut told = 0;
    let mut look = |gate: &mut Gate<u32>| {
        assert_eq!(gate.next(now), None);
        gate.watchers(|_| told += 1);
        (told, gate.look_again(ticket).is_some())
    };
    assert_eq!(look(&mut gate), (0, false));

    // The place is there, then taken by a doctor, then there again; the quota comes back when it did.
    gate.leave(now, Lane::Interactive, Outcome::Unknown, now);
    assert_eq!(look(&mut gate), (1, true));
    assert!(matches!(
        gate.enter(now, Lane::Interactive, 1, Paid::Nothing, || 0),
        Entry::Passes
    ));
    assert_eq!(look(&mut gate), (1, false));
    gate.leave(now, Lane::Interactive, Outcome::Unknown, now);
    assert_eq!(look(&mut gate), (2, true));
}

/// A tap in a paused runtime.
struct Bench {
    tap: Arc<Tap>,
    metrics: Arc<Metrics>,
    _log: LogGuard,
}

impl Bench {
    fn new(limits: &str, tenant: &str) -> Self {
        let config = config(limits, tenant);
        let clock = Clock::of_runtime(0);
        let metrics = Metrics::new(&["first"], &["patientStudies"], &Codes::builtin());
        let (log, guard) = Log::start(clock.clone(), Level::Info, "test", Box::new(std::io::sink())).unwrap();
        let who = (0, TenantName::new("first"));
        Self {
            tap: Arc::new(Tap::new(&config, who, None, &clock, Arc::clone(&metrics), log)),
            metrics,
            _log: guard,
        }
    }

    async fn turn(&self, lane: Lane, deadline: Duration) -> Result<Turn, NoTurn> {
        self.tap.turn(lane, 1, after(deadline)).await.0
    }

    fn counted(&self, decision: LimitDecision) -> u64 {
        self.metrics.limits.decision(0, decision).get()
    }
}

fn after(wait: Duration) -> Instant {
    tokio::time::sleep(wait).deadline()
}

const LONG: Duration = Duration::from_secs(10);

/// The time that has gone by since `start`, to the grain of the timer.
fn elapsed(clock: &Clock, start: crate::clock::Moment) -> u64 {
    u64::try_from(clock.moment().since(start).as_millis()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_question_over_the_quota_waits_for_its_turn_in_order() {
    let bench = Bench::new("", "rate_per_s = 10\nburst = 1\nin_flight = 0");
    let clock = Clock::of_runtime(0);
    let start = clock.moment();
    let ask = |name: u64| {
        let (bench, clock) = (&bench, &clock);
        async move {
            bench.turn(Lane::Interactive, LONG).await.unwrap();
            (name, elapsed(clock, start))
        }
    };

    let done = tokio::join!(ask(0), ask(1), ask(2), ask(3));

    for (name, at) in [done.0, done.1, done.2, done.3] {
        assert!((name * 100..=name * 100 + 5).contains(&at), "{name} {at}");
    }
    assert_eq!(bench.counted(LimitDecision::Waited), 3);
    assert_eq!(bench.counted(LimitDecision::Allowed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_would_wait_too_long_is_refused_at_once() {
    let bench = Bench::new("max_wait_ms = 250", "rate_per_s = 10\nburst = 1\nin_flight = 0");
    drop(bench.turn(Lane::Interactive, LONG).await.unwrap());
    let mut patient: Vec<_> = (0..2).map(|_| Box::pin(bench.turn(Lane::Interactive, LONG))).collect();
    for question in &mut patient {
        assert!(question.as_mut().now_or_never().is_none());
    }

    let refused = bench.turn(Lane::Interactive, LONG).now_or_never().unwrap();

    let Err(NoTurn::Limited(Limited {
        limit: Limit::Tenant,
        wait,
        ..
    })) = refused
    else {
        panic!("not refused by the quota");
    };
    assert_eq!(wait, Duration::from_millis(300));
    for question in patient {
        assert!(question.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_the_line_keeps_nobody_waiting() {
    let bench = Bench::new("", "rate_per_s = 0\nin_flight = 1");
    let held = bench.turn(Lane::Interactive, LONG).await.unwrap();
    let mut first = Box::pin(bench.turn(Lane::Interactive, LONG));
    let mut second = Box::pin(bench.turn(Lane::Interactive, LONG));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());

    // Its turn comes, and it goes without having looked: the place is the next one's.
    drop(held);
    drop(first);

    assert!(second.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn patience_ends_for_whoever_waited_for_a_place_first() {
    // How long it may wait for the quota, and when it has to go: as soon as there is a place, and no quota.
    for (max_wait, at) in [(0, 950), (1_000, 1_020)] {
        let bench = Bench::new(
            &format!("max_wait_ms = {max_wait}"),
            "rate_per_s = 1\nburst = 5\nin_flight = 1",
        );
        let clock = Clock::of_runtime(0);
        let start = clock.moment();
        // What the batches may take at once.
        for _ in 0..3 {
            drop(bench.turn(Lane::Batch, LONG).await.unwrap());
        }
        let doctor = bench.turn(Lane::Interactive, LONG).await.unwrap();
        let batch = async {
            let refused = bench.turn(Lane::Batch, LONG).await;
            (refused.err(), elapsed(&clock, start))
        };
        let doctors = async {
            tokio::time::sleep(Duration::from_millis(950)).await;
            drop(doctor);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let doctor = bench.turn(Lane::Interactive, LONG).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(doctor);
        };

        let ((refused, when), ()) = tokio::join!(batch, doctors);

        assert!(matches!(refused, Some(NoTurn::Limited(limited)) if limited.limit == Limit::Tenant));
        assert!((at..at + 10).contains(&when), "{when}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_deadline() {
    let bench = Bench::new("", "rate_per_s = 0\nin_flight = 1");
    let clock = Clock::of_runtime(0);
    let start = clock.moment();
    let held = bench.turn(Lane::Interactive, LONG).await.unwrap();

    let late = bench.turn(Lane::Interactive, Duration::from_secs(3)).await;

    assert_eq!(late.err(), Some(NoTurn::Deadline));
    assert!((3_000..3_010).contains(&elapsed(&clock, start)));
    assert_eq!(bench.counted(LimitDecision::Expired), 1);
    drop(held);
    assert!(bench.turn(Lane::Interactive, LONG).now_or_never().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_batch_makes_room_for_a_doctor() {
    let bench = Bench::new("queue = 2", "rate_per_s = 0\nin_flight = 1");
    let held = bench.turn(Lane::Batch, LONG).await.unwrap();
    let mut oldest = Box::pin(bench.turn(Lane::Batch, LONG));
    let mut newer = Box::pin(bench.turn(Lane::Batch, LONG));
    assert!(oldest.as_mut().now_or_never().is_none());
    assert!(newer.as_mut().now_or_never().is_none());

    let mut doctor = Box::pin(bench.turn(Lane::Interactive, LONG));
    assert!(doctor.as_mut().now_or_never().is_none());

    assert_eq!(oldest.now_or_never().unwrap().err(), Some(NoTurn::Overloaded));
    drop(held);
    let doctor = doctor.now_or_never().unwrap().unwrap();
    assert!(newer.as_mut().now_or_never().is_none());
    drop(doctor);
    assert!(newer.now_or_never().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_full_because_of_the_quota_says_so() {
    let bench = Bench::new("queue = 1", "rate_per_s = 10\nburst = 1\nin_flight = 0");
    drop(bench.turn(Lane::Batch, LONG).await.unwrap());
    let mut oldest = Box::pin(bench.turn(Lane::Batch, LONG));
    assert!(oldest.as_mut().now_or_never().is_none());

    let newer = bench.turn(Lane::Batch, LONG);
    let (oldest, newer) = tokio::join!(oldest, newer);

    assert!(matches!(oldest.err(), Some(NoTurn::Limited(limited)) if limited.limit == Limit::Tenant));
    assert!(newer.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_says_too_much_is_left_alone_and_asked_again() {
    let bench = Bench::new(
        "closed_ms = 2000\nmax_closed_ms = 5000",
        "rate_per_s = 0\nin_flight = 1",
    );
    for (asked, closed) in [(0, 2), (3, 3), (100, 5)] {
        let asking = bench.turn(Lane::Interactive, LONG).await.unwrap();
        let mut waiting = Box::pin(bench.turn(Lane::Interactive, LONG));
        assert!(waiting.as_mut().now_or_never().is_none());

        asking.done(Outcome::Unknown, Some(Duration::from_secs(asked)));

        let refusal = |wait| {
            NoTurn::Limited(Limited {
                limit: Limit::Platform,
                wait,
                standing: None,
            })
        };
        let wait = Duration::from_secs(closed);
        assert_eq!(waiting.now_or_never().unwrap().err(), Some(refusal(wait)));
        tokio::time::advance(wait - Duration::from_millis(1)).await;
        let left = refusal(Duration::from_millis(1));
        assert_eq!(bench.turn(Lane::Interactive, LONG).await.err(), Some(left));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert!(bench.turn(Lane::Interactive, LONG).await.is_ok());
    assert_eq!(bench.metrics.limits.closed(0).get(), 3);
}

/// Workers on threads of their own, and a place for one: each gets it, one behind the other.
#[test]
fn turns_go_round_between_threads() {
    let config = config("", "rate_per_s = 0\nin_flight = 1");
    let clock = Clock::system();
    let metrics = Metrics::new(&["first"], &["patientStudies"], &Codes::builtin());
    let (log, _guard) = Log::start(clock.clone(), Level::Info, "test", Box::new(std::io::sink())).unwrap();
    let who = (0, TenantName::new("first"));
    let tap = Arc::new(Tap::new(&config, who, None, &clock, Arc::clone(&metrics), log));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let tap = Arc::clone(&tap);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let asked = async {
                    for _ in 0..200 {
                        let turn = tap.turn(Lane::Interactive, 1, after(LONG * 6)).await.0.unwrap();
                        tokio::task::yield_now().await;
                        drop(turn);
                    }
                };
                LocalSet::new().block_on(&runtime, asked);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let shown = metrics.limits.shown(0);
    assert_eq!((shown.in_flight.get(), shown.waiting.get()), (0, 0));
}
