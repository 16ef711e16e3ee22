//! A pace against platforms that are asked as much as it allows.

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

const MOST: usize = 8;

fn answered(ms: u64) -> Outcome {
    Outcome::Answered {
        api: 0,
        took: Duration::from_millis(ms),
    }
}

/// As many questions as may be on their way always are, of each API in turn.
struct Demand {
    clock: Clock,
    now_ms: u64,
    pace: Pace,
    /// When each ends, which API, when it began.
    on_their_way: Vec<(u64, usize, Moment)>,
    asked: usize,
    /// How long fewer than all were allowed, at the longest without a break.
    held_ms: u64,
    longest_ms: u64,
    lowest: usize,
}

impl Demand {
    fn new(most: usize) -> Self {
        Self {
            clock: Clock::manual(0),
            now_ms: 0,
            pace: Pace::new(most, true),
            on_their_way: Vec::new(),
            asked: 0,
            held_ms: 0,
            longest_ms: 0,
            lowest: most,
        }
    }

    /// For so long, never more than `most` at a time; `latency` by API and number on their way.
    fn run(&mut self, for_ms: u64, most: usize, apis: usize, latency: impl Fn(usize, usize) -> u64) {
        let end_ms = self.now_ms + for_ms;
        let mut below = 0;
        while self.now_ms < end_ms {
            while self.on_their_way.len() < self.pace.limit().min(most) {
                let api = self.asked % apis;
                let took = latency(api, self.on_their_way.len() + 1);
                self.asked += 1;
                self.on_their_way.push((self.now_ms + took, api, self.clock.moment()));
            }
            self.on_their_way.sort_by_key(|(end, ..)| std::cmp::Reverse(*end));
            let (end, api, began) = self.on_their_way.pop().unwrap();
            let step = end - self.now_ms;
            if self.pace.limit() < self.pace.most {
                self.held_ms += step;
                below += step;
                self.longest_ms = self.longest_ms.max(below);
            } else {
                below = 0;
            }
            self.clock.advance(Duration::from_millis(step));
            self.now_ms = end;
            let now = self.clock.moment();
            let took = now.since(began);
            let outcome = Outcome::Answered { api, took };
            self.pace.note(outcome, began, now, self.on_their_way.len() + 1);
            self.lowest = self.lowest.min(self.pace.limit());
        }
    }
}

#[test]
fn a_fast_and_a_slow_api_hold_nobody_back() {
    let mut demand = Demand::new(MOST);
    demand.run(10_000, 2, 2, |api, _| [10, 350][api]);
    demand.run(60_000, MOST, 2, |api, _| [10, 350][api]);
    assert_eq!((demand.lowest, demand.longest_ms), (MOST, 0));
}

#[test]
fn a_lasting_step_is_the_platforms_own_pace_within_seconds() {
    let mut demand = Demand::new(MOST);
    demand.run(5_000, 2, 1, |_, _| 10);
    demand.run(5_000, MOST, 1, |_, _| 10);
    demand.run(60_000, MOST, 1, |_, _| 400);
    assert_eq!(demand.lowest, MOST / 2);
    assert!(demand.held_ms <= 2_000, "{}", demand.held_ms);
}

#[test]
fn a_platform_that_does_better_with_fewer_gets_fewer_until_it_recovers() {
    let mut demand = Demand::new(MOST);
    let busy = |_: usize, busy: usize| 100 * busy as u64;
    demand.run(2_000, 2, 1, busy);
    demand.run(60_000, MOST, 1, busy);
    assert_eq!(demand.lowest, MOST / 2);
    assert!(demand.held_ms >= 30_000, "{}", demand.held_ms);

    demand.run(10_000, MOST, 1, |_, _| 100);
    demand.held_ms = 0;
    demand.run(60_000, MOST, 1, |_, _| 100);
    assert_eq!(demand.held_ms, 0);
}

#[test]
fn one_very_slow_answer_changes_nothing() {
    let mut demand = Demand::new(MOST);
    demand.run(5_000, 2, 1, |_, _| 50);
    for _ in 0..20 {
        demand.run(1_000, MOST, 1, |_, _| 50);
        demand.run(1, MOST, 1, |_, _| 9_000);
    }
    assert_eq!(demand.lowest, MOST);
}

