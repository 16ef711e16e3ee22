//! The listener for whoever operates the gateway: what the cache holds, and dropping it; which tokens are live; reading
//! the configuration anew.
//!
//! It knows no sign-in, so the configuration lets it be on this machine only. A web page that a user of this machine
//! has open could reach it all the same: what does not ask by a loopback address or `localhost` is refused, whatever a
//! browser says comes from a page, and a POST that is not JSON, which a page cannot send without asking first.

mod patient;
mod visitor;

use std::sync::Arc;
use std::time::Duration;

use aimis_core::order::Patient;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

pub(crate) use patient::{NO_NUMBER, is_number};
pub use visitor::Door;

use crate::audit::record::Who;
use crate::audit::{Auditor, Kind, Record};
use crate::config::End;
use crate::edge::connection::{Asked, Body};
use crate::forward::cache::Cache;
use crate::forward::cache::shared::Unforgotten;
use crate::forward::decode::body::{self, BodyBounds};
use crate::live::Live;
use crate::live::reload::{Order, Reloaded};
use crate::openapi;
use crate::telemetry::event::{Event, Purge};
use crate::telemetry::log::Log;
use crate::tenant::TenantName;
use crate::token_end;

/// What the cache holds.
pub const CACHE: &str = "/api/v1/cache";
/// Drops what it holds.
pub const CACHE_PURGE: &str = "/api/v1/cache/purge";

/// Which tokens each tenant has, by fingerprint.
pub const CREDENTIALS: &str = "/api/v1/credentials";
/// Reads the configuration and its files anew.
pub const RELOAD: &str = "/api/v1/reload";

/// How records call whoever acted here: it has no sign-in.
const LISTENER: &str = "the admin listener";

/// Orders of operators are a few words.
const BODY: BodyBounds = BodyBounds {
    max: 4096,
    timeout: Duration::from_secs(5),
};

/// What operators can see and do.
#[derive(Clone)]
pub struct Admin {
    cache: Arc<Cache>,
    live: Arc<Live>,
    reload: mpsc::UnboundedSender<Order>,
    log: Log,
    auditor: Option<Auditor>,
}

/// The body of [`CACHE_PURGE`]: `{"all":true}`, or a tenant, an API, both, or a tenant and a patient's number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeOrder<'a> {
    #[serde(default)]
    all: bool,
    tenant: Option<&'a str>,
    api: Option<&'a str>,
    patient: Option<&'a str>,
}

