//! A quota: so many at once, so many a second in the long run (GCRA, by governor). Where gateways share a store, this is
//! what one of them goes by while that is away: its part of the quota, by an own count.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::part::Part;
use crate::clock::{Clock, Moment};
use crate::store::Store;

/// The clock, for one who has just looked at it, as whoever takes of a bucket has.
#[derive(Clone)]
struct SameMoment(Clock);

impl governor::clock::Clock for SameMoment {
    type Instant = governor::nanos::Nanos;

    fn now(&self) -> Self::Instant {
        self.0.same_moment().into()
    }
}

/// Counts against one quota.
pub(super) struct Bucket {
    counter: Counter,
    burst: NonZeroU32,
    period: Duration,
}

enum Counter {
    Whole(RateLimiter<NotKeyed, InMemoryState, SameMoment, StateInformationMiddleware>),
    Part(Part),
}

impl Bucket {
    /// `burst` at once, and one more every `period`.
    pub(super) fn new(period: Duration, burst: u32, clock: &Clock) -> Self {
        let period = period.max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period)
            .expect("a period of a nanosecond at least is a quota")
            .allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, SameMoment(clock.clone())).with_middleware();
        Self {
            counter: Counter::Whole(limiter),
            burst,
            period,
        }
    }

    /// The same, or where gateways share a store, this one's part of it.
    pub(super) fn beside(store: Option<&Store>, period: Duration, burst: u32, clock: &Clock) -> Self {
        let whole = Self::new(period, burst, clock);
        match store {
            None => whole,
            Some(store) => Self {
                counter: Counter::Part(Part::new(store.replicas(), clock)),
                ..whole
            },
        }
    }

    /// Takes `weight`, at most the whole burst, and tells how much is left at once. In the same breath as a look at the
    /// clock.
    ///
    /// # Errors
    /// When there will be enough, if nobody else takes of it; nothing is taken then.
    pub(super) fn take(&self, weight: u32) -> Result<u32, Moment> {
        let weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN).min(self.burst);
        match &self.counter {
            Counter::Whole(limiter) => match limiter.check_n(weight).expect("never more than the burst") {
                Ok(state) => Ok(state.remaining_burst_capacity()),
                Err(until) => Err(until.earliest_possible().into()),
            },
            Counter::Part(part) => part.take(weight.get(), self.period, self.burst.get()),
        }
    }

    pub(super) fn burst(&self) -> u32 {
        match &self.counter {
            Counter::Whole(_) => self.burst.get(),
            Counter::Part(part) => part.burst(self.burst.get()),
        }
    }

    /// The time from one to the next.
    pub(super) fn period(&self) -> Duration {
        match &self.counter {
            Counter::Whole(_) => self.period,
            Counter::Part(part) => part.period(self.period),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The promise itself, against everything that was let through: in no window of any length there is more than
        /// the burst and what the rate gives in that time. And it is not stingy: what is refused would break it.
        #[test]
        fn no_window_has_more_than_its_bound(
            period_ms in 1_u64..50,
            burst in 1_u32..20,
            steps in proptest::collection::vec((0_u64..60, 1_u32..8), 1..200),
        ) {
            let clock = Clock::manual(0);
            let period = Duration::from_millis(period_ms);
            let bucket = Bucket::new(period, burst, &clock);
            let mut passed: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (wait, weight) in steps {
                now += wait;
                clock.advance(Duration::from_millis(wait));
                let weight = weight.min(burst);
                let fits = |passed: &[(u64, u64)]| {
                    let mut sum = u64::from(weight);
                    passed.iter().rev().all(|(at, weight)| {
                        sum += weight;
                        // Over the burst by no more than came back since.
                        sum.saturating_sub(burst.into()) * period_ms <= now - at
                    })
                };
                let allowed = fits(&passed);
                match bucket.take(weight) {
                    Ok(_) => {
                        prop_assert!(allowed, "{now}: {weight} too much");
                        passed.push((now, weight.into()));
                    }
                    Err(until) => {
                        prop_assert!(!allowed, "{now}: {weight} refused for nothing");
                        prop_assert!(until > clock.moment());
                    }
                }
            }
        }
    }

    #[test]
    fn what_weighs_more_than_the_burst_costs_all_of_it() {
        let clock = Clock::manual(0);
        let bucket = Bucket::new(Duration::from_millis(100), 3, &clock);

        assert_eq!(bucket.take(1_000), Ok(0));
        assert_eq!(
            bucket.take(2).unwrap_err().since(clock.moment()),
            Duration::from_millis(200)
        );
        clock.advance(Duration::from_millis(200));
        assert_eq!(bucket.take(2), Ok(0));
    }
}
