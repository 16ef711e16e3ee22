//! A platform on a bad day: what is asked again and how often, when it is left alone, whose clock is right.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Fault, Platform, PlatformOptions};

use crate::log_fields::checked;
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query};

/// Wednesday, 1 January 2025, 00:00 UTC.
const NOW: u64 = 1_735_689_600_000;

/// A body for each API.
fn queries() -> [(&'static str, String); 3] {
    let who = format!(r#""phoneNum":"{PHONE}","idNum":"{ID_NUMBER}""#);
    [
        ("patientStudies", studies_query()),
        ("patientConsultations", format!(r#"{{{who},"hisId":"HIS1"}}"#)),
        (
            "patientReportUrl",
            format!(r#"{{"reportId":"RS1001",{who},"hospitalId":"H0001"}}"#),
        ),
    ]
}

/// A question about another patient each time.
async fn ask_about(gateway: &Gateway, patient: usize) -> Answer {
    let body =
        format!(r#"{{"reportId":"R{patient}","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#);
    gateway.query("patientReportUrl", body).await
}

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

fn business(code: i64) -> Fault {
    Fault::BusinessCode {
        code,
        message: "simulated".to_owned(),
    }
}

/// What becomes of a fault that does not go away.
struct Row {
    fault: Fault,
    status: u16,
    code: i64,
    /// Attempts, as the platform saw them.
    attempts: usize,
    /// The error type in `Proxy-Status`, and the status that came if it is not 200; none if the answer is the
    /// platform's.
    proxy: Option<&'static str>,
}

const fn row(fault: Fault, status: u16, code: i64, attempts: usize, proxy: Option<&'static str>) -> Row {
    Row {
        fault,
        status,
        code,
        attempts,
        proxy,
    }
}

fn faults() -> Vec<Row> {
    let status = |code, envelope| Fault::Status { code, envelope };
    vec![
        row(Fault::ResetBeforeHead, 502, 800_303, 3, Some("connection_terminated")),
        row(Fault::ResetWithinHead, 502, 800_303, 3, Some("connection_terminated")),
        row(
            Fault::ResetWithinBody,
            502,
            800_303,
            1,
            Some("http_response_incomplete"),
        ),
        row(Fault::HalfBody, 502, 800_303, 1, Some("http_response_incomplete")),
        row(Fault::Garbage, 502, 800_303, 1, Some("http_protocol_error")),
        row(Fault::NotJson, 502, 800_303, 1, Some("http_protocol_error")),
        row(Fault::EmptyBody, 502, 800_303, 1, Some("http_protocol_error")),
        row(
            Fault::HtmlPage { status: 200 },
            502,
            800_303,
            1,
            Some("http_protocol_error"),
        ),
        row(
            Fault::HtmlPage { status: 503 },
            502,
            800_303,
            3,
            Some("http_protocol_error; received-status=503"),
        ),
        row(
            status(502, false),
            502,
            800_303,
            3,
            Some("http_protocol_error; received-status=502"),
        ),
        row(
            status(500, false),
            502,
            800_303,
            1,
            Some("http_protocol_error; received-status=500"),
        ),
        row(
            status(404, false),
            502,
            800_303,
            1,
            Some("http_protocol_error; received-status=404"),
        ),
        row(
            Fault::Oversized { bytes: 9 << 20 },
            502,
            800_303,
            1,
            Some("http_response_body_size"),
        ),
        row(Fault::Hang, 504, 800_302, 1, Some("http_response_timeout")),
        row(
            Fault::Latency { ms: 60_000 },
            504,
            800_302,
            1,
            Some("http_response_timeout"),
        ),
        row(
            Fault::Drip {
                bytes: 1,
                every_ms: 60_000,
            },
            504,
            800_302,
            1,
            Some("http_response_timeout"),
        ),
        // The rest never comes, and the connection stays.
        row(
            Fault::WrongContentLength { delta: 10 },
            504,
            800_302,
            1,
            Some("http_response_timeout"),
        ),
        // What is announced is cut JSON.
        row(
            Fault::WrongContentLength { delta: -10 },
            502,
            800_303,
            1,
            Some("http_protocol_error"),
        ),
        row(
            Fault::Together {
                faults: vec![Fault::Latency { ms: 1 }, Fault::ResetBeforeHead],
            },
            502,
            800_303,
            3,
            Some("connection_terminated"),
        ),
        // Nothing that a caller would have to know of.
        row(Fault::None, 200, 0, 1, None),
        row(Fault::Latency { ms: 1 }, 200, 0, 1, None),
        row(Fault::Drip { bytes: 7, every_ms: 0 }, 200, 0, 1, None),
        row(Fault::Chunked, 200, 0, 1, None),
        row(Fault::CloseAfter, 200, 0, 1, None),
        row(Fault::SilentClose, 200, 0, 1, None),
        // Longer than what is left of the deadline: not waited for.
        row(
            Fault::RetryAfter {
                status: 503,
                seconds: 60,
            },
            502,
            800_303,
            1,
            Some("http_protocol_error; received-status=503"),
        ),
        row(
            Fault::RetryAfter {
                status: 429,
                seconds: 0,
            },
            429,
            800_201,
            1,
            Some("http_protocol_error; received-status=429"),
        ),
        // The platform's own words, relayed as they are.
        row(status(502, true), 502, 1, 3, None),
        row(status(503, true), 503, 1, 3, None),
        row(status(504, true), 504, 1, 3, None),
        row(status(500, true), 500, 1, 2, None),
        row(business(2), 200, 2, 2, None),
        row(business(100_002), 200, 100_002, 2, None),
        row(business(100_004), 200, 100_004, 1, None),
        row(business(20_031), 200, 20_031, 1, None),
        row(business(90_003), 200, 90_003, 1, None),
        row(business(4711), 200, 4711, 1, None),
        // Our clock is right, so signing anew would help nobody.
        row(business(90_001), 200, 90_001, 1, None),
    ]
}

/// A fault that is added to the simulator has to be added to the table; the compiler tells.
fn name(fault: &Fault) -> &'static str {
    match fault {
        Fault::None => "none",
        Fault::Latency { .. } => "latency",
        Fault::Drip { .. } => "drip",
        Fault::Status { .. } => "status",
        Fault::BusinessCode { .. } => "business_code",
        Fault::ResetBeforeHead => "reset_before_head",
        Fault::ResetWithinHead => "reset_within_head",
        Fault::ResetWithinBody => "reset_within_body",
        Fault::HalfBody => "half_body",
        Fault::Garbage => "garbage",
        Fault::HtmlPage { .. } => "html_page",
        Fault::Oversized { .. } => "oversized",
        Fault::WrongContentLength { .. } => "wrong_content_length",
        Fault::NotJson => "not_json",
        Fault::EmptyBody => "empty_body",
        Fault::Chunked => "chunked",
        Fault::CloseAfter => "close_after",
        Fault::SilentClose => "silent_close",
        Fault::Hang => "hang",
        Fault::RetryAfter { .. } => "retry_after",
        Fault::Together { .. } => "together",
    }
}

#[test]
fn every_kind_of_fault_is_in_the_table() {
    let named: std::collections::BTreeSet<_> = faults().iter().map(|row| name(&row.fault)).collect();
    assert_eq!(named.len(), 21, "{named:?}");
}

#[tokio::test]
async fn each_fault_has_its_answer_and_its_number_of_attempts() {
    for (api, body) in queries() {
        for row in faults() {
            let platform = platform().await;
            // A gateway each, since a budget is a budget; its deadline is out of reach but where it is the point.
            let deadline = if row.code == 800_302 { 300 } else { 50_000 };
            let gateway = Settings::calling(&platform)
                .with("platform", "retry_base_ms = 1")
                .with("platform", &format!("deadline_ms = {deadline}"))
                .start();
            platform.set_fault(row.fault.clone());

            // Soon after the deadline of those that it ends, long before that of the others.
            let bound = Duration::from_secs(if row.code == 800_302 { 5 } else { 40 });
            let answer = tokio::time::timeout(bound, gateway.query(api, &body)).await;

            let answer = answer.unwrap_or_else(|_| panic!("{api} {:?}: no answer", row.fault));
            let what = format!("{api} {:?}: {} {}", row.fault, answer.status, answer.text());
            assert_eq!((answer.status, answer.code()), (row.status, row.code), "{what}");
            let requests = platform.requests();
            assert_eq!(requests.len(), row.attempts, "{what}");
            let proxy = row.proxy.map(|error| format!("aimis; error={error}"));
            assert_eq!(answer.header("proxy-status"), proxy.as_deref(), "{what}");
            if row.proxy.is_none() {
                assert_eq!(answer.body, requests.last().unwrap().reply, "{what}");
            }
            // Each attempt was signed anew, later than the one before.
            let signed = |verdict: i64| verdict < 90_000;
            assert!(
                requests.iter().all(|request| request.verdict.is_some_and(signed)),
                "{what}"
            );
            let times: Vec<_> = requests.iter().map(|request| request.header("timestamp")).collect();
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{what}: {times:?}");
        }
    }
}

#[tokio::test]
async fn the_status_of_what_is_no_answer_is_told_to_everybody() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform).with("platform", "max_retries = 0").start();
    let told = |status, seconds| Fault::RetryAfter { status, seconds };

    platform.push_fault(told(503, 60));
    let away = gateway.studies().await;
    platform.push_fault(Fault::Status {
        code: 403,
        envelope: false,
    });
    let forbidden = gateway.studies().await;
    platform.push_fault(told(429, 17));
    let too_much = gateway.studies().await;
    let refused = gateway.studies().await;

    assert_eq!((away.status, away.code()), (502, 800_303));
    assert_eq!(away.header("retry-after"), Some("60"));
    assert!(away.text().contains("503"), "{}", away.text());
    assert_eq!((forbidden.status, forbidden.header("retry-after")), (502, None));
    assert_eq!((too_much.status, too_much.code()), (429, 800_201));
    assert_eq!(too_much.header("retry-after"), Some("17"));
    assert_eq!((refused.status, refused.code()), (429, 800_201));
    assert_eq!(platform.request_count(), 3);
    let attempts = "aimis_upstream_attempts_total{api=\"patientStudies\",result=\"http\"}";
    assert_eq!(gateway.metric(attempts).await, Some(3.0));
    let lines = checked(&gateway.stop());
    let statuses: Vec<_> = lines
        .iter()
        .filter_map(|line| line["upstream.status_code"].as_u64())
        .collect();
    assert_eq!(statuses, [503, 403, 429]);
}

#[tokio::test]
async fn a_fault_that_passes_is_never_seen() {
    let faults = [
        (Fault::ResetBeforeHead, "reset"),
        (Fault::HtmlPage { status: 502 }, "status"),
        (
            Fault::RetryAfter {
                status: 503,
                seconds: 0,
            },
            "status",
        ),
        (business(100_003), "code"),
    ];
    for (fault, reason) in faults {
        let platform = platform().await;
        let gateway = Settings::calling(&platform)
            .with("platform", "retry_base_ms = 1")
            .start();
        platform.push_fault(fault.clone());

        let answer = gateway.studies().await;

        assert_eq!((answer.status, answer.code()), (200, 0), "{fault:?}");
        assert_eq!(platform.request_count(), 2, "{fault:?}");
        let series = format!("aimis_upstream_retries_total{{reason=\"{reason}\"}}");
        assert_eq!(gateway.metric(&series).await, Some(1.0), "{fault:?}");
    }
}

#[tokio::test]
async fn retries_are_a_share_of_the_requests() {
    let platform = platform().await;
    // A clock that stands still: one window of the budget for all.
    let gateway = Settings::calling(&platform)
        .clock(platform_clock(&platform))
        .with("platform", "retry_base_ms = 0")
        .start();
    platform.set_fault(Fault::Status {
        code: 503,
        envelope: true,
    });

    for _ in 0..40 {
        assert_eq!(gateway.studies().await.status, 503);
    }

    // 20 % of 40.
    assert_eq!(platform.request_count(), 40 + 8);
    while gateway.metric("aimis_upstream_retry_budget_ratio").await != Some(0.0) {}
}

/// Stops the platform's clock, and gives the gateway one that agrees with it and is moved by hand.
fn platform_clock(platform: &Platform) -> Clock {
    platform.clock().stand_at(NOW.try_into().unwrap());
    Clock::manual(NOW)
}

#[tokio::test]
async fn a_platform_that_fails_is_left_alone_and_tried_again() {
    let platform = platform().await;
    let clock = platform_clock(&platform);
    let gateway = Settings::calling(&platform)
        .clock(clock.clone())
        .with("platform", "max_retries = 0")
        .start();
    let state = |state: &str| {
        let series = format!("aimis_breaker_state{{api=\"patientReportUrl\",state=\"{state}\"}}");
        let gateway = &gateway;
        async move { gateway.metric(&series).await }
    };
    assert_eq!(state("closed").await, Some(1.0));
    platform.set_fault(Fault::ResetBeforeHead);
    // One patient alone changes nothing.
    for _ in 0..30 {
        assert_eq!(ask_about(&gateway, 0).await.code(), 800_303);
    }
    for patient in 1..5 {
        assert_eq!(ask_about(&gateway, patient).await.code(), 800_303);
    }
    let asked = platform.request_count();

    let answer = ask_about(&gateway, 6).await;

    assert_eq!((answer.status, answer.code()), (503, 800_304));
    assert_eq!(answer.json()["type"], "/errors/platform-suspended");
    assert_eq!(
        answer.header("proxy-status"),
        Some("aimis; error=destination_unavailable")
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((30..=37).contains(&wait), "{wait}");
    assert_eq!(platform.request_count(), asked);
    assert_eq!((state("open").await, state("closed").await), (Some(1.0), Some(0.0)));
    // Other APIs go on.
    platform.clear_faults();
    assert_eq!(gateway.studies().await.code(), 0);

    // One question tries; while it is on its way others wait.
    clock.advance(Duration::from_secs(wait));
    platform.push_fault(Fault::Latency { ms: 2000 });
    let asked = platform.request_count();
    let meanwhile = async {
        platform.wait_for_requests(asked + 1).await;
        (ask_about(&gateway, 8).await.code(), state("half_open").await)
    };
    let (probe, meanwhile) = tokio::join!(ask_about(&gateway, 7), meanwhile);
    assert_eq!(meanwhile, (800_304, Some(1.0)));
    assert!(probe.code() < 800_000, "{}", probe.text());
    assert!(ask_about(&gateway, 9).await.code() < 800_000);
    assert_eq!(state("closed").await, Some(1.0));
    let lines = checked(&gateway.stop());
    let told = |event: &str| lines.iter().filter(|line| line["event.name"] == event).count();
    assert_eq!((told("breaker_opened"), told("breaker_closed")), (1, 1));
}

#[tokio::test]
async fn what_an_open_breaker_refuses_costs_nothing_of_the_quota() {
    let platform = platform().await;
    let clock = platform_clock(&platform);
    let gateway = Settings::calling(&platform)
        .clock(clock.clone())
        .with("platform", "max_retries = 0")
        .with("limits", "max_wait_ms = 0")
        .with("limits.tenant", "rate_per_s = 0.001\nburst = 6\nin_flight = 1")
        .start();
    platform.set_fault(Fault::ResetBeforeHead);
    for patient in 0..5 {
        assert_eq!(ask_about(&gateway, patient).await.code(), 800_303);
    }
    platform.clear_faults();

    let mut wait = 0;
    for patient in 5..15 {
        let refused = ask_about(&gateway, patient).await;
        assert_eq!((refused.status, refused.code()), (503, 800_304), "{patient}");
        wait = refused.header("retry-after").unwrap().parse().unwrap();
    }

    // The last of the quota is for the one that tries.
    clock.advance(Duration::from_secs(wait));
    assert!(ask_about(&gateway, 15).await.code() < 800_000);
    assert_eq!(ask_about(&gateway, 16).await.code(), 800_201);
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_and_its_signatures_are_repeated_by_the_platforms() {
    let platform = platform().await;
    let clock = platform_clock(&platform);
    // Ten minutes fast where five are accepted.
    let gateway = Settings::calling(&platform)
        .clock(clock.shifted(600_000))
        .with("clock", "max_correction_ms = 3600000")
        .start();

    for round in 1..=4 {
        let answer = gateway.studies().await;
        assert_eq!((answer.status, answer.code()), (200, 0));
        assert_eq!(answer.header("x-aimis-warnings"), Some("clock=599s-fast"));
        assert_eq!(platform.request_count(), 2 * round);
        clock.advance(Duration::from_secs(2));
        platform.clock().stand_at(i64::try_from(NOW + round * 2000).unwrap());
    }
    let offset = gateway.metric("aimis_upstream_clock_offset_seconds").await.unwrap();
    assert!((599.0..=601.0).contains(&offset), "{offset}");
    assert_eq!(
        gateway.metric("aimis_upstream_retries_total{reason=\"resign\"}").await,
        Some(4.0)
    );
    let lines = checked(&gateway.stop());
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["event.name"] == "clock_offset")
        .collect();
    assert_eq!(told.len(), 1, "once an episode");
    assert_eq!(told[0]["severity_text"], "ERROR");
    let requests = lines.iter().filter(|line| line["event.name"] == "request");
    assert!(requests.clone().count() == 4);
    for request in requests {
        let detail = request["error.detail"].as_str().unwrap();
        assert!(detail.contains("ahead of the platform's"), "{detail}");
    }
}

#[tokio::test]
async fn auto_correct_signs_by_the_platforms_clock() {
    let platform = platform().await;
    let clock = platform_clock(&platform);
    let gateway = Settings::calling(&platform)
        .clock(clock.shifted(-200_000))
        .with("clock", "auto_correct = true")
        .start();

    for round in 0..5 {
        assert_eq!(gateway.studies().await.code(), 0);
        clock.advance(Duration::from_secs(2));
        platform
            .clock()
            .stand_at(i64::try_from(NOW + (round + 1) * 2000).unwrap());
    }

    let requests = platform.requests();
    let off = |index: usize| {
        let timestamp: i64 = requests[index].header("timestamp").unwrap().parse().unwrap();
        timestamp - requests[index].received_at_ms
    };
    assert!((-200_100..=-199_900).contains(&off(0)), "{}", off(0));
    assert!((-1_000..=1_000).contains(&off(4)), "{}", off(4));
}

#[tokio::test]
async fn a_clock_farther_off_than_may_be_corrected_leaves_the_platforms_answer() {
    let platform = platform().await;
    let clock = platform_clock(&platform);
    let gateway = Settings::calling(&platform).clock(clock.shifted(-7_200_000)).start();

    let answer = gateway.studies().await;

    let request = platform.only_request();
    assert_eq!(answer.body, request.reply);
    assert_eq!(answer.header("x-aimis-warnings"), Some("clock=7200s-slow"));
}
