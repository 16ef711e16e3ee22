//! The machine's clocks: these programs measure real time, and there is nothing to inject.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, for differences.
#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]
pub fn moment() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, as signatures carry them.
#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Waits, holding the thread.
#[expect(clippy::disallowed_methods, reason = "a fixed rate is kept by waiting for its time")]
pub fn wait(duration: Duration) {
    std::thread::sleep(duration);
}
