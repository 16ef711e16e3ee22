//! One breaker as a state machine: told what happened and when, it says what may happen next.
//!
//! ```text
//! closed ──too many failures──> open ──time over──> half-open, one probe ──good──> closed
//!                                 ^──────────────────────────bad──┘
//! ```
//!
//! Failures are counted by distinct questions: one patient whose data upset the platform is one failure,
//! however often a doctor clicks, and does not suspend a clinic.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// Outcomes kept at most: beyond that the window is shorter than configured, and as telling.
const MOST_OUTCOMES: usize = 512;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Share of failures that opens it.
    pub ratio_percent: u32,
    /// Questions in the window below which the share says nothing.
    pub min_requests: usize,
    /// How far back it looks.
    pub window: Duration,
    /// Failures one behind the other that open it.
    pub consecutive: usize,
}

/// Whether questions pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All pass.
    Closed,
    /// None passes until then.
    Open {
        /// The end.
        until: Moment,
    },
    /// One may pass and tell how it is.
    HalfOpen {
        /// That one is on its way.
        probing: bool,
    },
}

/// What a question is told that asks to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Pass,
    /// Go on, and tell without fail what came of it.
    Probe,
    /// Do not; try again after this time. Zero: as soon as the probe is back.
    Refused(Duration),
}

/// A breaker's memory.
pub struct Circuit {
    rules: Rules,
    state: State,
    /// When, which question, and whether it failed; oldest first.
    outcomes: VecDeque<(Moment, u64, bool)>,
    /// Distinct questions that failed since the last success.
    streak: Vec<u64>,
}

