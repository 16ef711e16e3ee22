//! Watches our clock by the platform's: the time that signatures carry, the metric, the warnings.
//!
//! One for all workers. Signing reads two numbers; the estimate behind them is touched once a second at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aimis_core::sign::Timestamp;

use super::clock_offset::{Dated, Estimator, Reading, offset_of};
use crate::clock::Clock;
use crate::config::Clock as Settings;
use crate::telemetry::event::{ClockState, Event};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// Time between two samples, in milliseconds.
const SAMPLE_EVERY_MS: i64 = 1000;
/// Wall and monotonic time part by more only when the clock was set: then no correction holds.
const SAME_BASE_MS: i64 = 1000;

/// Our clock, and what is known of its error.
pub struct ClockWatch {
    /// The machine's, with `clock.offset_ms`.
    clock: Clock,
    warn_ms: i64,
    alarm_ms: i64,
    most_ms: i64,
    correct: bool,
    state: Mutex<Watched>,
    /// When the last sample was taken; below 0 before the first.
    sampled_at: AtomicI64,
    /// Added to the clock for signatures, and the difference of wall and monotonic time for which that holds.
    correction: AtomicI64,
    base: AtomicI64,
    metrics: Arc<Metrics>,
    log: Log,
}

struct Watched {
    estimator: Estimator,
    told: ClockState,
}

impl ClockWatch {
    /// Watches `clock`, which has `clock.offset_ms` in it.
    pub fn new(settings: &Settings, clock: Clock, metrics: Arc<Metrics>, log: Log) -> Self {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            clock,
            warn_ms: millis(settings.warn),
            alarm_ms: millis(settings.alarm),
            most_ms: millis(settings.max_correction),
            correct: settings.auto_correct,
            state: Mutex::new(Watched {
                estimator: Estimator::default(),
                told: ClockState::Right,
            }),
            sampled_at: AtomicI64::new(-SAMPLE_EVERY_MS),
            correction: AtomicI64::new(0),
            base: AtomicI64::new(0),
            metrics,
            log,
        }
    }

    /// The time that a signature carries now; `correction` goes before what `clock.auto_correct` would add.
    pub fn signing_time(&self, correction: Option<i64>) -> Timestamp {
        let millis = correction.unwrap_or_else(|| self.correction());
        self.clock.shifted(millis).now()
    }

    /// What signatures are corrected by at present.
    fn correction(&self) -> i64 {
        let correction = self.correction.load(Ordering::Relaxed);
        if correction == 0 || (self.base() - self.base.load(Ordering::Relaxed)).abs() > SAME_BASE_MS {
            return 0;
        }
        correction
    }

    fn reading(&self) -> Reading {
        Reading {
            wall_ms: self.clock.now().as_millis(),
            moment: self.clock.moment(),
        }
    }

    fn base(&self) -> i64 {
        self.reading().base()
    }

    /// Learns from an answer, once a second at most.
    pub fn learn(&self, dated: Dated) {
        let last = self.sampled_at.load(Ordering::Relaxed);
        let moment = self.clock.same_moment().millis();
        let turn = moment - last >= SAMPLE_EVERY_MS
            && self
                .sampled_at
                .compare_exchange(last, moment, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !turn {
            return;
        }
        let now = self.reading();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.estimator.learn(dated, now) {
            return;
        }
        let (offset, settled) = (state.estimator.offset_ms(now), state.estimator.settled_ms(now));
        let before = state.told;
        if let Some(settled) = settled {
            state.told = self.judge(settled, before);
        }
        let told = state.told;
        drop(state);

        if let Some(offset) = offset {
            self.metrics.clock_offset.set(offset as f64 / 1000.0);
        }
        let correction = settled.filter(|_| self.correct).unwrap_or(0);
        self.base.store(now.base(), Ordering::Relaxed);
        self.correction
            .store((-correction).clamp(-self.most_ms, self.most_ms), Ordering::Relaxed);
        if told != before {
            self.log.write(&Event::ClockOffset {
                state: told,
                offset_ms: settled.unwrap_or(0),
            });
        }
    }

    /// What to call an offset. An episode ends well below where it began, and told once it is not told again.
    fn judge(&self, offset: i64, told: ClockState) -> ClockState {
        let size = offset.abs();
        if size > self.alarm_ms {
            ClockState::Alarm
        } else if size <= self.warn_ms / 4 * 3 {
            ClockState::Right
        } else if size > self.warn_ms && told == ClockState::Right {
            ClockState::Warn
        } else {
            told
        }
    }

    /// How far our clock is ahead, below 0 behind, when that is more than `clock.warn_ms`.
    pub fn off_ms(&self) -> Option<i64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = state.estimator.offset_ms(self.reading())?;
        (offset.abs() > self.warn_ms).then_some(offset)
    }

    /// A correction that may cure a refused signature, by the date of the answer that refused it; `None` when
    /// the time was near enough, or is farther off than may be corrected.
    pub fn remedy(&self, dated: Dated) -> Option<i64> {
        let offset = offset_of(dated, self.reading())?;
        let left = offset + self.correction();
        (left.abs() > self.warn_ms && offset.abs() <= self.most_ms).then_some(-offset)
    }
}
