//! One attempt at one event: sent, judged, settled, counted and told.

use std::sync::Arc;
use std::time::Duration;

use super::body;
use super::judge::{Verdict, judge};
use super::pacing::End;
use super::schedule::Schedule;
use super::send::{Letter, send};
use super::target::Target;
use crate::audit::{Auditor, Kind, Record};
use crate::callback::event::EventId;
use crate::callback::inbox::{Inbox, Lease, Leased, Outcome, Reason, SettleError};
use crate::clock::{Clock, Moment};
use crate::post::Bounds;
use crate::telemetry::deliveries::TargetMetrics;
use crate::telemetry::event::Event;
use crate::telemetry::labels::DeliveryResult;
use crate::telemetry::log::Log;
use crate::telemetry::throttle::Throttle;
use crate::telemetry::traces::{Brought, Trace, Tracer};
use crate::upstream::addresses::Resolver;

/// The attempt panicked.
const DEFECT: Reason = Reason::word("defect");
/// What is kept is no event.
const UNREADABLE: Reason = Reason::word("unreadable");
/// No record of it could be written.
const AUDIT: Reason = Reason::word("audit");
/// The target answered 410.
const GONE: Reason = Reason::word("gone");

/// What the attempts at one target share.
pub(super) struct Desk {
    pub(super) target: Arc<Target>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) schedule: Arc<Schedule>,
    pub(super) bounds: Bounds,
    /// The longest silence that a HIS may ask for.
    pub(super) silence_max: Duration,
    pub(super) resolver: Resolver,
    pub(super) clock: Clock,
    pub(super) metrics: TargetMetrics,
    pub(super) log: Log,
    /// Keeps the audit trail, where there is one.
    pub(super) auditor: Option<Auditor>,
    /// Makes traces, where there is a collector.
    pub(super) tracer: Option<Tracer>,
    /// Of lines about failures of the target.
    pub(super) failures: Throttle,
    /// Of lines about failures of the store.
    pub(super) store_failures: Throttle,
}

/// What to tell of an attempt.
enum Told {
    Delivered,
    Failed { reason: Reason, next: Duration },
    Dead { reason: Reason },
    Parked,
}

/// One attempt.
pub(super) struct Attempt {
    desk: Arc<Desk>,
    leased: Leased,
    /// It tries whether a suspended target is back.
    probe: bool,
    /// Its place in a trace, where there are traces.
    trace: Option<Trace>,
}

impl Attempt {
    pub(super) fn new(desk: Arc<Desk>, leased: Leased, probe: bool) -> Self {
        let tracer = desk.tracer.as_ref();
        let trace = tracer.map(|tracer| tracer.of_delivery(leased.lease.event, leased.verified));
        Self {
            desk,
            leased,
            probe,
            trace,
        }
    }

    /// Delivers, settles and tells.
    pub(super) async fn run(self) -> End {
        let (desk, leased) = (&*self.desk, &self.leased);
        let event = leased.lease.event;
        if desk.auditor.as_ref().is_some_and(|auditor| auditor.ready().is_err()) {
            // As with a target that cannot be reached: events wait, and few of them lose an attempt.
            self.failed(AUDIT, true, None).await;
            return End::Failed {
                event,
                unreachable: true,
                silence: None,
            };
        }
        let written = body::write(
            &leased.payload,
            event,
            leased.received_at,
            leased.verified,
            desk.target.charset,
        );
        let Ok(body) = written else {
            let reason = UNREADABLE;
            self.settle(Outcome::Dead { reason: reason.clone() }, Told::Dead { reason })
                .await;
            return End::Neither;
        };
        let letter = Letter {
            id: event.to_string(),
            trace: self.trace.filter(|trace| trace.sampled),
            timestamp: (desk.clock.now().as_millis() / 1000).to_string(),
            body,
        };
        let start = desk.clock.moment();
        let sent = send(&desk.target, &desk.resolver, &letter, desk.bounds).await;
        let status = sent.as_ref().ok().map(|answer| answer.status);
        let (verdict, unreachable) = match sent {
            Ok(answer) => (judge(&answer, &desk.target.success_codes), false),
            Err(fault) => {
                let reason = Reason::word(fault.word());
                (Verdict::Failed { reason, silence: None }, fault.before_sending())
            }
        };
        self.record_span(start, status, &verdict);
        match verdict {
            Verdict::Taken => {
                self.record().await;
                self.settle(Outcome::Delivered, Told::Delivered).await;
                End::Taken
            }
            Verdict::Gone => {
                self.settle(Outcome::Parked { reason: GONE }, Told::Parked).await;
                End::Neither
            }
            Verdict::Failed { reason, silence } => {
                let silence = silence.map(|silence| silence.min(desk.silence_max));
                self.failed(reason, unreachable, silence).await;
                End::Failed {
                    event,
                    unreachable,
                    silence,
                }
            }
        }
    }

