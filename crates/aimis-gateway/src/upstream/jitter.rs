//! Chance, for waits that must not fall together: spread by a counter that is mixed, seeded once.
//!
//! Not for secrets. One is shared by all workers; a test gives it a seed and gets the same waits each time.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::secrets;

/// Step of the counter (splitmix64); odd, so that it meets every number once.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes waits of random length.
pub struct Jitter(AtomicU64);

impl Jitter {
    /// Seeded by the system.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> io::Result<Self> {
        let random = secrets::random_key()?;
        let seed = random
            .iter()
            .fold(0_u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
        Ok(Self::seeded(seed))
    }

    /// The same waits in the same order for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A wait from zero to `most`, each as likely as the other.
    pub fn up_to(&self, most: Duration) -> Duration {
        let span = most.as_nanos().saturating_add(1).min(u128::from(u64::MAX));
        let share = (u128::from(self.next()) * span) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
    }

    fn next(&self) -> u64 {
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bound_and_use_all_of_it() {
        let jitter = Jitter::seeded(7);
        let most = Duration::from_millis(100);

        let waits: Vec<Duration> = (0..1000).map(|_| jitter.up_to(most)).collect();

        assert!(waits.iter().all(|wait| *wait <= most));
        for tenth in 0..10 {
            let (from, to) = (most * tenth / 10, most * (tenth + 1) / 10);
            let here = waits.iter().filter(|wait| **wait >= from && **wait < to).count();
            assert!((50..200).contains(&here), "{here} between {from:?} and {to:?}");
        }
        assert_eq!(jitter.up_to(Duration::ZERO), Duration::ZERO);
    }
}
