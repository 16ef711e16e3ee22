//! What surrounds every callback: its id, its lines in the log, its counters, and the net under a defect.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Response};

use super::inbox::{AppendError, Kind};
use super::{Callbacks, Course, Refused, answer};
use crate::clock::{Clock, Moment};
use crate::edge::connection::{Asked, Body};
use crate::edge::peer::Peer;
use crate::edge::request_id::{RequestId, RequestIds, X_REQUEST_ID};
use crate::telemetry::event::Event;
use crate::telemetry::health::Health;
use crate::telemetry::labels::{CallbackRefusal, CallbackResult};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttles;
use crate::telemetry::traces::{Came, Tracer};
use crate::worker::Service;

/// How often the inbox forgets what it has kept for long enough.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// Told once; which tenant it is, and how many, a command shows.
const STRANDED: &str = "events in the inbox wait for a tenant that the configuration does not have: nobody delivers \
                        them. `inbox stats` shows which; give the tenant this name until they are delivered";

/// What the service has beside the road.
pub struct Surroundings {
    /// Makes ids of requests. Those of the caller are not taken over: answers to refusals are all alike.
    pub ids: RequestIds,
    /// For durations.
    pub clock: Clock,
    /// For lines.
    pub log: Log,
    /// For counting.
    pub metrics: Arc<Metrics>,
    /// Tells of the signal to stop.
    pub health: Health,
    /// Set when no further callback is to be taken.
    pub draining: Arc<AtomicBool>,
    /// `log.client_address`.
    pub log_client_address: bool,
    /// `log.repeat_interval_ms`.
    pub repeat_interval: Duration,
    /// Makes traces, where there is a collector.
    pub tracer: Option<Tracer>,
}

/// The callback thread's service: what hyper calls for each request.
pub struct CallbackService {
    road: Rc<Callbacks>,
    ids: RefCell<RequestIds>,
    /// Whether it was told which events nobody delivers.
    told_stranded: Cell<bool>,
    /// When the inbox was last told to forget what it has kept for long enough.
    retained: Cell<Moment>,
    around: Around,
}

struct Around {
    clock: Clock,
    log: Log,
    metrics: Arc<Metrics>,
    health: Health,
    draining: Arc<AtomicBool>,
    log_client_address: bool,
    refusals: Throttles,
    /// Each reason by itself: the first may be another than the one that stays.
    failures: Throttles,
    tracer: Option<Tracer>,
}

impl CallbackService {
    /// Puts `road` into its surroundings.
    pub fn new(road: Callbacks, surroundings: Surroundings) -> Self {
        let Surroundings {
            ids,
            clock,
            log,
            metrics,
            health,
            draining,
            log_client_address,
            repeat_interval,
            tracer,
        } = surroundings;
        Self {
            road: Rc::new(road),
            ids: RefCell::new(ids),
            told_stranded: Cell::new(false),
            retained: Cell::new(clock.moment()),
            around: Around {
                refusals: Throttles::new(CallbackRefusal::ALL.len(), repeat_interval, &clock),
                failures: Throttles::new(AppendError::COUNT, repeat_interval, &clock),
                clock,
                log,
                metrics,
                health,
                draining,
                log_client_address,
                tracer,
            },
        }
    }
}

impl Service for CallbackService {
    async fn answer(&self, asked: Asked, peer: &Peer) -> Response<Body> {
        let id = self.ids.borrow_mut().make();
        let mut response = match asked {
            Err(fault) => answer::malformed(fault),
            Ok(_) if self.around.draining.load(Ordering::Relaxed) => answer::stopping(),
            Ok(request) => {
                let start = self.around.clock.moment();
                let mut course = Course::default();
                let taken = AssertUnwindSafe(self.road.receive(request, peer, &mut course))
                    .catch_unwind()
                    .await;
                match taken {
                    Ok(outcome) => self.around.tell(outcome, &course, start, id, peer.address),
                    // The panic has a line of its own; what it left half done was not acknowledged.
                    Err(_) => {
                        self.around
                            .metrics
                            .callbacks
                            .received(CallbackResult::StoreFailed)
                            .inc();
                        answer::not_stored()
                    }
                }
            }
        };
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, id.to_header());
        if self.around.health.draining() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn keep_house(&self) {
        self.road.rate.forget_quiet();
        let now = self.around.clock.moment();
        if now.since(self.retained.get()) >= RETAIN_EVERY {
            self.retained.set(now);
            // The inbox works on threads of its own. What fails is tried again in a minute, and where it goes on
            // failing the disk budget tells.
            tokio::task::spawn_local(self.road.inbox.retain());
        }
        if !self.told_stranded.replace(true) {
            tokio::task::spawn_local(tell_stranded(Rc::clone(&self.road), self.around.log.clone()));
        }
    }
}