    /// Before anything is made durable, so that the span is the HIS's time and not the disk's.
    fn record_span(&self, start: Moment, status: Option<u16>, verdict: &Verdict) {
        let (Some(tracer), Some(trace)) = (&self.desk.tracer, self.trace) else {
            return;
        };
        let (result, reason) = match verdict {
            Verdict::Taken => (DeliveryResult::Ok, None),
            Verdict::Gone => (DeliveryResult::Retry, Some(GONE)),
            Verdict::Failed { reason, .. } => (DeliveryResult::Retry, Some(reason.clone())),
        };
        tracer.delivery(Brought {
            trace,
            start,
            tenant: &self.desk.target.tenant,
            event: self.leased.lease.event,
            attempt: self.leased.attempt,
            result: result.as_str(),
            status,
            reason,
        });
    }

    /// Records that the HIS has the event: it has, so whatever comes of the record, it is not sent again for that.
    async fn record(&self) {
        let Some(auditor) = &self.desk.auditor else { return };
        let tenant = &self.desk.target.tenant;
        let mut record = Box::new(Record::new(Kind::Delivery, auditor.clock().now()));
        record.tenant = Some(tenant.clone());
        record.event = Some(self.leased.lease.event);
        record.subject = auditor.tagger().event(tenant.as_str(), self.leased.payload.as_bytes());
        let _ = auditor.record(record).await;
    }

    async fn failed(&self, reason: Reason, unreachable: bool, silence: Option<Duration>) {
        let desk = &self.desk;
        if self.probe && unreachable {
            // The HIS is down, which is no fault of the event: however long it lasts, no attempt is used up.
            let told = Told::Failed {
                reason,
                next: Duration::ZERO,
            };
            return self.settle(Outcome::Unused, told).await;
        }
        let Some(wait) = desk.schedule.wait(self.leased.attempt) else {
            let dead = Outcome::Dead { reason: reason.clone() };
            return self.settle(dead, Told::Dead { reason }).await;
        };
        let next = wait.max(silence.unwrap_or_default());
        let retry = Outcome::Retry {
            after: next,
            reason: reason.clone(),
        };
        self.settle(retry, Told::Failed { reason, next }).await;
    }

    /// Makes it durable, then tells it.
    async fn settle(&self, outcome: Outcome, told: Told) {
        let desk = &self.desk;
        let (tenant, event, attempt) = (&desk.target.tenant, self.leased.lease.event, self.leased.attempt);
        match desk.inbox.settle(self.leased.lease, outcome).await {
            Ok(()) => {}
            // Nothing of this attempt is in the store: the lease runs out, and the event is delivered again under the
            // same id. Only then it may count as delivered, or as dead.
            Err(SettleError::Inbox(_)) => {
                desk.metrics.count(DeliveryResult::Retry);
                desk.store_failed();
                return;
            }
            // It took longer than the lease, and the event has been leased again, or an operator acted. The store works.
            Err(SettleError::Lost) => {
                desk.metrics.count(DeliveryResult::Retry);
                if let Some(left_out) = desk.failures.pass() {
                    desk.log.write(&Event::DeliveryLeaseLost {
                        tenant,
                        event,
                        attempt,
                        left_out,
                    });
                }
                return;
            }
        }
        let trace = self.trace;
        match told {
            Told::Delivered => {
                let now = desk.clock.now().as_millis();
                let lag = Duration::from_millis(now.saturating_sub(self.leased.received_at.as_millis()));
                desk.metrics.count(DeliveryResult::Ok);
                desk.metrics.lag(lag);
                desk.log.write(&Event::Delivered {
                    trace,
                    tenant,
                    event,
                    attempt,
                    lag,
                });
            }
            Told::Failed { reason, next } => {
                desk.metrics.count(DeliveryResult::Retry);
                if let Some(left_out) = desk.failures.pass() {
                    desk.log.write(&Event::DeliveryFailed {
                        trace,
                        tenant,
                        event,
                        attempt,
                        reason: &reason,
                        next,
                        left_out,
                    });
                }
            }
            Told::Dead { reason } => {
                desk.metrics.count(DeliveryResult::Dead);
                desk.log.write(&Event::DeliveryDead {
                    trace,
                    tenant,
                    event,
                    attempt,
                    reason: &reason,
                });
            }
            // Told when the inbox says so, once.
            Told::Parked => desk.metrics.count(DeliveryResult::Retry),
        }
    }
}

impl Desk {
    /// Tells, not too often, that the inbox did not do what it was asked.
    pub(super) fn store_failed(&self) {
        if let Some(left_out) = self.store_failures.pass() {
            self.log.write(&Event::DeliveryStoreFailed {
                tenant: &self.target.tenant,
                left_out,
            });
        }
    }

    /// Tells that an event is a dead letter since its content does not open; the store has noted it.
    pub(super) fn unopened(&self, event: EventId) {
        self.metrics.count(DeliveryResult::Dead);
        self.log.write(&Event::DeliveryDead {
            trace: None,
            tenant: &self.target.tenant,
            event,
            attempt: 1,
            reason: &UNREADABLE,
        });
    }

    /// Settles an attempt that ended in a defect.
    pub(super) async fn panicked(&self, lease: Lease) -> End {
        let after = self.schedule.wait(1).unwrap_or_default();
        let _ = self.inbox.settle(lease, Outcome::Retry { after, reason: DEFECT }).await;
        self.metrics.count(DeliveryResult::Retry);
        End::Failed {
            event: lease.event,
            unreachable: false,
            silence: None,
        }
    }
}
