//! Traces: what collectors of others make of them, and what becomes of requests while a collector is in trouble.

mod sinks;
mod trouble;

use aimis_simulator::{Callback, Fault, Platform, PlatformOptions};
use serde_json::Value;

use crate::delivery::bed::{Bed, arrived, call_back, his};
use crate::support::client::{self, request};
use crate::support::collector::{Collector, Manner};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, PHONE, Settings, studies_query};
use sinks::{Rotel, Tap};

const PATH: &str = "/thirdparty/patientStudies/900001";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Traces of `settings` go to `endpoint`, at once.
fn traced(settings: Settings, endpoint: &str) -> Settings {
    settings
        .with("traces", &format!("endpoint = \"{endpoint}\""))
        .with("traces", "delay_ms = 10")
}

/// Asks as a caller does that has a trace of its own.
async fn ask(gateway: &Gateway, flags: &str) -> client::Answer {
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [("traceparent", parent.as_str()), ("X-Request-Id", "his-42")];
    client::post(gateway.lan, PATH, &headers, studies_query().as_bytes()).await
}

/// An attribute of a span as oteltap prints it.
fn attribute<'s>(span: &'s Value, name: &str) -> &'s Value {
    let found = span["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["key"] == name);
    let value = found.map_or(&Value::Null, |one| &one["value"]);
    value
        .as_object()
        .and_then(|value| value.values().next())
        .unwrap_or(&Value::Null)
}

fn nanoseconds(span: &Value, name: &str) -> u64 {
    span[name].as_str().unwrap().parse().unwrap()
}

fn line_of(log: &str, event: &str) -> Value {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines = lines.filter(|line| line["event.name"] == event);
    lines.next().unwrap_or_else(|| panic!("no {event} in {log}"))
}

#[tokio::test]
async fn a_collector_gets_a_request_with_its_attempts_and_the_platform_learns_nothing() {
    let tap = Tap::start();
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = traced(Settings::calling(&platform), &tap.endpoint()).start();
    platform.push_fault(Fault::Status {
        code: 503,
        envelope: false,
    });

    assert_eq!(ask(&gateway, "01").await.status, 200);
    let spans = tokio::task::spawn_blocking(move || tap.spans(3)).await.unwrap();
    let log = gateway.stop();

    let server = spans
        .iter()
        .find(|span| span["parentSpanId"] == CALLER)
        .expect("the caller's part");
    assert_eq!(server["name"], "POST /thirdparty/{api}/{appId}");
    assert_eq!((&server["traceId"], &server["kind"]), (&TRACE.into(), &2.into()));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/thirdparty/{api}/{appId}"),
        ("request.id", "his-42"),
        ("tenant", "first-hospital"),
        ("api", "patientStudies"),
        ("origin", "platform"),
        ("cache.result", "bypass"),
        ("code_class", "ok"),
    ] {
        assert_eq!(attribute(server, name), value, "{name}");
    }
    for (name, value) in [
        ("http.response.status_code", "200"),
        ("business.code", "0"),
        ("attempts", "2"),
    ] {
        assert_eq!(attribute(server, name), value, "{name}");
    }
    let mut attempts: Vec<&Value> = spans
        .iter()
        .filter(|span| span["parentSpanId"] == server["spanId"])
        .collect();
    attempts.sort_by_key(|span| nanoseconds(span, "startTimeUnixNano"));
    let [first, second] = attempts[..] else {
        panic!("{spans:#?}")
    };
    let mut before = nanoseconds(server, "startTimeUnixNano");
    for attempt in [first, second] {
        assert_eq!((&attempt["kind"], &attempt["traceId"]), (&3.into(), &TRACE.into()));
        let (start, end) = (
            nanoseconds(attempt, "startTimeUnixNano"),
            nanoseconds(attempt, "endTimeUnixNano"),
        );
        assert!(before <= start && start <= end, "{before} {start} {end}");
        before = end;
    }
    assert!(before <= nanoseconds(server, "endTimeUnixNano"));
    assert_eq!(
        (attribute(first, "result"), attribute(second, "result")),
        (&"http".into(), &"ok".into())
    );
    assert_eq!(attribute(first, "http.response.status_code"), "503");
    assert_eq!((&first["status"]["code"], &second["status"]), (&2.into(), &Value::Null));
    assert_eq!(attribute(second, "http.request.resend_count"), "1");

    let line = line_of(&log, "request");
    assert_eq!(
        (&line["trace_id"], &line["span_id"]),
        (&server["traceId"], &server["spanId"])
    );
    for sent in platform.requests() {
        assert!(
            !sent.headers.iter().any(|(name, _)| name.starts_with("trace")),
            "{:?}",
            sent.headers
        );
    }
}

#[tokio::test]
async fn another_collector_reads_the_same() {
    let rotel = Rotel::start();
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let resource = "service_name = \"imaging\"\nresource_attributes = \"deployment.environment.name=test\"";
    let gateway = traced(Settings::calling(&platform), &rotel.endpoint())
        .with("traces", resource)
        .start();

    ask(&gateway, "01").await;

    let told = tokio::task::spawn_blocking(move || {
        [
            "service.name: Str(imaging)",
            "deployment.environment.name: Str(test)",
            "Name           : POST /thirdparty/{api}/{appId}",
            "Kind           : SPAN_KIND_CLIENT",
            "Kind           : SPAN_KIND_SERVER",
            "tenant: Str(first-hospital)",
            "attempts: Int(1)",
        ]
        .map(|wanted| rotel.tells(wanted))
    });
    assert!(told.await.unwrap().iter().all(|line| !line.is_empty()));
}

