//! The simulator's own clock: milliseconds since 1970-01-01 UTC, movable.
//!
//! Everything here that asks for the time asks a [`Clock`], so that a test can hold it still at the
//! time of a golden vector or put the platform's clock minutes away from the gateway's. The `Date`
//! header of every answer comes from it too, because that is where a client measures the difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock that all its clones share: the system's or a standing one, plus an offset.
#[derive(Clone, Debug)]
pub struct Clock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// [`RUNNING`], or the time at which the clock stands.
    standing_at_ms: AtomicI64,
    offset_ms: AtomicI64,
}

const RUNNING: i64 = i64::MIN;

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::new(RUNNING)
    }

    /// A clock that stands at `ms` milliseconds since 1970-01-01 UTC until it is moved.
    #[must_use]
    pub fn standing_at(ms: i64) -> Self {
        Self::new(ms)
    }

    fn new(standing_at_ms: i64) -> Self {
        let shared = Shared {
            standing_at_ms: AtomicI64::new(standing_at_ms),
            offset_ms: AtomicI64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The time with the offset, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let standing = self.shared.standing_at_ms.load(Ordering::Relaxed);
        let base = if standing == RUNNING { system_ms() } else { standing };
        base.saturating_add(self.shared.offset_ms.load(Ordering::Relaxed))
    }

    /// Stops the clock at `ms`. The offset stays and is added.
    pub fn stand_at(&self, ms: i64) {
        self.shared.standing_at_ms.store(ms, Ordering::Relaxed);
    }

    /// Moves the clock away from its base: positive is fast, negative slow.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.shared.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// The offset in force.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.shared.offset_ms.load(Ordering::Relaxed)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the simulator reads the system's clock"
)]
fn system_ms() -> i64 {
    // A system clock before 1970 reads as 1970: no signature of ours would be right either way.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_by_its_offset() {
        let clock = Clock::standing_at(1_735_689_600_000);
        let same = clock.clone();

        clock.set_offset_ms(-90_000);

        assert_eq!(same.now_ms(), 1_735_689_510_000);
        assert_eq!(same.offset_ms(), -90_000);
    }
}