/// Tells once of events whose tenant the configuration does not have any more: renamed, most often.
async fn tell_stranded(road: Rc<Callbacks>, log: Log) {
    // What cannot be counted now the metrics tell.
    let Ok(stats) = road.inbox.stats().await else { return };
    if !stats.stranded(|tenant| road.hospitals.load().has(tenant)).is_empty() {
        log.write(&Event::Notice { text: STRANDED });
    }
}

impl Around {
    /// Counts and logs what became of a callback, and answers it.
    fn tell(
        &self,
        outcome: Result<super::inbox::Receipt, Refused>,
        course: &Course,
        start: Moment,
        id: RequestId,
        address: Option<IpAddr>,
    ) -> Response<Body> {
        let traced = course.stored.zip(self.tracer.as_ref());
        let traced = traced.map(|((event, kind, _), tracer)| tracer.of_callback(event, kind == Kind::Duplicate));
        let metrics = &self.metrics.callbacks;
        for repair in &course.repairs {
            metrics.repair(*repair).inc();
        }
        if let Some((event, kind, verified)) = course.stored {
            metrics.received(result_of(kind)).inc();
            if verified == super::event::Verified::Shared {
                metrics.shared.inc();
            }
            let line = Event::CallbackStored {
                trace: traced,
                request: id,
                tenant: course.tenant.as_ref(),
                event,
                kind,
                verified,
                duration: self.clock.moment().since(start),
            };
            self.log.write(&line);
        }
        let answer = match outcome {
            Ok(receipt) => {
                metrics
                    .ack_seconds
                    .observe(self.clock.moment().since(start).as_secs_f64());
                answer::received(receipt)
            }
            Err(Refused::Undecryptable) => {
                // Stored and counted as that; why the platform hears no is told beside it.
                metrics.refused(CallbackRefusal::Cipher).inc();
                answer::refused(false)
            }
            // Stored and counted as that; `aimis_cache_invalidations_total` tells of the rest.
            Err(Refused::StillHeld) => answer::not_yet(),
            Err(Refused::NotStored(error)) => {
                metrics.received(CallbackResult::StoreFailed).inc();
                if let Some(left_out) = self.failures.pass(error.index()) {
                    self.log.write(&Event::CallbackNotStored {
                        tenant: course.tenant.as_ref(),
                        error,
                        left_out,
                    });
                }
                answer::not_stored()
            }
            Err(Refused::Unacceptable(reason)) => {
                metrics.refused(reason).inc();
                if let Some(result) = result_of_refusal(reason) {
                    metrics.received(result).inc();
                }
                if let Some(left_out) = self.refusals.pass(reason.index()) {
                    self.log.write(&Event::CallbackRefused {
                        request: id,
                        tenant: course.tenant.as_ref(),
                        reason,
                        client: address.filter(|_| self.log_client_address),
                        left_out,
                    });
                }
                match reason {
                    CallbackRefusal::Rate => answer::too_many(),
                    // The rest of the body may still be on its way and is not to be taken for the next request.
                    CallbackRefusal::TooLarge | CallbackRefusal::Slow => answer::refused(true),
                    _ => answer::refused(false),
                }
            }
        };
        if let (Some(tracer), Some(trace), Some((event, kind, verified))) = (&self.tracer, traced, course.stored) {
            tracer.callback(&Came {
                trace,
                start,
                request: id,
                tenant: course.tenant.as_ref(),
                event,
                result: result_of(kind).as_str(),
                verified,
                status: answer.status().as_u16(),
            });
        }
        answer
    }
}

fn result_of(kind: Kind) -> CallbackResult {
    match kind {
        Kind::Accepted => CallbackResult::Accepted,
        Kind::Duplicate => CallbackResult::Duplicate,
        Kind::Updated => CallbackResult::Updated,
        Kind::Quarantined(_) => CallbackResult::Quarantined,
    }
}

/// `None` for what was not even read.
fn result_of_refusal(reason: CallbackRefusal) -> Option<CallbackResult> {
    Some(match reason {
        CallbackRefusal::Rate => return None,
        CallbackRefusal::Route
        | CallbackRefusal::Network
        | CallbackRefusal::Secret
        | CallbackRefusal::Headers
        | CallbackRefusal::AppId
        | CallbackRefusal::Signature
        | CallbackRefusal::Reflected => CallbackResult::BadSignature,
        CallbackRefusal::Stale | CallbackRefusal::Ahead => CallbackResult::Stale,
        CallbackRefusal::TooLarge
        | CallbackRefusal::Slow
        | CallbackRefusal::Body
        | CallbackRefusal::Field
        | CallbackRefusal::Cipher => CallbackResult::Malformed,
    })
}
