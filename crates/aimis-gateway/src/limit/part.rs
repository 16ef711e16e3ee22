//! A gateway's part of a quota that it shares with others: the quota divided by how many they are, which may change at
//! any time without that anything counted is lost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// Counts against a part of a quota (GCRA). While the store judges, it is told of what was granted here, so that it is
/// no fresh quota when it is needed.
pub(super) struct Part {
    gateways: Arc<AtomicU32>,
    clock: Clock,
    began: Moment,
    /// When all of it is back, from `began`.
    whole_at: Mutex<Duration>,
}

impl Part {
    /// One of `gateways`.
    pub(super) fn new(gateways: &Arc<AtomicU32>, clock: &Clock) -> Self {
        Self {
            gateways: Arc::clone(gateways),
            clock: clock.clone(),
            began: clock.moment(),
            whole_at: Mutex::default(),
        }
    }

    /// One at least: with more gateways than the burst, all of them at once are more than it, and the rate holds.
    pub(super) fn burst(&self, burst: u32) -> u32 {
        (burst / self.gateways()).max(1)
    }

    pub(super) fn period(&self, period: Duration) -> Duration {
        period.saturating_mul(self.gateways())
    }

    /// As `Bucket::take` has it, of this part of a quota of one every `period` and `burst` at once.
    pub(super) fn take(&self, weight: u32, period: Duration, burst: u32) -> Result<u32, Moment> {
        let (burst, period) = (self.burst(burst), self.period(period));
        // What weighs more than this part waits for as long as the others' parts take, too.
        let cost = period.saturating_mul(weight);
        let room = period.saturating_mul(burst).max(cost);
        let now = self.clock.same_moment().since(self.began);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*whole_at).max(now).saturating_add(cost);
        let ahead = next.saturating_sub(now);
        if ahead > room {
            return Err(self.began.after(next.saturating_sub(room)));
        }
        *whole_at = next;
        let left = room.saturating_sub(ahead).as_nanos() / period.as_nanos().max(1);
        Ok(u32::try_from(left).unwrap_or(u32::MAX))
    }

    fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// All gateways together let through no more than the quota in any window, and a burst for each change.
        #[test]
        fn all_parts_together_are_the_quota(
            gateways in 1_u32..9,
            period_ms in 1_u64..50,
            burst in 1_u32..40,
            steps in proptest::collection::vec((0_u64..60, 0_usize..9, 1_u32..4), 1..300),
        ) {
            let clock = Clock::manual(0);
            let count = Arc::new(AtomicU32::new(gateways));
            let parts: Vec<Part> = (0..gateways).map(|_| Part::new(&count, &clock)).collect();
            // With fewer at once than gateways, or than a question weighs, each has one question at once all the same.
            let bound = u64::from(burst.max(gateways * 3));
            let mut passed: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (wait, at, weight) in steps {
                now += wait;
                clock.advance(Duration::from_millis(wait));
                let period = Duration::from_millis(period_ms);
                match parts[at % parts.len()].take(weight, period, burst) {
                    Ok(_) => passed.push((now, weight.into())),
                    Err(until) => prop_assert!(until > clock.moment()),
                }
            }
            for (first, (from, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (at, weight) in &passed[first..] {
                    sum += weight;
                    prop_assert!(sum.saturating_sub(bound) * period_ms <= at - from, "{sum} from {from} to {at}");
                }
            }
        }
    }

    #[test]
    fn what_was_taken_stays_taken_when_there_are_more_or_fewer() {
        let clock = Clock::manual(0);
        let count = Arc::new(AtomicU32::new(2));
        let part = Part::new(&count, &clock);
        let take = || part.take(1, Duration::from_millis(100), 4);
        assert_eq!((take(), take()), (Ok(1), Ok(0)));
        assert!(take().is_err());
        count.store(4, Ordering::Relaxed);
        assert!(take().is_err());
        count.store(1, Ordering::Relaxed);
        assert!(take().is_err());
        clock.advance(Duration::from_millis(100));
        assert!(take().is_ok());
    }
}
