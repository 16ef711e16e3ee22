//! How many retries there may be: a share of the requests, so that a platform in trouble is not asked thrice.
//!
//! Time is cut into windows of `platform.retry_budget_window_ms`. In each, retries are at most a share of the
//! requests that came in it (`retry_budget_percent`), or a few in any case (`retry_budget_floor`), so that a clinic
//! at night can retry at all. One number, shared by all workers, holds the window.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::config::Platform as Settings;

/// Bits of each count; sixteen are left for the window's number.
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// How many retries there may be.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Retries for a hundred requests of a window.
    pub percent: u64,
    /// Retries that a window has in any case.
    pub floor: u64,
    /// Length of a window; never zero.
    pub window: Duration,
}

impl Terms {
    /// Those of `[platform]`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            percent: settings.retry_budget_percent,
            floor: settings.retry_budget_floor,
            window: settings.retry_budget_window,
        }
    }

    fn allowed(self, requests: u64) -> u64 {
        (requests * self.percent / 100).max(self.floor)
    }
}

/// Retries allowed and used.
pub struct RetryBudget {
    terms: Terms,
    clock: Clock,
    start: Moment,
    window: AtomicU64,
}

/// What the number holds.
#[derive(Clone, Copy)]
struct Window {
    number: u64,
    requests: u64,
    retries: u64,
}

impl Window {
    fn read(packed: u64) -> Self {
        Self {
            number: packed >> (2 * COUNT_BITS),
            requests: (packed >> COUNT_BITS) & COUNT_MASK,
            retries: packed & COUNT_MASK,
        }
    }

    fn packed(self) -> u64 {
        (self.number << (2 * COUNT_BITS)) | (self.requests.min(COUNT_MASK) << COUNT_BITS) | self.retries.min(COUNT_MASK)
    }

    /// Itself, or an empty one when its time is over.
    fn at(self, number: u64) -> Self {
        if self.number == number {
            return self;
        }
        Self {
            number,
            requests: 0,
            retries: 0,
        }
    }
}

impl RetryBudget {
    /// A budget of which nothing is used.
    pub fn new(terms: Terms, clock: Clock) -> Self {
        Self {
            terms,
            start: clock.moment(),
            clock,
            window: AtomicU64::new(0),
        }
    }

    /// Notes a request, whatever becomes of it.
    pub fn request(&self) {
        self.change(|window| {
            Some(Window {
                requests: window.requests + 1,
                ..window
            })
        });
    }

    /// Takes a retry out of the budget; false when none is left.
    pub fn take(&self) -> bool {
        self.change(|window| {
            (window.retries < self.terms.allowed(window.requests)).then_some(Window {
                retries: window.retries + 1,
                ..window
            })
        })
    }

    /// The share of the window's retries that is left, 0 to 1; 0 where none are allowed.
    pub fn left(&self) -> f64 {
        let window = Window::read(self.window.load(Ordering::Relaxed)).at(self.number());
        let allowed = self.terms.allowed(window.requests);
        allowed.saturating_sub(window.retries) as f64 / allowed.max(1) as f64
    }

    fn change(&self, change: impl Fn(Window) -> Option<Window>) -> bool {
        let number = self.number();
        self.window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
                change(Window::read(packed).at(number)).map(Window::packed)
            })
            .is_ok()
    }

    /// Number of the window that is now.
    fn number(&self) -> u64 {
        let passed = self.clock.moment().since(self.start).as_millis() / self.terms.window.as_millis();
        // Sixteen bits, which come round after 18 hours of the shortest window: nothing of that age is kept.
        (passed & 0xffff) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The defaults of `[platform]`.
    const TERMS: Terms = Terms {
        percent: 20,
        floor: 3,
        window: Duration::from_secs(10),
    };

    #[test]
    fn a_quiet_clinic_has_three_and_the_next_window_three_more() {
        let clock = Clock::manual(0);
        let budget = RetryBudget::new(TERMS, clock.clone());
        budget.request();

        assert_eq!([(); 5].map(|()| budget.take()), [true, true, true, false, false]);
        assert!(budget.left() < f64::EPSILON);
        clock.advance(TERMS.window);
        assert!((budget.left() - 1.0).abs() < f64::EPSILON);
        assert!(budget.take());
    }

    #[test]
    fn without_share_and_floor_nothing_is_repeated() {
        let terms = Terms {
            percent: 0,
            floor: 0,
            ..TERMS
        };
        let budget = RetryBudget::new(terms, Clock::manual(0));
        (0..1_000).for_each(|_| budget.request());

        assert!(!budget.take());
        assert!(budget.left().abs() < f64::EPSILON);
    }

    proptest! {
        /// Steps: a request, or a wait, or as many retries as somebody may want.
        #[test]
        fn retries_never_exceed_the_budget(
            steps in proptest::collection::vec((0_u8..3, 1_u64..40), 1..300),
            percent in 0_u64..=100,
            floor in 0_u64..6,
            seconds in 1_u64..20,
        ) {
            let clock = Clock::manual(5);
            let terms = Terms { percent, floor, window: Duration::from_secs(seconds) };
            let budget = RetryBudget::new(terms, clock.clone());
            let (mut time, mut window, mut requests, mut retries) = (0, 0, 0_u64, 0_u64);
            for (what, times) in steps {
                match what {
                    0 => (0..times).for_each(|_| { budget.request(); requests += 1; }),
                    1 => for _ in 0..times { retries += u64::from(budget.take()); },
                    _ => { time += times * 400; clock.advance(Duration::from_millis(times * 400)); }
                }
                prop_assert!(retries <= (requests * percent / 100).max(floor), "{retries} of {requests}");
                if time / (seconds * 1000) != window {
                    (window, requests, retries) = (time / (seconds * 1000), 0, 0);
                }
            }
        }
    }
}