/// Why an order is not carried out. What it says is never repeated.
struct Refusal(StatusCode, &'static str);

impl Admin {
    /// Operates `cache`; what is done is recorded by `auditor`, where there is an audit trail.
    pub(crate) fn new(
        cache: Arc<Cache>,
        live: Arc<Live>,
        reload: mpsc::UnboundedSender<Order>,
        log: Log,
        auditor: Option<Auditor>,
    ) -> Self {
        Self {
            cache,
            live,
            reload,
            log,
            auditor,
        }
    }

    /// Answers one request that came by `door`.
    pub async fn answer(self, asked: Asked, door: Door) -> Response<Body> {
        let answer = match asked {
            Ok(request) => self.act(request, door).await,
            Err(fault) => {
                let mut refusal = response(fault.status(), &json!({ "error": fault.to_string() }));
                refusal
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                return refusal;
            }
        };
        answer.unwrap_or_else(|Refusal(status, error)| {
            let mut refusal = response(status, &json!({ "error": error }));
            if status == StatusCode::METHOD_NOT_ALLOWED {
                let allowed = if error == USE_GET { "GET" } else { "POST" };
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            }
            refusal
        })
    }

    async fn act(&self, request: Request<Incoming>, door: Door) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        visitor::admit(&head, door)?;
        match (head.uri.path(), head.method) {
            (CACHE, Method::GET) => Ok(response(StatusCode::OK, &self.fill())),
            (CREDENTIALS, Method::GET) => Ok(response(StatusCode::OK, &self.credentials())),
            (openapi::PATH, Method::GET) => Ok(response(StatusCode::OK, &openapi::document())),
            (CACHE | CREDENTIALS | openapi::PATH, _) => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, USE_GET)),
            (RELOAD, Method::POST) => {
                need_json(&head.headers)?;
                Ok(self.reload().await)
            }
            (CACHE_PURGE, Method::POST) => {
                need_json(&head.headers)?;
                let read = body::read(&head.headers, body, BODY).await;
                let body = read.map_err(|rejection| {
                    Refusal(
                        rejection.public().status,
                        "the body did not come whole, or is too large",
                    )
                })?;
                let (dropped, purged, record) = self.purge(&body)?;
                let told = self.tell_others(&purged).await;
                if let (Some(auditor), Some(record)) = (&self.auditor, record) {
                    auditor.record(record).await.map_err(|_| UNRECORDED)?;
                }
                told?;
                Ok(response(StatusCode::OK, &json!({ "dropped": dropped })))
            }
            (CACHE_PURGE | RELOAD, _) => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "use POST")),
            _ => Err(Refusal(
                StatusCode::NOT_FOUND,
                "not found; here are GET /api/v1/cache, /api/v1/credentials and /openapi.json, POST /api/v1/cache/purge and /api/v1/reload",
            )),
        }
    }

    fn fill(&self) -> Value {
        let fill = self.cache.fill();
        json!({ "entries": fill.entries, "bytes": fill.bytes, "max_bytes": fill.max_bytes })
    }

    fn credentials(&self) -> Value {
        let generation = self.live.get();
        let all = generation.snapshot.tenants.all().iter().zip(&generation.config.tenants);
        let tenants = all.map(|(tenant, settings)| {
            let in_use = tenant.keyring.current().fingerprint();
            let tokens = tenant.keyring.all().iter().map(|held| {
                let fingerprint = held.key.fingerprint();
                json!({
                    "fingerprint": fingerprint.to_string(),
                    "source": held.source.as_str(),
                    "in_use": fingerprint == in_use,
                    "not_after": token_end::of(settings, held.source).map(End::as_str),
                })
            });
            json!({ "tenant": tenant.name.as_str(), "tokens": tokens.collect::<Vec<_>>() })
        });
        json!({ "tenants": tenants.collect::<Vec<_>>() })
    }

    async fn reload(&self) -> Response<Body> {
        let (order, outcome) = oneshot::channel();
        // One that stops answers nobody.
        let _ = self.reload.send(order);
        let outcome = outcome.await;
        if let (Some(auditor), Ok(outcome)) = (&self.auditor, &outcome) {
            let mut record = Box::new(Record::new(Kind::Act, auditor.clock().now()));
            record.act = Some(if outcome.is_ok() { "reload" } else { "reload-refused" });
            record.who = Some(Who::new(LISTENER));
            // Done is done, and it may be what has the trail written again: it does not depend on its record.
            let _ = auditor.record(record).await;
        }
        match outcome {
            Ok(Ok(Reloaded { restart_needed })) => {
                let answer = json!({ "reloaded": true, "restart_needed": restart_needed });
                response(StatusCode::OK, &answer)
            }
            Ok(Err(error)) => response(StatusCode::CONFLICT, &json!({ "error": error.to_string() })),
            Err(_) => response(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "error": "the gateway stops" }),
            ),
        }
    }

    /// What was dropped here is dropped where replicas share it.
    async fn tell_others(&self, purged: &Purged) -> Result<(), Refusal> {
        let Some(shared) = self.cache.shared() else {
            return Ok(());
        };
        let told = match purged {
            Purged::Patient(tenant, number) => {
                let number = Some(number.as_str());
                shared.forget_patient(tenant.as_str(), number, number).await
            }
            Purged::Of(tenant, api) => {
                let snapshot = Arc::clone(&self.live.look().snapshot);
                let all = snapshot.tenants.all().iter().map(|known| &known.name);
                let mut told = Ok(());
                for name in all.filter(|known| tenant.as_ref().is_none_or(|tenant| tenant == *known)) {
                    let of_one = match api {
                        Some(api) => shared.forget_api(name.as_str(), (*api, snapshot.apis.name(*api))).await,
                        None => shared.shred(name.as_str()).await,
                    };
                    told = told.and(of_one);
                }
                told
            }
        };
        told.map_err(|Unforgotten| {
            Refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "dropped here; the store that replicas share is away, and will be told when it is back",
            )
        })
    }

    fn purge(&self, body: &[u8]) -> Result<(usize, Purged, Option<Box<Record>>), Refusal> {
        let wrong = |text| Refusal(StatusCode::UNPROCESSABLE_ENTITY, text);
        let order: PurgeOrder<'_> = serde_json::from_slice(body).map_err(|_| {
            wrong(
                "not an order: {\"all\":true}, or \"tenant\" and \"api\" (one or both), or \"tenant\" and \"patient\"",
            )
        })?;
        let snapshot = Arc::clone(&self.live.look().snapshot);
        let tenant = match order.tenant {
            Some(name) => {
                let mut all = snapshot.tenants.all().iter();
                let known = all.find(|tenant| tenant.name.as_str() == name);
                Some(&known.ok_or(wrong("no tenant has this name"))?.name)
            }
            None => None,
        };
        let apis = snapshot.apis.names();
        let api = match order.api {
            Some(name) => Some(apis.iter().position(|api| *api == name).ok_or(wrong("no such API"))?),
            None => None,
        };
        let mut record = self.auditor.as_ref().map(|auditor| {
            let mut record = Box::new(Record::new(Kind::Act, auditor.clock().now()));
            record.act = Some("cache-purge");
            record.who = Some(Who::new(LISTENER));
            record.tenant = tenant.cloned();
            record.api = api.map(|api| apis[api]);
            if let (Some(tenant), Some(number)) = (tenant, order.patient) {
                let patient = Patient::new(Some(number), Some(number));
                record.subject = auditor.tagger().patient(tenant.as_str(), &patient);
            }
            record
        });
        if let Some(auditor) = &self.auditor {
            auditor.ready().map_err(|_| UNRECORDED)?;
        }
        let purged = match (tenant, order.patient) {
            (Some(tenant), Some(number)) => Purged::Patient(tenant.clone(), Zeroizing::new(number.to_owned())),
            (tenant, _) => Purged::Of(tenant.cloned(), api),
        };
        let dropped = match (order.all, tenant, api, order.patient) {
            (true, None, None, None) => self.cache.drop_all(None, None),
            (false, Some(_), None, Some(number)) if !is_number(number) => return Err(wrong(NO_NUMBER)),
            (false, Some(tenant), None, Some(number)) => {
                self.cache.drop_patient(tenant.as_str(), Some(number), Some(number))
            }
            (false, _, _, Some(_)) => {
                return Err(wrong("a patient's number needs \"tenant\", and goes without \"api\""));
            }
            (false, None, None, None) => return Err(wrong("name \"tenant\", \"api\" or \"all\"")),
            (false, tenant, api, None) => self.cache.drop_all(tenant.map(|name| name.as_str()), api),
            (true, ..) => return Err(wrong("\"all\" goes alone")),
        };
        self.log.write(&Event::CachePurged(Purge {
            tenant,
            api: api.map(|api| apis[api]),
            patient: order.patient.is_some(),
            dropped,
        }));
        if let Some(record) = &mut record {
            record.count = Some(dropped as u64);
        }
        Ok((dropped, purged, record))
    }
}

/// What was dropped.
enum Purged {
    /// What there was about a patient, by one number.
    Patient(TenantName, Zeroizing<String>),
    /// All of a tenant, of an API by its position, or of all where there is none.
    Of(Option<TenantName>, Option<usize>),
}

/// Also where it was done, and the record of it could not be kept.
const UNRECORDED: Refusal = Refusal(
    StatusCode::SERVICE_UNAVAILABLE,
    "the audit trail cannot be written, and audit.on_failure = \"refuse\"",
);
const USE_GET: &str = "use GET";

/// A page cannot send this without asking first.
fn need_json(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_json(headers) {
        return Ok(());
    }
    let text = "send Content-Type: application/json";
    Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
