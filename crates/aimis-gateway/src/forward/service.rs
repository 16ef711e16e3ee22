//! What surrounds every request: its id, its language, its log line, the headers of every answer, and
//! the net under a defect.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use http::header::{ACCEPT_LANGUAGE, AGE, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use super::decode::body;
use super::notes::Notes;
use super::roads::{Made, Roads};
use super::{answer, audited, cors};
use crate::audit::Auditor;
use crate::audit::operator::Operator;
use crate::clock::Clock;
use crate::config::Language;
use crate::edge::connection::{Asked, Body};
use crate::edge::guard::HeadFault;
use crate::edge::peer::Peer;
use crate::edge::request_id::{RequestId, RequestIds, X_REQUEST_ID};
use crate::pull;
use crate::rejection::{self, Rejection};
use crate::telemetry::event::Event;
use crate::telemetry::exchange::{Exchange, FieldName};
use crate::telemetry::health::Health;
use crate::telemetry::labels::{CodeClass, Origin};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;
use crate::worker::Service;

const X_AIMIS_ORIGIN: HeaderName = HeaderName::from_static("x-aimis-origin");
const X_AIMIS_REPAIRS: HeaderName = HeaderName::from_static("x-aimis-repairs");
const X_AIMIS_WARNINGS: HeaderName = HeaderName::from_static("x-aimis-warnings");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Of an answer that was made before the cache was looked at.
const NOT_CONSULTED: HeaderValue = HeaderValue::from_static("aimis; detail=not-consulted");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");

/// A worker's service: what hyper calls for each request.
pub struct RoadService {
    roads: Roads,
    ids: RefCell<RequestIds>,
    clock: Clock,
    log: Log,
    health: Health,
    draining: Arc<AtomicBool>,
    /// Keeps the audit trail; `None` where there is none.
    auditor: Option<Auditor>,
    operator_header: Option<HeaderName>,
    /// Makes traces, where there is a collector.
    tracer: Option<Tracer>,
}

impl RoadService {
    /// `health` tells of the signal to stop; `draining` is set when no further request is to be taken.
    pub fn new(
        roads: Roads,
        ids: RequestIds,
        clock: Clock,
        log: Log,
        health: Health,
        draining: Arc<AtomicBool>,
    ) -> Self {
        Self {
            roads,
            ids: RefCell::new(ids),
            clock,
            log,
            health,
            draining,
            auditor: None,
            operator_header: None,
            tracer: None,
        }
    }

