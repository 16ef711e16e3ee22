//! What is known of one request when it is over: the source of its log line and its metrics.

use std::net::IpAddr;
use std::time::Duration;

use super::exemplars::Named;
use super::labels::{CodeClass, NO_API, Origin, PullOperation, RejectReason};
use super::log::{self, Level, Line, Loggable};
use super::metrics::Metrics;
use super::patient_tag::PatientTag;
use super::traces::{Trace, Tried};
use crate::client::ClientName;
use crate::clock::Moment;
use crate::edge::request_id::RequestId;
use crate::forward::cache::status::Passage;
use crate::tenant::TenantName;
use aimis_core::order::{FieldProblem, Reason, RepairKind, Warning};

/// Where questions come to.
pub(super) const FORWARD_ROUTE: &str = "/thirdparty/{api}/{appId}";
/// Where events are fetched.
pub(super) const PULL_ROUTE: &str = "/inbox/v1/{tenant}/events";

/// The facts of one request. The road fills it in as it learns; nothing in it can name a person.
pub struct Exchange {
    /// The id that the caller sees in `X-Request-Id`.
    pub request_id: RequestId,
    /// Its place in a trace; `None` where nothing is traced.
    pub trace: Option<Trace>,
    /// The attempts at the platform that were made for it; none where nothing is traced.
    pub tries: Vec<Tried>,
    /// `POST`, another known method, or `_OTHER`.
    pub method: &'static str,
    /// Which API: its position and its name.
    pub api: Option<(usize, &'static str)>,
    /// Whose request: the tenant's position and name.
    pub tenant: Option<(usize, TenantName)>,
    /// Which client asks.
    pub client: Option<ClientName>,
    /// Where the request came from; only if `log.client_address` says so.
    pub client_address: Option<IpAddr>,
    /// Keyed tag of the patient asked about.
    pub patient: Option<PatientTag>,
    /// What was repaired in the request.
    pub repairs: Vec<RepairKind>,
    /// What looked wrong in it and was sent all the same: fields of the contract, and why.
    pub warnings: Vec<(FieldName, Reason)>,
    /// No line for this one, since there are too many like it.
    pub quiet: bool,
    /// Lines like this one that were left out since the last; `None` where none ever is.
    pub suppressed: Option<u64>,
    /// Bytes of the request's body.
    pub request_size: usize,
    /// Bytes of the answer's body.
    pub reply_size: usize,
    /// Status of the answer.
    pub status: u16,
    /// Who made the answer.
    pub origin: Origin,
    /// What the answer means.
    pub class: CodeClass,
    /// `code` of the answer's envelope, the platform's or ours.
    pub code: Option<i64>,
    /// Type of our refusal, or of the platform's failure behind it.
    pub error: Option<&'static str>,
    /// What the operator should know about the error, in words of the program.
    pub error_detail: Option<&'static str>,
    /// Status of an answer that came and could not be relayed.
    pub error_status: Option<u16>,
    /// The first field that is at fault.
    pub error_field: Option<FieldName>,
    /// Counted among refusals, and how.
    pub rejected: Option<RejectReason>,
    /// An identity or telephone number of the request failed a check.
    pub failed_check: bool,
    /// Whether the platform found anything; `None` if it did not say.
    pub findings: Option<Findings>,
    /// What became of the parts of a merged study list; `None` for any other answer.
    pub parts: Option<Parts>,
    /// How the answer came past the cache; `None` if it was not looked at.
    pub passage: Option<Passage>,
    /// An answer that is no longer fresh served, be it for a part of it.
    pub stale: bool,
    /// How old the answer is, or its oldest part, if it was kept.
    pub age: Option<Duration>,
    /// A request of a HIS that fetches its events, and what it wanted.
    pub pull: Option<PullOperation>,
    /// Events that such a request got or settled.
    pub events: Option<usize>,
    /// How often the platform was asked.
    pub attempts: u32,
    /// Time that went by waiting for the platform.
    pub upstream_time: Duration,
    /// Time that went by waiting for a turn under the tenant's limits.
    pub limit_time: Duration,
    /// Time that went by waiting for the rest of the caller's body.
    pub caller_time: Duration,
    /// When its head was there.
    pub began: Moment,
    /// Time from then to its answer.
    pub total_time: Duration,
}

/// What the platform found, as far as its answer says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Findings {
    /// An empty list or object, or a code that means "no data".
    Nothing,
    /// Something.
    Something,
}

