//! The one clock of the process: wall time for signatures and logs, monotonic time for durations.
//!
//! Everything that needs the time is handed a [`Clock`], so that a test decides what time it is and a
//! signature, a log line and a metric of one moment agree. `clippy.toml` bans clock reads elsewhere.
//! Waiting is another matter: time-outs use tokio's timer, which a paused runtime controls.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aimis_core::sign::Timestamp;

/// Tells the time. Cloning gives a second handle on the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    kind: Kind,
    /// Added to wall time, in milliseconds.
    shift: i64,
}

#[derive(Clone, Debug)]
enum Kind {
    System {
        start: Instant,
    },
    Manual {
        millis: Arc<AtomicU64>,
        /// Of these, how many passed while the machine slept.
        slept: Arc<AtomicU64>,
    },
    /// For tests of what waits: moves with a paused runtime.
    #[cfg(test)]
    Runtime {
        start: tokio::time::Instant,
        millis: u64,
    },
}

/// A point on the monotonic scale of one [`Clock`]; only differences mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(wait))
    }

    /// Milliseconds on the clock's own scale, for sums with others of the same clock.
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

thread_local! {
    /// The machine's monotonic time when it was last read on this thread.
    static LAST_READ: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn system() -> Self {
        Self {
            kind: Kind::System { start: Instant::now() },
            shift: 0,
        }
    }

    /// A clock that stands still at `millis` since 1970-01-01 UTC until [`Clock::advance`] moves it.
    pub fn manual(millis: u64) -> Self {
        Self {
            kind: Kind::Manual {
                millis: Arc::new(AtomicU64::new(millis)),
                slept: Arc::default(),
            },
            shift: 0,
        }
    }

    /// A clock at `millis` since 1970-01-01 UTC that moves with the runtime's time, which a test pauses.
    #[cfg(test)]
    #[expect(clippy::disallowed_methods, reason = "the time of a paused runtime")]
    pub fn of_runtime(millis: u64) -> Self {
        Self {
            kind: Kind::Runtime {
                start: tokio::time::Instant::now(),
                millis,
            },
            shift: 0,
        }
    }

    /// The same clock, whose wall time is `millis` ahead (`clock.offset_ms`).
    #[must_use]
    pub fn shifted(&self, millis: i64) -> Self {
        Self {
            kind: self.kind.clone(),
            shift: self.shift.saturating_add(millis),
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC. May jump, as the machine's clock may.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn now(&self) -> Timestamp {
        let millis = match &self.kind {
            // A clock before 1970 signs nothing that a platform accepts; zero says so plainly.
            Kind::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            Kind::Manual { millis, .. } => millis.load(Ordering::Relaxed),
            #[cfg(test)]
            Kind::Runtime { start, millis } => millis + u64::try_from(start.elapsed().as_millis()).unwrap_or(0),
        };
        Timestamp::from_millis(millis.saturating_add_signed(self.shift))
    }

    /// Wall time since 1970-01-01 UTC, as fine as the machine has it. May jump, as the machine's clock may.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn wall(&self) -> Duration {
        match &self.kind {
            Kind::System { .. } => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            _ => Duration::from_millis(self.now().as_millis()),
        }
    }

    /// Monotonic time, for durations.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn moment(&self) -> Moment {
        match &self.kind {
            Kind::System { start } => {
                let now = Instant::now();
                LAST_READ.set(Some(now));
                Moment(now.saturating_duration_since(*start))
            }
            Kind::Manual { millis, slept } => {
                let awake = millis.load(Ordering::Relaxed) - slept.load(Ordering::Relaxed);
                Moment(Duration::from_millis(awake))
            }
            #[cfg(test)]
            Kind::Runtime { start, .. } => Moment(start.elapsed()),
        }
    }

    /// What [`moment`](Self::moment) last said on this thread, for what comes in the same breath: after it, with no wait
    /// in between. A request would otherwise read the clock for each who wants to know.
    pub fn same_moment(&self) -> Moment {
        match (&self.kind, LAST_READ.get()) {
            (Kind::System { start }, Some(last)) => Moment(last.saturating_duration_since(*start)),
            _ => self.moment(),
        }
    }

    /// Moves a manual clock forward; a system clock moves by itself, so there it does nothing.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual { millis, .. } = &self.kind {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            millis.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Lets a manual clock's machine sleep: wall time goes on, and monotonic time stands still.
    pub fn sleep(&self, by: Duration) {
        if let Kind::Manual { millis, slept } = &self.kind {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            millis.fetch_add(by, Ordering::Relaxed);
            slept.fetch_add(by, Ordering::Relaxed);
        }
    }
}

/// What the runtime's timers go by, and a paused runtime holds: for when a wait ends, and whether it still may begin.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the machine's clock is read"
)]
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// For limits: a moment as governor tells it.
impl From<governor::nanos::Nanos> for Moment {
    fn from(nanos: governor::nanos::Nanos) -> Self {
        Self(nanos.into())
    }
}

/// For limits: a moment as governor counts it.
impl From<Moment> for governor::nanos::Nanos {
    fn from(moment: Moment) -> Self {
        moment.0.into()
    }
}

/// For limits: [`Clock::moment`] on the scale that governor counts in.
impl governor::clock::Clock for Clock {
    type Instant = governor::nanos::Nanos;

    fn now(&self) -> Self::Instant {
        self.moment().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_735_689_600_000);
        let start = clock.moment();

        clock.advance(Duration::from_millis(1500));

        assert_eq!(clock.now().as_millis(), 1_735_689_601_500);
        assert_eq!(clock.moment().since(start), Duration::from_millis(1500));
        assert_eq!(start.since(clock.moment()), Duration::ZERO);
        assert_eq!(clock.shifted(-500).now().as_millis(), 1_735_689_601_000);
        clock.sleep(Duration::from_secs(1));
        assert_eq!(clock.now().as_millis(), 1_735_689_602_500);
        assert_eq!(clock.moment().since(start), Duration::from_millis(1500));
    }
}