#[test]
fn many_that_time_out_together_lower_the_limit_once_and_answers_raise_it() {
    let clock = Clock::manual(0);
    let mut pace = Pace::new(MOST, true);
    for limit in [4, 2, 1, 1] {
        let began = clock.moment();
        clock.advance(Duration::from_secs(10));
        for _ in 0..8 {
            pace.note(Outcome::NotInTime, began, clock.moment(), 8);
        }
        assert_eq!(pace.limit(), limit);
    }
    for _ in 0..40 {
        clock.advance(Duration::from_millis(100));
        pace.note(answered(100), clock.moment(), clock.moment(), pace.limit());
    }
    assert_eq!(pace.limit(), MOST);
}

#[test]
fn no_limit_and_a_fixed_one_stay_what_they_are() {
    for (most, adaptive, limit) in [(0, true, usize::MAX), (8, false, 8)] {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(most, adaptive);
        for _ in 0..20 {
            pace.note(Outcome::NotInTime, clock.moment(), clock.moment(), 8);
        }
        assert_eq!(pace.limit(), limit);
    }
}

/// Phases with the speeds of three APIs each, and how many ask at once before all do.
fn is_asked_all_but_for_seconds(most: usize, phases: &[(Vec<u64>, usize)]) -> Result<(), TestCaseError> {
    let mut demand = Demand::new(most);
    for (speeds, at_once) in phases {
        // A step is noticed when each API has given its sample anew, which takes as long as that many answers do.
        let slowest = speeds.iter().max().unwrap();
        let sampled_ms = (SAMPLE * speeds.len()) as u64 * slowest / most as u64;
        demand.run(60_000, (*at_once).min(most), 3, |api, _| speeds[api]);
        // What was on its way when the step came has gone; once it was noticed, nothing is held back any more.
        demand.held_ms = 0;
        demand.run(60_000 + 2 * sampled_ms, most, 3, |api, _| speeds[api]);
        prop_assert!(demand.held_ms <= 25_000, "{} ms", demand.held_ms);
        demand.held_ms = 0;
        demand.run(60_000, most, 3, |api, _| speeds[api]);
        prop_assert_eq!(demand.held_ms, 0);
    }
    // A hold, and what was on its way when it began and ended.
    prop_assert!(demand.longest_ms <= 15_000, "{} ms", demand.longest_ms);
    prop_assert!(demand.lowest >= (most / 2).max(2).min(most));
    Ok(())
}

#[test]
fn few_slow_questions_take_their_time_to_be_a_sample() {
    let phases = [(vec![10, 10, 10], 1), (vec![3909, 3201, 4109], 1)];
    is_asked_all_but_for_seconds(3, &phases).unwrap();
}

proptest! {
    #[test]
    fn whatever_its_apis_speeds_a_healthy_platform_is_asked_all_but_for_seconds_after_a_step(
        most in 1_usize..20,
        phases in proptest::collection::vec(
            (proptest::collection::vec(10_u64..5_000, 3), 1_usize..20),
            1..6,
        ),
    ) {
        is_asked_all_but_for_seconds(most, &phases)?;
    }

    #[test]
    fn the_limit_is_never_0_nor_over_its_maximum_and_always_recovers(
        most in 1_usize..40,
        steps in proptest::collection::vec((0_u64..20_000, 0_u8..4, 0_u64..3_000), 0..300),
    ) {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(most, true);
        for (ms, kind, wait) in steps {
            let began = clock.moment();
            clock.advance(Duration::from_millis(wait));
            let outcome = match kind {
                0 => Outcome::NotInTime,
                1 => Outcome::Unknown,
                _ => answered(ms),
            };
            pace.note(outcome, began, clock.moment(), most);
            prop_assert!((1..=most).contains(&pace.limit()));
        }
        // Whatever happened: a platform that goes on answering at one pace gets all there is.
        for _ in 0..2_000 {
            clock.advance(Duration::from_millis(50));
            pace.note(answered(50), clock.moment(), clock.moment(), most);
        }
        prop_assert_eq!(pace.limit(), most);
    }
}
