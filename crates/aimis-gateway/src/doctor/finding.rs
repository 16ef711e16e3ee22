//! What a step says.

use std::time::Duration;

use crate::clock::{Clock, Moment};

/// How a part of the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
    /// Not looked at: there is no such part here, or an earlier step failed.
    Skipped,
}

impl Verdict {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// What a step found about one thing: a tenant, a way to the platform, an address.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The step.
    pub step: &'static str,
    /// The tenant that it is about, where it is not about all.
    pub tenant: Option<String>,
    /// How it is.
    pub verdict: Verdict,
    /// How long it took to find out.
    pub took: Duration,
    /// What is so. One sentence or a few words, without line ends.
    pub found: String,
    /// What to do: one sentence, and only where something is to be done.
    pub fix: Option<String>,
}

/// Is told each finding.
pub type Tell = Box<dyn FnMut(&Finding)>;

/// Findings as they come.
pub(super) struct Findings {
    pub(super) clock: Clock,
    step: &'static str,
    since: Moment,
    /// The time of the next finding, where it was measured before.
    measured: Option<Duration>,
    list: Vec<Finding>,
    tell: Tell,
}

impl Findings {
    pub(super) fn new(step: &'static str, clock: Clock, tell: Tell) -> Self {
        Self {
            since: clock.moment(),
            clock,
            step,
            measured: None,
            list: Vec::new(),
            tell,
        }
    }

    /// From now on findings are of this step.
    pub(super) fn begin(&mut self, step: &'static str) {
        self.step = step;
        self.restart();
    }

    /// From now on the time counts.
    pub(super) fn restart(&mut self) {
        self.since = self.clock.moment();
    }

    /// The next finding took so long, some time ago.
    pub(super) fn measured(&mut self, took: Duration) {
        self.measured = Some(took);
    }

    pub(super) fn ok(&mut self, tenant: Option<&str>, found: impl Into<String>) {
        self.add(Verdict::Ok, tenant, found.into(), None);
    }

    pub(super) fn warn(&mut self, tenant: Option<&str>, found: impl Into<String>, fix: impl Into<String>) {
        self.add(Verdict::Warn, tenant, found.into(), Some(fix.into()));
    }

    pub(super) fn fail(&mut self, tenant: Option<&str>, found: impl Into<String>, fix: impl Into<String>) {
        self.add(Verdict::Fail, tenant, found.into(), Some(fix.into()));
    }

    pub(super) fn skipped(&mut self, tenant: Option<&str>, found: impl Into<String>) {
        self.add(Verdict::Skipped, tenant, found.into(), None);
    }

    /// The time of a finding is that since the last one, or since the step began.
    fn add(&mut self, verdict: Verdict, tenant: Option<&str>, found: String, fix: Option<String>) {
        // A certificate's names come from the peer and end on somebody's terminal.
        let printable = |text: String| text.replace(char::is_control, " ");
        let finding = Finding {
            step: self.step,
            tenant: tenant.map(str::to_owned),
            verdict,
            took: self.measured.take().unwrap_or(self.clock.moment().since(self.since)),
            found: printable(found),
            fix: fix.map(printable),
        };
        (self.tell)(&finding);
        self.list.push(finding);
        self.restart();
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }
}
