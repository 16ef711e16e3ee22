//! The machine's clock, when somebody sets it.

use std::time::Duration;

use aimis_core::sign::Timestamp;

use crate::clock::{Clock, Moment};

/// Notices that wall time and monotonic time went apart.
pub(super) struct Steps {
    /// The wall time that was last read.
    pub(super) now: Timestamp,
    wall: i64,
    moment: Moment,
}

/// Differences below this are the ordinary discipline of a clock.
const STEP: Duration = Duration::from_secs(2);

impl Steps {
    pub(super) fn new(clock: &Clock) -> Self {
        let now = clock.now();
        Self {
            now,
            wall: now.as_millis().cast_signed(),
            moment: clock.moment(),
        }
    }

    /// By how many milliseconds the clock was set since the last time, if it was.
    pub(super) fn observe(&mut self, clock: &Clock) -> Option<i64> {
        let last = std::mem::replace(self, Self::new(clock));
        let passed = i64::try_from(self.moment.since(last.moment).as_millis()).unwrap_or(i64::MAX);
        let step = self.wall.saturating_sub(last.wall).saturating_sub(passed);
        if step.unsigned_abs() >= STEP.as_millis() as u64 {
            return Some(step);
        }
        // Small differences add up until they are a step.
        self.wall = last.wall.saturating_add(passed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_runs_is_not() {
        let clock = Clock::manual(1_735_689_600_000);
        let mut steps = Steps::new(&clock);

        clock.advance(Duration::from_secs(3600));

        assert_eq!(steps.observe(&clock), None);
        assert_eq!(steps.observe(&clock.shifted(-60_000)), Some(-60_000));
        assert_eq!(steps.observe(&clock.shifted(-60_000)), None);
        assert_eq!(steps.observe(&clock), Some(60_000));
        assert_eq!(steps.observe(&clock.shifted(1_500)), None);
        assert_eq!(steps.observe(&clock.shifted(3_000)), Some(3_000));
    }
}
