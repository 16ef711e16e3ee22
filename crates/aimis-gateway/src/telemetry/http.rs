//! The telemetry listener: `/metrics` for Prometheus, probes for Kubernetes, JSON for Zabbix.
//!
//! GET only, no state, nothing of a request but its path and `Accept` is looked at.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::health::Health;
use super::labels::ReadyCheck;
use super::log::{Level, Log};
use super::metrics::Metrics;
use super::openmetrics::{self, OPENMETRICS};
use crate::edge::connection::{Asked, Body};
use crate::edge::guard::HeadFault;

/// Media type of the Prometheus text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What the listener shows.
#[derive(Clone)]
pub struct Telemetry {
    /// Counted things.
    pub metrics: Arc<Metrics>,
    /// State of health.
    pub health: Health,
    /// For its own counters.
    pub log: Log,
}

impl Telemetry {
    /// Answers one request.
    pub fn answer(&self, asked: &Asked) -> Response<Body> {
        let request = match asked {
            Ok(request) => request,
            Err(fault) => {
                let mut refusal = match fault {
                    // A POST, whose length does not matter.
                    HeadFault::NoLength => not_allowed(),
                    fault => response(fault.status(), PLAIN, format!("request refused: {fault}\n")),
                };
                refusal
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                return refusal;
            }
        };
        let known = ["/metrics", "/livez", "/readyz", "/startupz", "/healthz"];
        let path = request.uri().path();
        if !known.contains(&path) {
            return response(
                StatusCode::NOT_FOUND,
                PLAIN,
                format!("not found; here are {}\n", known.join(" ")),
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed();
        }
        match path {
            "/metrics" => {
                self.copy_log_counts();
                if openmetrics::is_wanted(request.headers().get(ACCEPT)) {
                    return response(StatusCode::OK, OPENMETRICS, self.metrics.encode_openmetrics());
                }
                response(StatusCode::OK, TEXT_FORMAT, self.metrics.encode())
            }
            // That this answers is the proof: the loop turns.
            "/livez" => response(StatusCode::OK, PLAIN, "ok\n".to_owned()),
            "/startupz" => verdict(self.health.started(), &self.bad_checks()),
            "/readyz" if self.health.ready() && self.health.is_inbox_away() => response(
                StatusCode::OK,
                PLAIN,
                "ok, but the inbox is out of reach: callbacks are refused\n".to_owned(),
            ),
            "/readyz" => verdict(self.health.ready(), &self.bad_checks()),
            _ => self.healthz(),
        }
    }

    fn bad_checks(&self) -> Vec<&'static str> {
        let bad = ReadyCheck::ALL
            .iter()
            .filter(|check| !self.health.good(**check))
            .map(|c| c.as_str());
        bad.chain(self.health.draining().then_some("draining")).collect()
    }

    fn healthz(&self) -> Response<Body> {
        let checks: serde_json::Map<_, _> = ReadyCheck::ALL
            .iter()
            .map(|c| {
                let away = *c == ReadyCheck::Inbox && self.health.is_inbox_away();
                (c.as_str().to_owned(), json!(self.health.good(*c) && !away))
            })
            .collect();
        let ready = self.health.ready();
        let body = json!({
            "status": if ready { "ok" } else { "unavailable" },
            "version": crate::VERSION,
            "draining": self.health.draining(),
            "checks": checks,
        });
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        response(status, JSON, format!("{body}\n"))
    }

    /// The log counts for itself, since it starts before the metrics; a scrape copies.
    fn copy_log_counts(&self) {
        let mut dropped = 0;
        for level in Level::ALL {
            let (written, lost) = self.log.counts(*level);
            dropped = lost;
            let counter = self.metrics.log_records(*level);
            counter.inc_by(written.saturating_sub(counter.get()));
        }
        let counter = &self.metrics.log_dropped;
        counter.inc_by(dropped.saturating_sub(counter.get()));
    }
}

fn verdict(good: bool, bad_checks: &[&str]) -> Response<Body> {
    if good {
        response(StatusCode::OK, PLAIN, "ok\n".to_owned())
    } else {
        let text = format!("not ready: {}\n", bad_checks.join(", "));
        response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text)
    }
}

fn not_allowed() -> Response<Body> {
    let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET\n".to_owned());
    refusal
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refusal
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
