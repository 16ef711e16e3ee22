//! What became of a request: one span for it, and one in it for each attempt at the platform, so that the platform's
//! time stands apart from ours.

use super::{Kind, Now, Span, Trace, Tracer};
use crate::clock::Moment;
use crate::config::BaseUrl;
use crate::telemetry::exchange::{Exchange, FORWARD_ROUTE, PULL_ROUTE};
use crate::telemetry::labels::{AttemptResult, CodeClass, NO_API};

/// One attempt at the platform.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// When it was signed.
    pub begun: Moment,
    /// When its answer was there, or it was known that there is none.
    pub ended: Moment,
    /// What came of it.
    pub result: AttemptResult,
    /// Status of the answer.
    pub status: Option<u16>,
    /// Business code of the answer.
    pub code: Option<i64>,
}

impl Tracer {
    /// Queues the spans of a request that is over by now, if its trace is exported.
    pub fn request(&self, exchange: &Exchange, platform: &BaseUrl) {
        let Some(trace) = exchange.trace.filter(|trace| trace.sampled) else {
            return;
        };
        let now = self.now();
        for (index, tried) in exchange.tries.iter().enumerate() {
            self.record(attempt(self.child(trace), now, exchange, *tried, index, platform));
        }
        self.record(server(trace, now, exchange));
    }

    fn child(&self, trace: Trace) -> Trace {
        Trace {
            parent: Some(trace.span),
            span: self.span_id(),
            ..trace
        }
    }
}

fn server(trace: Trace, now: Now, exchange: &Exchange) -> Span {
    let span = Span {
        trace,
        kind: Kind::Server,
        name: name(exchange.method, exchange.route()),
        start: now.at(exchange.began),
        end: now.wall,
        attributes: Vec::with_capacity(20),
        failed: exchange.status >= 500
            || matches!(
                exchange.class,
                CodeClass::Auth | CodeClass::Platform | CodeClass::Transport
            ),
    };
    span.with("http.request.method", exchange.method)
        .maybe("http.route", exchange.route())
        .with("http.response.status_code", exchange.status)
        .with("http.request.body.size", exchange.request_size)
        .with("http.response.body.size", exchange.reply_size)
        .with("request.id", exchange.request_id)
        .maybe("tenant", exchange.tenant.as_ref().map(|(_, name)| name.clone()))
        .maybe("client.id", exchange.client.clone())
        .with("api", exchange.api.map_or(NO_API, |(_, name)| name))
        .with("origin", exchange.origin.as_str())
        .maybe(
            "cache.result",
            exchange.passage.map(|passage| passage.result().as_str()),
        )
        .with("code_class", exchange.class.as_str())
        .maybe("business.code", exchange.short_code())
        .with("attempts", exchange.attempts)
        .with("upstream.duration_s", exchange.upstream_time)
        .with("limit.wait_s", exchange.limit_time)
        .with("caller.wait_s", exchange.caller_time)
        .maybe("error.type", exchange.error)
}

fn attempt(trace: Trace, now: Now, exchange: &Exchange, tried: Tried, index: usize, platform: &BaseUrl) -> Span {
    let answered = matches!(tried.result, AttemptResult::Ok | AttemptResult::Business);
    let span = Span {
        trace,
        kind: Kind::Client,
        name: name("POST", Some(FORWARD_ROUTE)),
        start: now.at(tried.begun),
        end: now.at(tried.ended),
        attributes: Vec::with_capacity(10),
        failed: !answered || tried.status.is_some_and(|status| status >= 400),
    };
    span.with("http.request.method", "POST")
        .with("url.template", FORWARD_ROUTE)
        .with("server.address", platform.host.clone())
        .with("server.port", platform.port)
        .with("api", exchange.api.map_or(NO_API, |(_, name)| name))
        .with("result", tried.result.as_str())
        .maybe("http.response.status_code", tried.status)
        .maybe(
            "business.code",
            tried.code.filter(|code| code.unsigned_abs() < 1_000_000),
        )
        .maybe("http.request.resend_count", (index > 0).then_some(index))
        .maybe("error.type", (!answered).then_some(tried.result.as_str()))
}

/// `{method} {route}`, as OpenTelemetry's HTTP conventions have it; the method alone where the route is not known.
fn name(method: &'static str, route: Option<&'static str>) -> &'static str {
    match (method, route) {
        ("POST", Some(FORWARD_ROUTE)) => "POST /thirdparty/{api}/{appId}",
        ("OPTIONS", Some(FORWARD_ROUTE)) => "OPTIONS /thirdparty/{api}/{appId}",
        ("GET", Some(PULL_ROUTE)) => "GET /inbox/v1/{tenant}/events",
        ("POST", Some(PULL_ROUTE)) => "POST /inbox/v1/{tenant}/events",
        ("_OTHER", _) => "HTTP",
        (method, _) => method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_called_after_its_method_and_route() {
        for route in [FORWARD_ROUTE, PULL_ROUTE] {
            assert_eq!(name("POST", Some(route)), format!("POST {route}"));
        }
        assert_eq!(name("GET", Some(PULL_ROUTE)), format!("GET {PULL_ROUTE}"));
        assert_eq!(name("DELETE", Some(FORWARD_ROUTE)), "DELETE");
        assert_eq!(name("_OTHER", None), "HTTP");
    }
}
