//! One record: who, when, about whom, for what, and what came of it. Nothing in it can name a person.
//!
//! ```text
//! {"seq":7,"time":"2026-01-31T08:00:00.123Z","kind":"lookup","request":"…","tenant":"first-hospital","client":"his",
//!  "operator":"D1023","api":"patientStudies","usage":2,"id_tag":"<tag>","phone_tag":"<tag>","origin":"platform","class":"ok",
//!  "code":0,"count":3,"mac":"<64 hex digits>"}
//! ```

use aimis_core::sign::Timestamp;

use super::operator::Operator;
use super::tags::Subject;
use crate::callback::event::EventId;
use crate::client::ClientName;
use crate::edge::request_id::RequestId;
use crate::telemetry::labels::{CodeClass, Origin};
use crate::telemetry::log::{Line, Loggable};
use crate::telemetry::traces::TraceId;
use crate::tenant::TenantName;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A question of the hospital's system about a patient, whatever came of it.
    Lookup,
    /// An event was brought to the hospital's system.
    Delivery,
    /// The hospital's system fetched an event.
    Fetch,
    /// Somebody at the command line saw what is in an event.
    Reveal,
    /// An operator changed what is kept.
    Act,
}

impl Kind {
    /// The word in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Delivery => "delivery",
            Self::Fetch => "fetch",
            Self::Reveal => "reveal",
            Self::Act => "act",
        }
    }
}

/// A record on its way into the trail. What does not apply is `None`.
pub struct Record {
    /// What was done.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// The request's id, also in the log and in the answer.
    pub request: Option<RequestId>,
    /// The trace it belongs to, where there are traces.
    pub trace: Option<TraceId>,
    /// Whose patient.
    pub tenant: Option<TenantName>,
    /// Which system asked.
    pub client: Option<ClientName>,
    /// Which of its users, if it says so.
    pub operator: Option<Operator>,
    /// Who sat at the command line.
    pub who: Option<Who>,
    /// Which operator's act: `cache-purge`, `redeliver`, …
    pub act: Option<&'static str>,
    /// Which API.
    pub api: Option<&'static str>,
    /// For what purpose, in the platform's numbers (`usage`).
    pub usage: Option<i64>,
    /// About whom.
    pub subject: Subject,
    /// Which event.
    pub event: Option<EventId>,
    /// Who made the answer.
    pub origin: Option<Origin>,
    /// What the answer means.
    pub class: Option<CodeClass>,
    /// Its code, if that has six digits at most: a longer number could be a person's.
    pub code: Option<i64>,
    /// How many studies, links or entries it is about.
    pub count: Option<u64>,
}

/// A user of this machine: his number and name, and the one behind `sudo`.
#[derive(Clone)]
pub struct Who(String);

impl Who {
    /// Takes over what the command line found out; made of system accounts, never of what is typed.
    pub fn new(account: &str) -> Self {
        Self(account.chars().take(128).collect())
    }
}

impl Loggable for &Who {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.0);
    }
}

impl Record {
    /// A record of which only this is known.
    pub fn new(kind: Kind, at: Timestamp) -> Self {
        Self {
            kind,
            at,
            request: None,
            trace: None,
            tenant: None,
            client: None,
            operator: None,
            who: None,
            act: None,
            api: None,
            usage: None,
            subject: Subject::default(),
            event: None,
            origin: None,
            class: None,
            code: None,
            count: None,
        }
    }

    /// Appends what stands between time and seal.
    pub(super) fn write(&self, line: &mut Line<'_>) {
        let (plain, tagged) = match &self.operator {
            Some(Operator::Plain(plain)) => (Some(plain), None),
            Some(Operator::Tagged(tag)) => (None, Some(*tag)),
            None => (None, None),
        };
        line.field("kind", self.kind.as_str())
            .maybe("request", self.request.as_ref())
            .maybe("trace", self.trace)
            .maybe("tenant", self.tenant.as_ref())
            .maybe("client", self.client.as_ref())
            .maybe("operator", plain)
            .maybe("operator_tag", tagged)
            .maybe("who", self.who.as_ref())
            .maybe("act", self.act)
            .maybe("api", self.api)
            .maybe("usage", self.usage)
            .maybe("id_tag", self.subject.id)
            .maybe("phone_tag", self.subject.phone)
            .maybe("event", self.event)
            .maybe("origin", self.origin.map(Origin::as_str))
            .maybe("class", self.class.map(CodeClass::as_str))
            .maybe("code", self.code.filter(|code| code.unsigned_abs() < 1_000_000))
            .maybe("count", self.count);
    }
}
