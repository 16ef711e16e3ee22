//! Trouble that somebody else can cause as often as he likes is told once in a while, with a count.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};

/// Lets one line of a kind through per interval, and counts the others.
pub struct Throttle {
    interval: Duration,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Moment>,
    left_out: u64,
}

impl Throttle {
    /// One line per `interval`; zero lets each through.
    pub fn new(interval: Duration, clock: Clock) -> Self {
        Self {
            interval,
            clock,
            state: Mutex::default(),
        }
    }

    /// Whether to write a line now: the number of those left out since the last, or `None` to leave this one out.
    pub fn pass(&self) -> Option<u64> {
        let now = self.clock.moment();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.since(last) < self.interval) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

/// One throttle for each member of a closed set of kinds, so that a flood of one kind hides no other.
pub struct Throttles(Vec<Throttle>);

impl Throttles {
    /// `kinds` of them.
    pub fn new(kinds: usize, interval: Duration, clock: &Clock) -> Self {
        Self((0..kinds).map(|_| Throttle::new(interval, clock.clone())).collect())
    }

    /// See [`Throttle::pass`]; `kind` is below the number that was asked for.
    pub fn pass(&self, kind: usize) -> Option<u64> {
        self.0[kind].pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_interval_is_written_and_tells_how_many_were_not() {
        let clock = Clock::manual(0);
        let throttle = Throttle::new(Duration::from_secs(2), clock.clone());

        assert_eq!(throttle.pass(), Some(0));
        assert_eq!((throttle.pass(), throttle.pass()), (None, None));
        clock.advance(Duration::from_secs(2));
        assert_eq!(throttle.pass(), Some(2));
        clock.advance(Duration::from_secs(2));
        assert_eq!(throttle.pass(), Some(0));
    }

    #[test]
    fn one_kind_hides_no_other_and_no_interval_hides_nothing() {
        let clock = Clock::manual(0);
        let throttles = Throttles::new(2, Duration::from_secs(2), &clock);
        assert_eq!((throttles.pass(0), throttles.pass(0)), (Some(0), None));
        assert_eq!(throttles.pass(1), Some(0));

        let open = Throttle::new(Duration::ZERO, clock);
        assert_eq!((open.pass(), open.pass()), (Some(0), Some(0)));
    }
}