    /// The same with traces, where there is a collector.
    #[must_use]
    pub fn traced(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// The same with an audit trail; `header` may name the user who asks.
    #[must_use]
    pub fn audited(self, auditor: Auditor, header: HeaderName) -> Self {
        Self {
            auditor: Some(auditor),
            operator_header: Some(header),
            ..self
        }
    }

    /// Answers one request of `peer`, whatever happens.
    pub async fn answer(&self, asked: Asked, peer: &Peer) -> Response<Body> {
        let start = self.clock.moment();
        let request = match asked {
            Ok(request) => request,
            Err(fault) => return self.refuse(fault, peer),
        };
        // Under what is in force now, to its end.
        let made = self.roads.current();
        let road = &made.road;
        let active = Active::new(&made.generation.metrics);
        let id = request
            .headers()
            .get(X_REQUEST_ID)
            .and_then(RequestId::from_caller)
            .unwrap_or_else(|| self.ids.borrow_mut().make());
        let wanted = language(request.headers());
        let exchange = Exchange::new(id, method(request.method()), start);
        let mut notes = Notes::new(exchange, road.snapshot.clients.anybody().answers);
        notes.exchange.trace = self.tracer.as_ref().map(|tracer| tracer.begin(request.headers()));
        let operator = self.operator(request.headers());
        if let Ok(operator) = operator {
            notes.audited.operator = operator;
        }

        let origin = road.snapshot.cors.origin(request.headers());
        let preflight = road.snapshot.cors.preflight(request.method(), request.headers());
        let outcome = if let Some(preflight) = preflight {
            notes.exchange.class = CodeClass::Ok;
            preflight
        } else if self.draining.load(Ordering::Relaxed) {
            Err(Rejection::Draining)
        } else if let Err(unclear) = operator {
            Err(unclear)
        } else {
            // A defect answers 500 and leaves the connection and the worker as they were: the road keeps
            // no state of its own between requests that a panic could leave half changed.
            AssertUnwindSafe(self.handle(&made, request, peer, &mut notes))
                .catch_unwind()
                .await
                .unwrap_or(Err(Rejection::Internal))
        };
        let outcome = audited::recorded(self.auditor.as_ref(), outcome, &notes).await;
        let mut response = outcome.unwrap_or_else(|rejection| {
            note_rejection(&mut notes.exchange, &rejection);
            if let Rejection::QuotaExceeded(limited) = &rejection
                && let Some(standing) = limited.standing
            {
                notes.standings.note(standing);
            }
            rejection::to_response(&rejection, wanted.unwrap_or(notes.answers.language), &id)
        });

        let answers = notes.answers;
        answer::adapt(&mut response, answers, &mut notes);
        decorate(response.headers_mut(), &notes);
        let legacy = road.asker.limits().legacy_headers();
        notes.standings.write(response.headers_mut(), legacy);
        if let Some(origin) = origin {
            cors::permit(response.headers_mut(), origin);
        }
        if self.health.draining() {
            // A client that is busy moves on by itself, before its connection is closed (`control`).
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        notes.exchange.total_time = self.clock.moment().since(notes.exchange.began);
        self.tell(&mut notes.exchange, &response, &made);
        drop(active);
        response
    }

    /// The road that a path belongs to.
    async fn handle(
        &self,
        made: &Made,
        request: Request<Incoming>,
        peer: &Peer,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        if let Some(auditor) = &self.auditor {
            auditor.ready()?;
        }
        if pull::is_pull(request.uri()) {
            // In a box, so that questions have not the room for it.
            Box::pin(self.pull(made, request, peer, notes)).await
        } else {
            made.road.handle(request, peer, notes).await
        }
    }

    /// The user that a request names, where there is a record to name him in. The same one twice is one, an empty one none.
    fn operator(&self, headers: &HeaderMap) -> Result<Option<Operator>, Rejection> {
        let (Some(auditor), Some(name)) = (&self.auditor, &self.operator_header) else {
            return Ok(None);
        };
        let mut named = headers.get_all(name).iter().filter_map(|value| auditor.operator(value));
        let first = named.next();
        if named.any(|other| Some(other) != first) {
            return Err(Rejection::OperatorUnclear);
        }
        Ok(first)
    }

    /// What happens to a request of a HIS that fetches its events.
    async fn pull(
        &self,
        made: &Made,
        request: Request<Incoming>,
        peer: &Peer,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let (head, body) = request.into_parts();
        notes.exchange.pull = Some(pull::operation(&head.method));
        let client = made.road.identify(&head.headers, peer, notes)?;
        let tenants = &made.road.snapshot.tenants;
        let pull = made.generation.pull.as_deref();
        let route = pull::read(pull, &head.method, &head.uri, client, tenants)?;
        let pull = pull.ok_or(Rejection::NoSuchInbox)?;
        notes.exchange.tenant = Some((route.tenant.index, route.tenant.name.clone()));
        let body = match route.asked {
            pull::Asked::Fetch { limit, wait } => {
                let reader = self.auditor.as_ref().map(|auditor| pull::Reader {
                    auditor,
                    client: client.name.clone(),
                    operator: notes.audited.operator,
                    request: notes.exchange.request_id,
                });
                let fetched = pull
                    .fetch(route.tenant, limit, wait, &self.log, reader.as_ref())
                    .await?;
                notes.exchange.events = Some(fetched.events);
                if fetched.parked {
                    notes.warn("inbox", "parked");
                }
                fetched.body
            }
            pull::Asked::Settle => {
                let body = body::read(&head.headers, body, made.road.snapshot.body_bounds).await?;
                notes.exchange.request_size = body.len();
                let (settled, answer) = pull
                    .settle(route.tenant, &pull::Report::read(&body)?, &self.log)
                    .await?;
                notes.exchange.events = Some(settled.acked + settled.nacked);
                answer
            }
        };
        notes.exchange.code = Some(0);
        notes.exchange.class = CodeClass::Ok;
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        Ok(response)
    }

    /// Answers what is no request; nothing of it is known but its fault, so its language is the configured one.
    fn refuse(&self, fault: HeadFault, peer: &Peer) -> Response<Body> {
        let id = self.ids.borrow_mut().make();
        let rejection = Rejection::Malformed(fault);
        let made = self.roads.current();
        let answers = made.road.snapshot.clients.anybody().answers;
        let mut notes = Notes::new(Exchange::new(id, OTHER_METHOD, self.clock.moment()), answers);
        notes.exchange.client_address = made.road.address_to_log(peer);
        note_rejection(&mut notes.exchange, &rejection);
        let mut response = rejection::to_response(&rejection, answers.language, &id);
        answer::adapt(&mut response, answers, &mut notes);
        decorate(response.headers_mut(), &notes);
        self.tell(&mut notes.exchange, &response, &made);
        response
    }

    /// Counts and logs what was answered.
    fn tell(&self, exchange: &mut Exchange, response: &Response<Body>, made: &Made) {
        exchange.status = response.status().as_u16();
        exchange.reply_size = response
            .body()
            .size_hint()
            .exact()
            .and_then(|n| n.try_into().ok())
            .unwrap_or(0);
        if let Some(tracer) = &self.tracer {
            tracer.request(exchange, &made.generation.config.platform.base_url);
        }
        exchange.count(&made.generation.metrics);
        if !exchange.quiet {
            self.log.write(&Event::Request(exchange));
        }
    }
}

impl Service for RoadService {
    fn answer(&self, asked: Asked, peer: &Peer) -> impl Future<Output = Response<Body>> {
        self.answer(asked, peer)
    }

    fn keep_house(&self) {
        let made = self.roads.current();
        let road = &made.road;
        road.asker.platform().close_idle();
        road.asker.limits().show();
        road.asker.cache().sweep();
        road.failures.forget_quiet();
    }
}

fn note_rejection(exchange: &mut Exchange, rejection: &Rejection) {
    let (error, detail) = rejection.for_log();
    exchange.origin = Origin::Gateway;
    exchange.code = Some(rejection.public().code.into());
    exchange.class = rejection.class();
    exchange.rejected = rejection.reason();
    exchange.error = Some(error);
    exchange.error_detail = detail;
    if let Rejection::Upstream(error) = rejection {
        exchange.error_status = error.received_status();
    }
    if let Rejection::FieldInvalid(problems) = rejection {
        exchange.error_field = problems.first().and_then(FieldName::of);
    }
}

/// The headers of every answer, one that is given without the road included.
pub(crate) fn identify(headers: &mut HeaderMap, id: RequestId, origin: Origin) {
    headers.insert(X_REQUEST_ID, id.to_header());
    headers.insert(X_AIMIS_ORIGIN, HeaderValue::from_static(origin.as_str()));
    headers.insert(CACHE_STATUS, NOT_CONSULTED);
    headers.insert(CACHE_CONTROL, PRIVATE);
}

/// [`identify`], and what there is to tell of this request.
fn decorate(headers: &mut HeaderMap, notes: &Notes) {
    identify(headers, notes.exchange.request_id, notes.exchange.origin);
    if let Some(passage) = notes.exchange.passage {
        headers.insert(CACHE_STATUS, passage.header());
    }
    if let Some(age) = notes.exchange.age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
    for (name, list) in [(X_AIMIS_REPAIRS, notes.repairs()), (X_AIMIS_WARNINGS, notes.warnings())] {
        if !list.is_empty()
            && let Ok(value) = HeaderValue::from_str(list)
        {
            headers.insert(name, value);
        }
    }
}

/// The first language that the caller names and we have.
pub(super) fn language(headers: &HeaderMap) -> Option<Language> {
    headers
        .get(ACCEPT_LANGUAGE)?
        .as_bytes()
        .split(|b| *b == b',')
        .find_map(|range| {
            let range = range.trim_ascii().to_ascii_lowercase();
            if range.starts_with(b"zh") {
                Some(Language::Zh)
            } else if range.starts_with(b"en") {
                Some(Language::En)
            } else {
                None
            }
        })
}

/// A method that is none of ours, or not known.
const OTHER_METHOD: &str = "_OTHER";

/// The method as a label: a closed set.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => OTHER_METHOD,
    }
}

/// Counts a request as active for as long as it is, whichever way it ends.
struct Active<'a>(&'a Metrics);

impl<'a> Active<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.active_requests.inc();
        Self(metrics)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active_requests.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_language_is_used_if_we_have_it() {
        let asked = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(text));
            language(&headers)
        };
        assert_eq!(asked("en-US,en;q=0.9"), Some(Language::En));
        assert_eq!(asked("fr, EN"), Some(Language::En));
        assert_eq!(asked("zh-CN"), Some(Language::Zh));
        assert_eq!(asked("fr"), None);
        assert_eq!(language(&HeaderMap::new()), None);
    }
}