impl Circuit {
    /// Closed, with nothing behind it.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: State::Closed,
            outcomes: VecDeque::new(),
            streak: Vec::new(),
        }
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// How long a question would be told to wait that came now; `None` if it would pass.
    pub fn refusal(&self, now: Moment) -> Option<Duration> {
        match self.state {
            State::Open { until } if now < until => Some(until.since(now)),
            State::HalfOpen { probing: true } => Some(Duration::ZERO),
            State::Closed | State::Open { .. } | State::HalfOpen { probing: false } => None,
        }
    }

    /// Whether a question may pass now.
    pub fn admit(&mut self, now: Moment) -> Admission {
        if let Some(wait) = self.refusal(now) {
            return Admission::Refused(wait);
        }
        if self.state == State::Closed {
            return Admission::Pass;
        }
        self.state = State::HalfOpen { probing: true };
        Admission::Probe
    }

    /// A question that was let through was answered, or failed; when that opens the breaker, it stays so until
    /// `reopen`. What comes back late, from before it opened, changes nothing.
    pub fn record(&mut self, now: Moment, question: u64, failed: bool, reopen: Moment) {
        if self.state != State::Closed {
            return;
        }
        while self
            .outcomes
            .front()
            .is_some_and(|(at, ..)| now.since(*at) >= self.rules.window || self.outcomes.len() >= MOST_OUTCOMES)
        {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((now, question, failed));
        if !failed {
            self.streak.clear();
            return;
        }
        if !self.streak.contains(&question) {
            self.streak.push(question);
        }
        if self.streak.len() >= self.rules.consecutive || self.fails_too_often() {
            self.open(reopen);
        }
    }

    /// The probe was answered, or failed.
    pub fn record_probe(&mut self, failed: bool, reopen: Moment) {
        if failed {
            self.open(reopen);
        } else {
            self.state = State::Closed;
        }
    }

    /// The probe ended without a word, as when its caller left: another may go.
    pub fn abandon_probe(&mut self) {
        self.state = State::HalfOpen { probing: false };
    }

    fn open(&mut self, until: Moment) {
        self.state = State::Open { until };
        self.outcomes.clear();
        self.streak.clear();
    }

    /// Looked at behind a failure only, so its cost (a sort of 512 numbers at most) is nobody's who is well.
    fn fails_too_often(&self) -> bool {
        let mut questions: Vec<(u64, bool)> = self
            .outcomes
            .iter()
            .map(|(_, question, failed)| (*question, !*failed))
            .collect();
        // Of one question's outcomes a failure comes first and stays.
        questions.sort_unstable();
        questions.dedup_by_key(|(question, _)| *question);
        let failed = questions.iter().filter(|(_, good)| !good).count();
        questions.len() >= self.rules.min_requests
            && failed * 100 >= questions.len() * self.rules.ratio_percent as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const RULES: Rules = Rules {
        ratio_percent: 50,
        min_requests: 6,
        window: Duration::from_secs(10),
        consecutive: 4,
    };
    const OPEN: Duration = Duration::from_secs(30);

    #[test]
    fn one_patient_never_opens_it() {
        let clock = Clock::manual(0);
        let mut circuit = Circuit::new(RULES);
        for _ in 0..1000 {
            circuit.record(clock.moment(), 42, true, clock.moment());
        }
        assert_eq!(circuit.state(), State::Closed);
        for patient in 0..3 {
            circuit.record(clock.moment(), patient, true, clock.moment());
        }
        assert!(matches!(circuit.state(), State::Open { .. }));
    }

    #[test]
    fn half_open_lets_exactly_one_through_and_an_abandoned_probe_another() {
        let clock = Clock::manual(0);
        let mut circuit = Circuit::new(RULES);
        circuit.open(clock.moment().after(OPEN));
        assert_eq!(circuit.admit(clock.moment()), Admission::Refused(OPEN));
        clock.advance(OPEN);
        let now = clock.moment();

        assert_eq!(circuit.admit(now), Admission::Probe);
        assert_eq!(circuit.admit(now), Admission::Refused(Duration::ZERO));
        circuit.abandon_probe();
        assert_eq!(circuit.admit(now), Admission::Probe);
        circuit.record_probe(true, now.after(OPEN));
        assert_eq!(circuit.admit(now), Admission::Refused(OPEN));
        clock.advance(OPEN);
        assert_eq!(circuit.admit(clock.moment()), Admission::Probe);
        circuit.record_probe(false, now);
        assert_eq!(circuit.admit(now), Admission::Pass);
    }

    /// The rules once more, as plainly as they can be said: everything is kept, and counted anew each time.
    struct Model {
        state: State,
        all: Vec<(Moment, u64, bool)>,
    }

    impl Model {
        fn record(&mut self, now: Moment, question: u64, failed: bool) {
            if self.state != State::Closed {
                return;
            }
            self.all.push((now, question, failed));
            if !failed {
                return;
            }
            let row = self.all.iter().rev().take_while(|(.., failed)| *failed);
            let in_row: std::collections::BTreeSet<u64> = row.map(|(_, question, _)| *question).collect();
            let mut seen: BTreeMap<u64, bool> = BTreeMap::new();
            for (_, question, failed) in self.all.iter().filter(|(at, ..)| now.since(*at) < RULES.window) {
                *seen.entry(*question).or_default() |= *failed;
            }
            let bad = seen.values().filter(|failed| **failed).count();
            if in_row.len() >= 4 || seen.len() >= 6 && 2 * bad >= seen.len() {
                self.state = State::Open { until: now.after(OPEN) };
                self.all.clear();
            }
        }
    }

    fn refused(admission: Admission) -> Option<Admission> {
        matches!(admission, Admission::Refused(_)).then_some(admission)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Outcome { question: u64, failed: bool },
        Wait { ms: u64 },
        Ask,
        Probe { failed: bool },
        Abandon,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0_u64..12, any::<bool>()).prop_map(|(question, failed)| Step::Outcome { question, failed }),
            2 => (0_u64..20_000).prop_map(|ms| Step::Wait { ms }),
            2 => Just(Step::Ask),
            1 => any::<bool>().prop_map(|failed| Step::Probe { failed }),
            1 => Just(Step::Abandon),
        ]
    }

    proptest! {
        #[test]
        fn states_follow_the_model(steps in proptest::collection::vec(step(), 1..400)) {
            let clock = Clock::manual(1);
            let mut circuit = Circuit::new(RULES);
            let mut model = Model { state: State::Closed, all: Vec::new() };
            for step in steps {
                let now = clock.moment();
                let probing = model.state == State::HalfOpen { probing: true };
                match step {
                    Step::Outcome { question, failed } => {
                        circuit.record(now, question, failed, now.after(OPEN));
                        model.record(now, question, failed);
                    }
                    Step::Wait { ms } => clock.advance(Duration::from_millis(ms)),
                    Step::Ask => {
                        let passes = match model.state {
                            State::Closed => Admission::Pass,
                            State::Open { until } if until > now => Admission::Refused(until.since(now)),
                            _ if probing => Admission::Refused(Duration::ZERO),
                            _ => {
                                model.state = State::HalfOpen { probing: true };
                                Admission::Probe
                            }
                        };
                        let refusal = circuit.refusal(now);
                        let admission = circuit.admit(now);
                        prop_assert_eq!(admission, passes);
                        prop_assert_eq!(refusal.map(Admission::Refused), refused(admission));
                    }
                    Step::Probe { failed } if probing => {
                        circuit.record_probe(failed, now.after(OPEN));
                        model.state = if failed { State::Open { until: now.after(OPEN) } } else { State::Closed };
                    }
                    Step::Abandon if probing => {
                        circuit.abandon_probe();
                        model.state = State::HalfOpen { probing: false };
                    }
                    Step::Probe { .. } | Step::Abandon => {}
                }
                prop_assert_eq!(circuit.state(), model.state);
            }
        }
    }
}
