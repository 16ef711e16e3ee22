//! What became of a callback, and of each attempt to bring its event to the HIS: one trace, whose id is the event's.

use super::{Kind, Span, SpanId, Trace, TraceId, Tracer};
use crate::callback::event::{EventId, Verified};
use crate::callback::inbox::Reason;
use crate::clock::Moment;
use crate::edge::request_id::RequestId;
use crate::tenant::TenantName;

/// A callback that is in the inbox.
pub struct Came<'a> {
    /// Its place, by [`Tracer::of_callback`].
    pub trace: Trace,
    /// When its head was there.
    pub start: Moment,
    /// The request's id.
    pub request: RequestId,
    /// Whose.
    pub tenant: Option<&'a TenantName>,
    /// Its event.
    pub event: EventId,
    /// What the inbox made of it.
    pub result: &'static str,
    /// What is known of its signature.
    pub verified: Verified,
    /// Status of the answer.
    pub status: u16,
}

/// One attempt to bring an event to the HIS.
pub struct Brought<'a> {
    /// Its place, by [`Tracer::of_delivery`].
    pub trace: Trace,
    /// When it began.
    pub start: Moment,
    /// Whose.
    pub tenant: &'a TenantName,
    /// Which event.
    pub event: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What came of it.
    pub result: &'static str,
    /// Status of the answer, if one came.
    pub status: Option<u16>,
    /// Why it failed.
    pub reason: Option<Reason>,
}

impl Tracer {
    /// The place of a callback in its event's trace. One that came `again` is another part of it. Nothing of the platform's
    /// headers is looked at: it is not part of the hospital.
    pub fn of_callback(&self, event: EventId, again: bool) -> Trace {
        let root = self.root(TraceId::of_event(event));
        let span = if again { root.span } else { SpanId::of_event(event) };
        Trace { span, ..root }
    }

    /// The place of an attempt at a delivery: part of the callback, where one told of the event.
    pub fn of_delivery(&self, event: EventId, verified: Verified) -> Trace {
        let parent = (verified != Verified::Reconciled).then(|| SpanId::of_event(event));
        Trace {
            parent,
            ..self.root(TraceId::of_event(event))
        }
    }

    /// Queues the span of a callback that is answered by now, if its trace is exported.
    pub fn callback(&self, came: &Came<'_>) {
        if !came.trace.sampled {
            return;
        }
        let now = self.now();
        let span = Span {
            trace: came.trace,
            kind: Kind::Server,
            name: "POST /callback/{tenant}",
            start: now.at(came.start),
            end: now.wall,
            attributes: Vec::with_capacity(8),
            failed: came.status >= 500,
        };
        self.record(
            span.with("http.request.method", "POST")
                .with("http.route", "/callback/{tenant}")
                .with("http.response.status_code", came.status)
                .with("request.id", came.request)
                .maybe("tenant", came.tenant.cloned())
                .with("event.id", came.event)
                .with("result", came.result)
                .with("verified", came.verified.as_str()),
        );
    }

    /// Queues the span of an attempt at a delivery that is over by now, if its trace is exported.
    pub fn delivery(&self, brought: Brought<'_>) {
        if !brought.trace.sampled {
            return;
        }
        let now = self.now();
        let span = Span {
            trace: brought.trace,
            kind: Kind::Client,
            name: "POST callback.target",
            start: now.at(brought.start),
            end: now.wall,
            attributes: Vec::with_capacity(8),
            failed: brought.reason.is_some(),
        };
        self.record(
            span.with("http.request.method", "POST")
                .with("tenant", brought.tenant.clone())
                .with("event.id", brought.event)
                .with("attempt", brought.attempt)
                .maybe(
                    "http.request.resend_count",
                    (brought.attempt > 1).then(|| brought.attempt - 1),
                )
                .with("result", brought.result)
                .maybe("http.response.status_code", brought.status)
                .maybe("error.type", brought.reason),
        );
    }
}
