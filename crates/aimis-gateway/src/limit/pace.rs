//! How many questions are asked at a time: as many as are allowed while the platform keeps its pace, half of them
//! while it answers better when fewer are on their way, and down to one while it does not answer. Pure: it sees times
//! and outcomes, no clock.
//!
//! How long an answer takes says nothing by itself: an API may be slow, or become so. So answers that came while at
//! most half were on their way are compared with those that came while more were, of one API at a time, the fastest
//! of each. If the crowd's are much slower only half go for a while, and answers are measured anew: if they do not get
//! faster it is the platform's own pace and all go again at once. Slowness takes no more than that half; only
//! questions without an answer do, by additive increase and multiplicative decrease.

use std::time::Duration;

use crate::clock::Moment;

/// So much slower in a crowd is trouble...
const TROUBLE: f64 = 1.5;
/// ...if it is more than this beside: milliseconds more on an answer of milliseconds mean nothing.
const NOISE: Duration = Duration::from_millis(100);
/// Answers in a crowd that have to be slow, all of them.
const SAMPLE: usize = 16;
/// How long only half go before it is tried whether more may.
const HOLD: Duration = Duration::from_secs(5);
/// What is left of the limit after a question that got no answer in time.
const AFTER_NO_ANSWER: f64 = 0.5;

/// How a question ended, as far as it tells of the platform's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answered {
        /// To a question to this API, by its position.
        api: usize,
        /// After that time.
        took: Duration,
    },
    /// None came in time, or only the word that the platform has no room.
    NotInTime,
    /// It tells nothing: it failed otherwise, was repeated, or its caller has gone.
    Unknown,
}

/// The limit, and what it follows from.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    adaptive: bool,
    limit: f64,
    /// When the limit was last lowered: questions from before tell of the time before.
    lowered: Option<Moment>,
    /// When more than half were last on their way.
    crowded: Option<Moment>,
    /// Only half go, since the answers of this API were slower in a crowd, since then.
    held: Option<(usize, Moment)>,
    /// By API.
    speeds: Vec<Speed>,
}

/// How fast one API answers.
#[derive(Debug, Default)]
struct Speed {
    few: Fastest,
    crowd: Fastest,
}

/// The fastest of the last answers.
#[derive(Debug, Default)]
struct Fastest {
    last: [Duration; SAMPLE],
    count: usize,
}

impl Fastest {
    fn note(&mut self, took: Duration) {
        self.last[self.count % SAMPLE] = took;
        self.count += 1;
    }

    fn get(&self) -> Option<Duration> {
        self.last[..self.count.min(SAMPLE)].iter().min().copied()
    }
}

impl Speed {
    fn is_slower_in_a_crowd(&self) -> bool {
        let (Some(few), Some(crowd)) = (self.few.get(), self.crowd.get()) else {
            return false;
        };
        self.crowd.count >= SAMPLE && crowd > few.mul_f64(TROUBLE) + NOISE
    }
}

impl Pace {
    /// `most` at a time, 0 for any number; always that many if not `adaptive`.
    pub(super) fn new(most: usize, adaptive: bool) -> Self {
        Self {
            most,
            adaptive: adaptive && most > 0,
            limit: most as f64,
            lowered: None,
            crowded: None,
            held: None,
            speeds: Vec::new(),
        }
    }

    /// How many may be asked at a time: 1 at least, `usize::MAX` for any number.
    pub(super) fn limit(&self) -> usize {
        if self.most == 0 {
            return usize::MAX;
        }
        let most = if self.held.is_some() { self.half() } else { self.most };
        // Between 1 and `most`, both small.
        (self.limit as usize).clamp(1, most)
    }

    /// What slowness leaves of the limit.
    fn half(&self) -> usize {
        (self.most / 2).max(2).min(self.most)
    }

    /// Notes how a question ended that began at `began`, when `busy` were on their way, itself among them.
    pub(super) fn note(&mut self, outcome: Outcome, began: Moment, now: Moment, busy: usize) {
        if !self.adaptive {
            return;
        }
        // Between two ends the number only grows, so no crowd is missed.
        if busy > self.half() {
            self.crowded = Some(now);
        }
        if self.held.is_some_and(|(_, since)| now.since(since) >= HOLD) {
            self.release();
        }
        match outcome {
            Outcome::Unknown => {}
            // Once for all that were on their way together.
            Outcome::NotInTime if self.lowered.is_none_or(|lowered| began >= lowered) => {
                self.limit = (self.limit * AFTER_NO_ANSWER).max(1.0);
                self.lowered = Some(now);
            }
            Outcome::NotInTime => {}
            Outcome::Answered { api, took } => {
                // A limit that nobody comes near to is not tried out, so it says nothing about a higher one.
                if 2 * busy >= self.limit() {
                    self.limit = (self.limit + 1.0 / self.limit).min(self.most as f64);
                }
                let in_crowd = self.crowded.is_some_and(|crowded| crowded >= began);
                self.compare(api, took, in_crowd, now);
            }
        }
    }

    fn compare(&mut self, api: usize, took: Duration, in_crowd: bool, now: Moment) {
        if self.speeds.len() <= api {
            self.speeds.resize_with(api + 1, Speed::default);
        }
        let speed = &mut self.speeds[api];
        match (self.held, in_crowd) {
            // What began in the crowd ends.
            (Some(_), true) => {}
            (Some((held, _)), false) => {
                speed.few.note(took);
                if held == api && !speed.is_slower_in_a_crowd() {
                    self.release();
                }
            }
            (None, false) => speed.few.note(took),
            (None, true) => {
                speed.crowd.note(took);
                if speed.is_slower_in_a_crowd() {
                    self.held = Some((api, now));
                    // It may have been like that for long: what few get is found out now.
                    self.speeds.iter_mut().for_each(|speed| speed.few = Fastest::default());
                }
            }
        }
    }

    /// All go again, and show anew how fast they are answered.
    fn release(&mut self) {
        self.held = None;
        self.speeds
            .iter_mut()
            .for_each(|speed| speed.crowd = Fastest::default());
    }
}

#[cfg(test)]
mod tests;
