//! How many questions are asked at a time: as many as are allowed while the platform keeps its pace, fewer while it
//! answers much more slowly than before or not in time, down to one. Pure: it sees times and outcomes, no clock.
//!
//! Additive increase, multiplicative decrease. The pace is a slow average of answer times, compared with a quick one;
//! a platform that stays slower becomes the measure after some hundred answers, so nothing is held down for ever.

use std::time::Duration;

use crate::clock::Moment;

/// Weight of a new answer in the slow and in the quick average.
const SLOW: f64 = 0.01;
const QUICK: f64 = 0.25;
/// So much slower than before is trouble...
const TROUBLE: f64 = 2.0;
/// ...if it is more than this beside: milliseconds more on an answer of milliseconds mean nothing.
const NOISE: Duration = Duration::from_millis(100);
/// What is left of the limit after a question that got no answer in time, and after slow ones.
const AFTER_NO_ANSWER: f64 = 0.5;
const AFTER_SLOW: f64 = 0.8;

/// How a question ended, as far as it tells of the platform's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came after that time.
    Answered(Duration),
    /// None came in time.
    TimedOut,
    /// It tells nothing: it failed otherwise, was repeated, or its caller has gone.
    Unknown,
}

/// The limit, and what it follows from.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    adaptive: bool,
    limit: f64,
    slow: Option<f64>,
    quick: f64,
    /// When the limit was last lowered: questions from before tell of the time before.
    lowered: Option<Moment>,
}

impl Pace {
    /// `most` at a time, 0 for any number; always that many if not `adaptive`.
    pub(super) fn new(most: usize, adaptive: bool) -> Self {
        Self {
            most,
            adaptive: adaptive && most > 0,
            limit: most as f64,
            slow: None,
            quick: 0.0,
            lowered: None,
        }
    }

    /// How many may be asked at a time: 1 at least, `usize::MAX` for any number.
    pub(super) fn limit(&self) -> usize {
        if self.most == 0 {
            return usize::MAX;
        }
        // Between 1 and `most`, both small.
        (self.limit as usize).clamp(1, self.most)
    }

    /// Notes how a question ended that began at `began`, when `busy` were on their way, itself among them.
    pub(super) fn note(&mut self, outcome: Outcome, began: Moment, now: Moment, busy: usize) {
        if !self.adaptive {
            return;
        }
        let factor = match outcome {
            Outcome::Unknown => return,
            Outcome::TimedOut => Some(AFTER_NO_ANSWER),
            Outcome::Answered(took) => self.is_slow(took).then_some(AFTER_SLOW),
        };
        match factor {
            // Once for all that were on their way together.
            Some(factor) if self.lowered.is_none_or(|lowered| began >= lowered) => {
                self.limit = (self.limit * factor).max(1.0);
                self.lowered = Some(now);
            }
            // A limit that nobody comes near to is not tried out, so it says nothing about a higher one.
            None if 2 * busy >= self.limit() => {
                self.limit = (self.limit + 1.0 / self.limit).min(self.most as f64);
            }
            Some(_) | None => {}
        }
    }

    fn is_slow(&mut self, took: Duration) -> bool {
        let took = took.as_secs_f64();
        let Some(slow) = self.slow else {
            (self.slow, self.quick) = (Some(took), took);
            return false;
        };
        self.quick += QUICK * (took - self.quick);
        let before = slow + SLOW * (took - slow);
        self.slow = Some(before);
        // Faster is no trouble, and is believed sooner: else the first answers after a bad time are measured by it.
        if self.quick < before {
            self.slow = Some(before + QUICK * SLOW * (self.quick - before));
        }
        self.quick > TROUBLE * before && self.quick > before + NOISE.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    fn answered(ms: u64) -> Outcome {
        Outcome::Answered(Duration::from_millis(ms))
    }

    #[test]
    fn a_healthy_platform_is_never_held_back() {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(8, true);
        // Answers of very different kinds: nothing found at once, a long list.
        for round in 0..10_000_u64 {
            let ms = 40 + round * 7919 % 120;
            clock.advance(Duration::from_millis(10));
            pace.note(answered(ms), clock.moment(), clock.moment(), 8);
            assert_eq!(pace.limit(), 8, "{round}");
        }
    }

    #[test]
    fn a_slow_platform_is_asked_less_at_a_time_and_more_again_when_it_recovers() {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(8, true);
        let mut run = |ms, count| {
            for _ in 0..count {
                let began = clock.moment();
                clock.advance(Duration::from_millis(ms));
                pace.note(answered(ms), began, clock.moment(), 8);
            }
            pace.limit()
        };
        assert_eq!(run(100, 100), 8);

        assert!(run(2_000, 10) <= 3);

        assert_eq!(run(100, 100), 8);
        // It stays slow: that is its pace now.
        run(2_000, 10);
        assert_eq!(run(2_000, 300), 8);
    }

    #[test]
    fn many_that_time_out_together_lower_the_limit_once() {
        let clock = Clock::manual(0);
        let mut pace = Pace::new(8, true);
        let began = clock.moment();
        clock.advance(Duration::from_secs(10));
        for _ in 0..8 {
            pace.note(Outcome::TimedOut, began, clock.moment(), 8);
        }
        assert_eq!(pace.limit(), 4);
    }

    #[test]
    fn no_limit_and_a_fixed_one_stay_what_they_are() {
        for (most, adaptive, limit) in [(0, true, usize::MAX), (8, false, 8)] {
            let clock = Clock::manual(0);
            let mut pace = Pace::new(most, adaptive);
            for _ in 0..20 {
                pace.note(Outcome::TimedOut, clock.moment(), clock.moment(), 8);
            }
            assert_eq!(pace.limit(), limit);
        }
    }

    proptest! {
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
                    0 => Outcome::TimedOut,
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
}
