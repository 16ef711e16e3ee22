//! How much is sent to one target at a time: as much as allowed while it takes events, one probe at a time while
//! it does not.
//!
//! ```text
//!   flowing ──suspend_after failures in a row──► suspended ──a delivery succeeds──► flowing
//!                                                 │     ▲
//!                                                 └─────┘ a probe fails: the pause doubles, up to probe_max
//! ```
//!
//! Without this, a HIS that is down for a night uses up the attempts of everything that waits for it. What counts as
//! a failure is told from what an operator would say is wrong: an event that fails alone, again and again, says
//! nothing about the target, so a failure right behind one of the same event counts only if no connection came about.

use std::time::Duration;

use crate::callback::event::EventId;
use crate::clock::Moment;
use crate::config;

/// The state of one target.
pub(super) struct Pacing {
    in_flight: usize,
    suspend_after: u32,
    probe: Duration,
    probe_max: Duration,
    running: usize,
    state: State,
    last_failed: Option<EventId>,
    /// The HIS asked for silence until then.
    hold: Option<Moment>,
}

enum State {
    Flowing {
        failures: u32,
    },
    Suspended {
        pause: Duration,
        next: Moment,
        probing: bool,
    },
}

/// The right to one delivery; handed back by [`Pacing::end`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// It is a probe of a suspended target.
    pub(super) probe: bool,
}

/// How a delivery ended, as far as its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The event was taken.
    Taken,
    /// It was not.
    Failed {
        /// Which.
        event: EventId,
        /// No connection came about, so it had nothing to do with the event.
        unreachable: bool,
        /// The HIS asks for silence for so long.
        silence: Option<Duration>,
    },
    /// It says nothing about the target.
    Neither,
}

/// What a delivery's end changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The target is suspended from now on.
    Suspended,
    /// The target takes events again.
    Resumed,
}

impl Pacing {
    /// A target that nothing is known of.
    pub(super) fn new(settings: &config::Delivery) -> Self {
        Self {
            in_flight: settings.in_flight,
            suspend_after: settings.suspend_after,
            probe: settings.probe,
            probe_max: settings.probe_max,
            running: 0,
            state: State::Flowing { failures: 0 },
            last_failed: None,
            hold: None,
        }
    }

    /// How many deliveries may start now.
    pub(super) fn room(&self, now: Moment) -> usize {
        if self.hold.is_some_and(|until| now < until) {
            return 0;
        }
        match self.state {
            State::Flowing { .. } => self.in_flight.saturating_sub(self.running),
            State::Suspended { next, probing, .. } => usize::from(!probing && self.running == 0 && next <= now),
        }
    }

    /// When after `now` there will be room though nothing ends; `None` if that is no matter of time.
    pub(super) fn wake(&self, now: Moment) -> Option<Moment> {
        let next = match self.state {
            State::Suspended {
                next, probing: false, ..
            } => Some(next),
            State::Flowing { .. } | State::Suspended { .. } => None,
        };
        next.max(self.hold).filter(|wake| now < *wake)
    }

    /// Whether the target is suspended.
    pub(super) fn is_suspended(&self) -> bool {
        matches!(self.state, State::Suspended { .. })
    }

    /// Notes that one of the deliveries that there is room for starts.
    pub(super) fn start(&mut self) -> Pass {
        self.running += 1;
        match &mut self.state {
            State::Flowing { .. } => Pass { probe: false },
            State::Suspended { probing, .. } => {
                *probing = true;
                Pass { probe: true }
            }
        }
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, pass: Pass, end: End, now: Moment) -> Change {
        self.running -= 1;
        match end {
            End::Taken => self.taken(),
            End::Failed {
                event,
                unreachable,
                silence,
            } => {
                if let Some(until) = silence.map(|silence| now.after(silence)) {
                    self.hold = self.hold.max(Some(until));
                }
                let again = self.last_failed.replace(event) == Some(event);
                self.failed(pass, !again || unreachable, now)
            }
            End::Neither => {
                if let State::Suspended { probing, .. } = &mut self.state {
                    *probing &= !pass.probe;
                }
                Change::None
            }
        }
    }

    fn taken(&mut self) -> Change {
        self.last_failed = None;
        match std::mem::replace(&mut self.state, State::Flowing { failures: 0 }) {
            State::Flowing { .. } => Change::None,
            State::Suspended { .. } => Change::Resumed,
        }
    }

    fn failed(&mut self, pass: Pass, counts: bool, now: Moment) -> Change {
        match &mut self.state {
            State::Flowing { failures } => {
                *failures += u32::from(counts);
                if *failures < self.suspend_after {
                    return Change::None;
                }
                self.state = State::Suspended {
                    pause: self.probe,
                    next: now.after(self.probe),
                    probing: false,
                };
                Change::Suspended
            }
            State::Suspended { pause, next, probing } if pass.probe => {
                *pause = pause.saturating_mul(2).min(self.probe_max);
                *next = now.after(*pause);
                *probing = false;
                Change::None
            }
            // One that was under way when the target was suspended tells nothing new.
            State::Suspended { .. } => Change::None,
        }
    }
}

#[cfg(test)]
mod tests;
