//! How far our clock is from the platform's, told by the `Date` of its answers.
//!
//! A sample is the platform's time minus our *monotonic* time, so that it stays true while the machine's
//! clock is set. `Date` counts whole seconds and was written somewhere between question and answer: both are
//! taken at their middle, which leaves an error of half a second and half a round trip. The median of the
//! last nine is robust against a proxy that invents dates.
//!
//! When wall time and monotonic time part by more than a second, the machine's clock was set or the machine
//! slept; which of the two cannot be told, so nothing is believed until the next answer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// Samples kept.
const SAMPLES: usize = 9;
/// Samples before an estimate is acted upon; one alone may be a stray.
const ENOUGH: usize = 3;
/// A round trip that is longer says too little about when `Date` was written.
const LONGEST_TRIP: Duration = Duration::from_secs(2);
/// Wall time and monotonic time part by more than this only when the clock is set, or the machine slept.
const JUMP_MS: i64 = 1000;
/// `Date` is cut to whole seconds: on average so much is missing.
const HALF_SECOND_MS: i64 = 500;

/// What an answer tells about the platform's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Its `Date`, in milliseconds since 1970.
    pub date_ms: u64,
    /// When the question was written.
    pub asked: Moment,
    /// When the head of the answer was there.
    pub answered: Moment,
}

/// Our clock at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Wall time in milliseconds since 1970.
    pub wall_ms: u64,
    /// Monotonic time.
    pub moment: Moment,
}

impl Reading {
    /// Wall time minus monotonic time: constant as long as nobody sets the clock.
    pub fn base(self) -> i64 {
        signed(self.wall_ms) - self.moment.millis()
    }
}

/// Estimates how far our clock is ahead of the platform's.
#[derive(Default)]
pub struct Estimator {
    /// The platform's time minus our monotonic time, in milliseconds; newest last.
    samples: VecDeque<i64>,
    /// [`Reading::base`] at the last sample.
    base: Option<i64>,
}

impl Estimator {
    /// Learns from an answer. False when it is of no use.
    pub fn learn(&mut self, dated: Dated, now: Reading) -> bool {
        if dated.answered.since(dated.asked) > LONGEST_TRIP {
            return false;
        }
        if self.jumped(now) {
            self.samples.clear();
        }
        self.base = Some(now.base());
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample(dated));
        true
    }

    /// Milliseconds that our clock is ahead; below 0 when it is behind. `None` while nothing is known.
    pub fn offset_ms(&self, now: Reading) -> Option<i64> {
        if self.jumped(now) {
            return None;
        }
        let mut sorted: Vec<i64> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        Some(now.base() - sorted.get(sorted.len() / 2)?)
    }

    /// The same, once there is enough to act upon it.
    pub fn settled_ms(&self, now: Reading) -> Option<i64> {
        self.offset_ms(now).filter(|_| self.samples.len() >= ENOUGH)
    }

    fn jumped(&self, now: Reading) -> bool {
        self.base.is_some_and(|base| (now.base() - base).abs() > JUMP_MS)
    }
}

/// What one answer says by itself, when it has to be acted upon at once.
pub fn offset_of(dated: Dated, now: Reading) -> Option<i64> {
    (dated.answered.since(dated.asked) <= LONGEST_TRIP).then(|| now.base() - sample(dated))
}

fn sample(dated: Dated) -> i64 {
    let middle = i64::midpoint(dated.asked.millis(), dated.answered.millis());
    signed(dated.date_ms) + HALF_SECOND_MS - middle
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const START: u64 = 1_735_689_600_000;

    /// Our machine's two clocks, and a platform whose time is right.
    struct Scene {
        mono: Clock,
        wall_ahead: i64,
        /// Time that went by while the machine slept: its monotonic clock has not seen it.
        slept: i64,
    }

    impl Scene {
        fn new(wall_ahead: i64) -> Self {
            Self {
                mono: Clock::manual(START),
                wall_ahead,
                slept: 0,
            }
        }

        fn reading(&self) -> Reading {
            Reading {
                wall_ms: self
                    .mono
                    .now()
                    .as_millis()
                    .saturating_add_signed(self.wall_ahead + self.slept),
                moment: self.mono.moment(),
            }
        }

        /// An answer after `trip`, whose date was written in the middle, `off_ms` beside the truth.
        fn answer(&self, trip: Duration, off_ms: i64) -> Dated {
            let asked = self.mono.moment();
            self.mono.advance(trip / 2);
            let date_ms = self.mono.now().as_millis().saturating_add_signed(off_ms + self.slept) / 1000 * 1000;
            self.mono.advance(trip / 2);
            Dated {
                date_ms,
                asked,
                answered: self.mono.moment(),
            }
        }
    }

    fn near(offset: Option<i64>, wanted: i64) -> bool {
        offset.is_some_and(|offset| (offset - wanted).abs() <= 1500)
    }

    #[test]
    fn a_wild_date_among_honest_ones_changes_nothing() {
        let scene = Scene::new(-120_000);
        let mut estimator = Estimator::default();
        for round in 0..20 {
            let off = if round % 3 == 0 { 86_400_000 } else { 0 };
            let dated = scene.answer(Duration::from_millis(60), off);
            estimator.learn(dated, scene.reading());
            scene.mono.advance(Duration::from_millis(1370));
        }
        assert!(near(estimator.settled_ms(scene.reading()), -120_000));
    }

    #[test]
    fn a_slow_answer_says_nothing_and_one_alone_is_not_acted_upon() {
        let scene = Scene::new(0);
        let mut estimator = Estimator::default();
        assert!(!estimator.learn(scene.answer(Duration::from_secs(5), 0), scene.reading()));
        assert_eq!(estimator.offset_ms(scene.reading()), None);

        assert!(estimator.learn(scene.answer(Duration::from_millis(80), 0), scene.reading()));
        assert!(near(estimator.offset_ms(scene.reading()), 0));
        assert_eq!(estimator.settled_ms(scene.reading()), None);
    }

    #[test]
    fn a_machine_that_slept_measures_anew() {
        let mut scene = Scene::new(0);
        let mut estimator = Estimator::default();
        for _ in 0..9 {
            estimator.learn(scene.answer(Duration::from_millis(50), 0), scene.reading());
        }

        scene.slept = 7_200_000;

        assert_eq!(estimator.offset_ms(scene.reading()), None);
        estimator.learn(scene.answer(Duration::from_millis(50), 0), scene.reading());
        assert!(near(estimator.offset_ms(scene.reading()), 0));
    }

    proptest! {
        #[test]
        fn jumps_of_hours_in_both_directions_are_survived(
            jumps in proptest::collection::vec(-14_400_000_i64..14_400_000, 1..6),
            trip in 1_u64..1500,
        ) {
            let mut scene = Scene::new(0);
            let mut estimator = Estimator::default();
            for ahead in jumps {
                let jumped = (ahead - scene.wall_ahead).abs() > JUMP_MS;
                scene.wall_ahead = ahead;
                if jumped {
                    // What was measured before the jump is not told as if it were measured behind it.
                    prop_assert_eq!(estimator.offset_ms(scene.reading()), None);
                }
                for _ in 0..5 {
                    let dated = scene.answer(Duration::from_millis(trip), 0);
                    prop_assert!(estimator.learn(dated, scene.reading()));
                    prop_assert!(near(estimator.offset_ms(scene.reading()), ahead));
                    scene.mono.advance(Duration::from_millis(777));
                }
            }
        }
    }
}
