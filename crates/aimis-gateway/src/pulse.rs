//! Do the threads that serve still turn? Each says so once a second; the watchdog asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// How often a loop shows that it turns.
const BEAT: Duration = Duration::from_secs(1);

/// The beats of all threads.
#[derive(Default)]
pub struct Pulse {
    /// Locked at the start and twice in a watchdog's interval, never by who beats.
    beats: Mutex<Vec<Beat>>,
}

/// The beat of one thread.
#[derive(Clone)]
pub struct Beat {
    /// Milliseconds from `start` to the last beat.
    last: Arc<AtomicU64>,
    start: Moment,
}

impl Pulse {
    /// A further thread, which begins now.
    pub fn beat(&self, now: Moment) -> Beat {
        let beat = Beat {
            last: Arc::default(),
            start: now,
        };
        self.beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(beat.clone());
        beat
    }

    /// Whether each has beaten within `time` before `now`.
    pub fn beats(&self, now: Moment, time: Duration) -> bool {
        let late = |beat: &Beat| {
            let last = Duration::from_millis(beat.last.load(Ordering::Relaxed));
            now.since(beat.start).saturating_sub(last) > time
        };
        !self
            .beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(late)
    }
}

impl Beat {
    /// The loop turned.
    pub fn at(&self, now: Moment) {
        let since = u64::try_from(now.since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Beats for as long as the loop that this runs on turns.
    pub async fn keep(self, clock: Clock) {
        loop {
            tokio::time::sleep(BEAT).await;
            self.at(clock.moment());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_thread_that_stands_still_is_noticed() {
        let (clock, pulse) = (Clock::of_runtime(0), Pulse::default());
        let (one, other) = (pulse.beat(clock.moment()), pulse.beat(clock.moment()));
        let within = Duration::from_secs(5);
        let turning = tokio::spawn(one.keep(clock.clone()));
        let stuck = tokio::spawn(other.keep(clock.clone()));

        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(pulse.beats(clock.moment(), within));

        stuck.abort();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(pulse.beats(clock.moment(), within));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!pulse.beats(clock.moment(), within));
        turning.abort();
    }
}