/// What became of the parts of a merged study list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Types with studies.
    pub ok: u32,
    /// Types without.
    pub empty: u32,
    /// Types that could not be had.
    pub failed: u32,
}

/// The name of a field of a contract; never a name from a request.
pub struct FieldName(String);

impl FieldName {
    /// The field that a warning is about; warnings are of fields of the contract.
    pub fn warned_of(warning: &Warning<'_>) -> Self {
        Self(warning.field.to_owned())
    }

    /// The field that a problem is about, if its name is the contract's.
    pub fn of(problem: &FieldProblem) -> Option<Self> {
        problem.is_of_contract().then(|| Self(problem.field.clone()))
    }
}

impl Loggable for &FieldName {
    fn write_json(&self, out: &mut Vec<u8>) {
        log::write_string(out, &self.0);
    }
}

fn some<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

/// Names of repairs, each once. The members they were made to may bear any name, so these are left out.
struct Repairs<'a>(&'a [RepairKind]);

impl Loggable for Repairs<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for (index, kind) in self.0.iter().enumerate() {
            if !self.0[..index].contains(kind) {
                let space = if index > 0 { " " } else { "" };
                out.extend_from_slice(space.as_bytes());
                out.extend_from_slice(kind.as_str().as_bytes());
            }
        }
        out.push(b'"');
    }
}

/// `idNum=check-digit phoneNum=form`.
struct Warnings<'a>(&'a [(FieldName, Reason)]);

impl Loggable for Warnings<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        let each = self
            .0
            .iter()
            .map(|(field, reason)| format!("{}={}", field.0, reason.as_str()));
        log::write_string(out, &each.collect::<Vec<_>>().join(" "));
    }
}

impl Exchange {
    /// A request of which only the id and the method are known.
    pub fn new(request_id: RequestId, method: &'static str, began: Moment) -> Self {
        Self {
            request_id,
            trace: None,
            tries: Vec::new(),
            method,
            api: None,
            tenant: None,
            client: None,
            client_address: None,
            patient: None,
            repairs: Vec::new(),
            warnings: Vec::new(),
            quiet: false,
            suppressed: None,
            request_size: 0,
            reply_size: 0,
            status: 0,
            origin: Origin::Gateway,
            class: CodeClass::Gateway,
            code: None,
            error: None,
            error_detail: None,
            error_status: None,
            error_field: None,
            rejected: None,
            failed_check: false,
            findings: None,
            parts: None,
            passage: None,
            stale: false,
            age: None,
            pull: None,
            events: None,
            attempts: 0,
            upstream_time: Duration::ZERO,
            limit_time: Duration::ZERO,
            caller_time: Duration::ZERO,
            began,
            total_time: Duration::ZERO,
        }
    }

    /// Counts the request.
    pub fn count(&self, metrics: &Metrics) {
        if let Some(operation) = self.pull {
            // No question to the platform, and its time is mostly that of waiting for events.
            metrics.pulls.count(operation, self.class);
            if let Some(reason) = self.rejected {
                metrics.rejected(reason).inc();
            }
            return;
        }
        let tenant = self.tenant.as_ref().map(|(index, _)| *index);
        let api = self.api.map(|(index, _)| index);
        metrics.requests(tenant, api, self.class, self.origin).inc();
        let named = match self.trace.filter(|trace| trace.sampled) {
            Some(trace) => Named::Trace(trace.trace),
            None => Named::Request(self.request_id),
        };
        metrics.request_seconds(api, self.origin, self.total_time.as_secs_f64(), named);
        let ours = self
            .total_time
            .saturating_sub(self.upstream_time + self.limit_time + self.caller_time);
        metrics.overhead_seconds(api).observe(ours.as_secs_f64());
        for repair in &self.repairs {
            metrics.repair(*repair).inc();
        }
        for (_, reason) in &self.warnings {
            metrics.input_warning(*reason).inc();
        }
        if let Some(reason) = self.rejected {
            metrics.rejected(reason).inc();
        }
        // What the platform finds: its answers, not how often each of them is shown.
        let just_said = self.origin == Origin::Platform && self.attempts > 0;
        if let (Some(tenant), Some(findings)) = (tenant, self.findings.filter(|_| just_said)) {
            metrics.answers.count(tenant, findings, self.failed_check);
        }
        if let Some(parts) = self.parts {
            metrics.answers.count_parts(parts);
        }
    }

