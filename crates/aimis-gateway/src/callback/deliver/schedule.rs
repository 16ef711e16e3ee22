//! When an event is tried again: the waits between its attempts, a little longer each time by chance.

use std::time::Duration;

use crate::config;
use crate::upstream::jitter::Jitter;

/// The waits of every event.
pub(super) struct Schedule {
    waits: Vec<Duration>,
    jitter_percent: u32,
    jitter: Jitter,
}

impl Schedule {
    /// `delivery.schedule_ms` and `delivery.jitter_percent`.
    pub(super) fn new(settings: &config::Delivery, jitter: Jitter) -> Self {
        Self {
            waits: settings.schedule.clone(),
            jitter_percent: settings.jitter_percent,
            jitter,
        }
    }

    /// The wait behind a failed attempt, the first being number 1; `None` when it was the last. Never shorter than
    /// the schedule says, so that a HIS knows when to expect nothing.
    pub(super) fn wait(&self, attempt: u32) -> Option<Duration> {
        let index = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
        let wait = *self.waits.get(index)?;
        Some(wait + self.jitter.up_to(wait * self.jitter_percent / 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(waits: &[u64], jitter_percent: u32, seed: u64) -> Schedule {
        Schedule {
            waits: waits.iter().copied().map(Duration::from_millis).collect(),
            jitter_percent,
            jitter: Jitter::seeded(seed),
        }
    }

    #[test]
    fn every_attempt_but_the_last_is_followed_by_its_wait() {
        let schedule = schedule(&[5, 30, 300], 0, 1);

        let waits: Vec<_> = (1..=5).map(|attempt| schedule.wait(attempt)).collect();

        let of = |ms| Some(Duration::from_millis(ms));
        assert_eq!(waits, [of(5), of(30), of(300), None, None]);
    }

    proptest! {
        #[test]
        fn chance_makes_a_wait_longer_within_its_share(wait in 1_u64..604_800_000, percent in 0_u32..=100, seed: u64) {
            let schedule = schedule(&[wait], percent, seed);
            let (least, most) = (Duration::from_millis(wait), Duration::from_millis(wait) * (100 + percent) / 100);
            for _ in 0..20 {
                let wait = schedule.wait(1).unwrap();
                prop_assert!(least <= wait && wait <= most, "{wait:?}");
            }
        }
    }

    #[test]
    fn events_that_failed_together_do_not_come_together_again() {
        let schedule = schedule(&[5_000], 20, 7);

        let mut waits: Vec<_> = (0..100).map(|_| schedule.wait(1).unwrap()).collect();

        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 90);
    }
}