#[tokio::test]
async fn a_callback_and_its_deliveries_are_one_trace_and_the_his_can_go_on_with_it() {
    let tap = Tap::start();
    let (bed, his) = (Bed::new().await, his().await);
    his.push_fault(Fault::Status {
        code: 503,
        envelope: false,
    });
    let gateway = traced(bed.patient(&his.url()), &tap.endpoint()).start();

    call_back(&gateway, &Callback::demo()).await;
    arrived(&his, 2).await;
    let spans = tokio::task::spawn_blocking(move || tap.spans(3)).await.unwrap();
    let log = gateway.stop();

    let event = his.deliveries()[0].header("webhook-id").unwrap().to_owned();
    assert!(
        spans
            .iter()
            .all(|span| event == format!("evt_{}", span["traceId"].as_str().unwrap()))
    );
    assert!(spans.iter().all(|span| attribute(span, "event.id") == event.as_str()));
    let callback = spans
        .iter()
        .find(|span| span["name"] == "POST /callback/{tenant}")
        .unwrap();
    assert_eq!((&callback["kind"], &callback["parentSpanId"]), (&2.into(), &"".into()));
    assert_eq!(attribute(callback, "result"), "accepted");
    let deliveries: Vec<&Value> = spans
        .iter()
        .filter(|span| span["parentSpanId"] == callback["spanId"])
        .collect();
    assert_eq!(deliveries.len(), 2);
    for (index, (span, result)) in deliveries.iter().zip(["retry", "ok"]).enumerate() {
        assert_eq!((&span["kind"], attribute(span, "result")), (&3.into(), &result.into()));
        let seen = his.deliveries()[index].header("traceparent").unwrap().to_owned();
        let expected = format!(
            "00-{}-{}-01",
            span["traceId"].as_str().unwrap(),
            span["spanId"].as_str().unwrap()
        );
        assert_eq!(seen, expected);
    }
    assert_eq!(line_of(&log, "callback")["span_id"], callback["spanId"]);
    assert_eq!(line_of(&log, "delivered")["span_id"], deliveries[1]["spanId"]);
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_logged_and_recorded_and_not_exported() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let (collector, directory) = (Collector::start(Manner::Takes), Directory::new());
    let settings = Settings::calling(&platform).audited(&directory);
    let gateway = traced(settings, &collector.endpoint()).start();

    ask(&gateway, "00").await;
    let log = gateway.stop();

    assert_eq!(line_of(&log, "request")["trace_id"], TRACE);
    assert_eq!(collector.requests().len(), 0);
    let files = std::fs::read_dir(directory.path().join("audit")).unwrap();
    let trail = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect::<Vec<_>>();
    let trail = String::from_utf8_lossy(&trail.concat()).into_owned();
    assert!(trail.contains(&format!("\"trace\":\"{TRACE}\"")), "{trail}");
}

#[tokio::test]
async fn nothing_is_traced_without_a_collector() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    ask(&gateway, "01").await;
    assert_eq!(
        gateway.metric("aimis_trace_spans_total{result=\"dropped\"}").await,
        Some(0.0)
    );
    let log = gateway.stop();

    assert!(!log.contains("trace_id"), "{log}");
}

#[tokio::test]
async fn an_exemplar_leads_to_the_trace_where_there_is_one() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let collector = Collector::start(Manner::Takes);
    let gateway = traced(Settings::calling(&platform), &collector.endpoint()).start();

    ask(&gateway, "01").await;
    let asked = request(
        "GET",
        "/metrics",
        &[("Accept", "application/openmetrics-text;version=1.0.0")],
        b"",
    );
    let text = client::exchange(gateway.telemetry, &asked).await.unwrap().text();

    assert!(text.contains(&format!("# {{trace_id=\"{TRACE}\"}} 0.")), "{text}");
    assert!(!text.contains("request_id"), "{text}");
}

#[tokio::test]
async fn a_persons_number_in_place_of_an_id_begins_a_trace_of_its_own() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let collector = Collector::start(Manner::Takes);
    let gateway = traced(Settings::calling(&platform), &collector.endpoint()).start();

    let trace = format!("{PHONE:0>32}");
    let headers = [("traceparent", format!("00-{trace}-{PHONE:0>16}-01"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    client::post(gateway.lan, PATH, &headers, studies_query().as_bytes()).await;
    let log = gateway.stop();

    let line = line_of(&log, "request");
    assert!(line["trace_id"].is_string() && line["trace_id"] != trace.as_str());
    assert!(!log.contains(PHONE));
    let exported = collector.requests().concat();
    assert!(!exported.windows(PHONE.len()).any(|window| window == PHONE.as_bytes()));
    let half = [0x01, 0x38, 0x00, 0x13, 0x80, 0x00];
    assert!(!exported.windows(half.len()).any(|window| window == half));
}