    pub(super) fn level(&self) -> Level {
        match self.class {
            CodeClass::Ok if self.parts.is_some_and(|parts| parts.failed > 0) => Level::Warn,
            CodeClass::Ok if self.stale => Level::Warn,
            // Not what a caller sent is wrong, but who it is: somebody has to look.
            CodeClass::Data if self.rejected == Some(RejectReason::Unauthenticated) => Level::Warn,
            CodeClass::Ok | CodeClass::Data => Level::Info,
            CodeClass::Gateway if self.error == Some("internal") => Level::Error,
            CodeClass::Auth | CodeClass::Limit | CodeClass::Platform | CodeClass::Transport | CodeClass::Gateway => {
                Level::Warn
            }
        }
    }

    pub(super) fn message(&self) -> &'static str {
        match (self.origin, self.class) {
            (Origin::Platform, CodeClass::Ok) if self.parts.is_some_and(|parts| parts.failed > 0) => {
                "answered by the platform in part: some types of study could not be had"
            }
            (Origin::Platform, CodeClass::Ok) if self.stale => "answered by the platform, in part with an older answer",
            (Origin::Platform, CodeClass::Ok) => "answered by the platform",
            (Origin::Platform, CodeClass::Auth) => "the platform refuses us: check token, appId, contract and clock",
            (Origin::Platform, _) => "answered by the platform with a failure",
            (Origin::Cache, _) if self.stale => "answered from the cache with an older answer",
            (Origin::Cache, _) => "answered from the cache",
            (Origin::Gateway, CodeClass::Ok) if self.pull == Some(PullOperation::Settle) => {
                "the HIS said what became of events"
            }
            (Origin::Gateway, CodeClass::Ok) if self.pull.is_some() => "the HIS fetched events",
            (Origin::Gateway, CodeClass::Ok) => "answered a browser's preflight",
            (Origin::Gateway, CodeClass::Transport) => "no answer from the platform",
            (Origin::Gateway, _) => "refused by the gateway",
        }
    }

    /// The route, never the path.
    pub(super) fn route(&self) -> Option<&'static str> {
        let of_pull = self.pull.map(|_| PULL_ROUTE);
        of_pull.or(self.api.map(|_| FORWARD_ROUTE))
    }

    /// Codes have six digits at most; a longer number that a platform puts there could be a person's.
    pub(super) fn short_code(&self) -> Option<i64> {
        self.code.filter(|code| code.unsigned_abs() < 1_000_000)
    }

    pub(super) fn fields(&self, line: &mut Line<'_>) {
        line.field("request.id", &self.request_id)
            .maybe("trace_id", self.trace.map(|trace| trace.trace))
            .maybe("span_id", self.trace.map(|trace| trace.span))
            .maybe("tenant", self.tenant.as_ref().map(|(_, name)| name))
            .maybe("client.id", self.client.as_ref())
            .maybe("client.address", self.client_address)
            .field("api", self.api.map_or(NO_API, |(_, name)| name))
            .field("http.request.method", self.method)
            .maybe("http.route", self.route())
            .field("http.response.status_code", self.status)
            .field("duration_s", self.total_time)
            .field("upstream.duration_s", self.upstream_time)
            .maybe("limit.wait_s", (!self.limit_time.is_zero()).then_some(self.limit_time))
            .field("origin", self.origin.as_str())
            .maybe("cache.result", self.passage.map(|passage| passage.result().as_str()))
            .field("attempts", self.attempts)
            .maybe("events", self.events)
            .maybe("partial", self.parts.map(|parts| parts.failed))
            .maybe("business.code", self.short_code())
            .field("code_class", self.class.as_str())
            .maybe("error.type", self.error)
            .maybe("error.detail", self.error_detail)
            .maybe("upstream.status_code", self.error_status)
            .maybe("error.field", self.error_field.as_ref())
            .maybe("patient", self.patient.as_ref())
            .maybe("repairs", some(&self.repairs).map(Repairs))
            .maybe("warnings", some(&self.warnings).map(Warnings))
            .maybe("suppressed", self.suppressed)
            .field("http.request.body.size", self.request_size)
            .field("http.response.body.size", self.reply_size);
    }
}
