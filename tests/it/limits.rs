//! How much may be asked: quotas of clients and tenants, the doctors' share, the line before the platform.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use serde_json::json;

use crate::authorization::keyed;
use crate::log_fields::checked;
use crate::support::client::{Answer, post};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query_with};

/// Wednesday, 1 January 2025, 00:00 UTC.
const NOW: u64 = 1_735_689_600_000;

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

fn second() -> Account {
    Account::new("900002", "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$", "H0002", "U0002")
}

/// A platform that knows both hospitals.
async fn both() -> Platform {
    Platform::start(PlatformOptions {
        accounts: vec![Account::demo(), second()],
        ..PlatformOptions::default()
    })
    .await
    .unwrap()
}

/// A clock that stands until it is told to move, for gateway and platform.
fn standing(platform: &Platform) -> Clock {
    platform.clock().stand_at(NOW.try_into().unwrap());
    Clock::manual(NOW)
}

/// A list for a doctor (2) or a batch.
async fn studies(gateway: &Gateway, usage: i64) -> Answer {
    gateway
        .query("patientStudies", studies_query_with(json!({"usage": usage})))
        .await
}

async fn report(gateway: &Gateway) -> Answer {
    let body = format!(r#"{{"reportId":"R1","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#);
    gateway.query("patientReportUrl", body).await
}

async fn report_as(gateway: &Gateway, key: &str, app_id: &str) -> Answer {
    let body = format!(r#"{{"reportId":"R1","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}"}}"#);
    let path = format!("/thirdparty/patientReportUrl/{app_id}");
    post(gateway.lan, &path, &[("X-Api-Key", key)], body.as_bytes()).await
}

#[track_caller]
fn assert_over_quota(answer: &Answer, retry_after: &str) {
    assert_eq!((answer.status, answer.code()), (429, 800_201), "{}", answer.text());
    assert_eq!(answer.json()["type"], "/errors/quota-exceeded");
    assert_eq!(answer.header("retry-after"), Some(retry_after));
    assert_eq!(answer.header("x-aimis-origin"), Some("gateway"));
}

#[tokio::test]
async fn a_client_has_its_quota_and_is_told_what_is_left() {
    let platform = platform().await;
    let clock = standing(&platform);
    let gateway = Settings::calling(&platform)
        .clock(clock.clone())
        .with("limits.client", "rate_per_s = 0.5\nburst = 2")
        .client(&keyed("his", "key-one", ""))
        .client(&keyed("batch", "key-two", "limits = { rate_per_s = 0 }"))
        .start();
    let his = || report_as(&gateway, "key-one", "900001");

    for (left, full) in [(1, 2), (0, 4)] {
        let answer = his().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("ratelimit-policy"), Some("\"client\";q=2;w=4"));
        let told = format!("\"client\";r={left};t={full}");
        assert_eq!(answer.header("ratelimit"), Some(&*told));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    clock.advance(Duration::from_millis(500));
    let refused = his().await;

    assert_over_quota(&refused, "2");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"client\";q=2;w=4"));
    assert_eq!(refused.header("ratelimit"), Some("\"client\";r=0;t=2"));
    assert_eq!(platform.request_count(), 2);
    // Who has no quota is told of none.
    let other = report_as(&gateway, "key-two", "900001").await;
    assert_eq!((other.status, other.header("ratelimit")), (200, None));
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(his().await.status, 200);
    let refusals = "aimis_ratelimit_decisions_total{result=\"refused_client\",tenant=\"first-hospital\"}";
    assert_eq!(gateway.metric(refusals).await, Some(1.0));
    let rejected = "aimis_rejected_requests_total{reason=\"rate_limited\"}";
    assert_eq!(gateway.metric(rejected).await, Some(1.0));
    let lines = checked(&gateway.stop());
    let line = lines
        .iter()
        .find(|line| line["error.type"] == "quota-exceeded")
        .unwrap();
    assert_eq!(line["code_class"], "limit");
    assert!(line["error.detail"].as_str().unwrap().contains("limits.client"));
}

#[tokio::test]
async fn a_client_has_a_quota_for_each_api_and_an_old_program_understands() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .clock(standing(&platform))
        .with("limits", "legacy_headers = true")
        .with("limits.api", "rate_per_s = 1\nburst = 1")
        .with("limits.client", "rate_per_s = 10\nburst = 10")
        .with("lan", "status = \"always_200\"")
        .start();

    let first = studies(&gateway, 2).await;
    assert_eq!(first.code(), 0);
    let told = "\"client-api\";r=0;t=1, \"client\";r=9;t=1";
    assert_eq!(first.header("ratelimit"), Some(told));
    let policy = "\"client-api\";q=1;w=1, \"client\";q=10;w=1";
    assert_eq!(first.header("ratelimit-policy"), Some(policy));
    let second = studies(&gateway, 2).await;
    let other = report(&gateway).await;

    // A client that throws away all but 200 gets every header there, too.
    assert_eq!((second.status, second.code()), (200, 800_201));
    assert_eq!(second.header("x-aimis-status"), Some("429"));
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(second.header("ratelimit"), Some("\"client-api\";r=0;t=1"));
    for (name, value) in [("limit", "1"), ("remaining", "0"), ("reset", "1")] {
        assert_eq!(second.header(&format!("x-ratelimit-{name}")), Some(value));
    }
    assert_eq!(other.header("x-aimis-origin"), Some("platform"), "{}", other.text());
}

#[tokio::test]
async fn a_merged_list_weighs_as_much_as_its_parts() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .clock(standing(&platform))
        .with("lan", "merge_study_types = true")
        .with("limits.client", "rate_per_s = 1\nburst = 30")
        .with("limits.weights", "patientStudies = 2")
        .with("limits.tenant", "rate_per_s = 0\nin_flight = 1")
        .start();
    let list = || gateway.query("patientStudies", studies_query_with(json!({"studyType": [0, 1, 2]})));

    let merged = list().await;

    assert_eq!((merged.status, merged.code()), (200, 0));
    assert_eq!(merged.header("ratelimit"), Some("\"client\";r=24;t=6"));
    // Each part took the one place in its turn.
    assert_eq!(platform.request_count(), 3);
    assert_eq!(report(&gateway).await.header("ratelimit"), Some("\"client\";r=23;t=7"));
}

#[tokio::test]
async fn a_tenant_has_its_quota_whoever_asks_and_another_has_its_own() {
    let platform = both().await;
    let clock = standing(&platform);
    let clients = |name, key| keyed(name, key, "tenants = [\"first-hospital\", \"second-hospital\"]");
    let gateway = Settings::calling(&platform)
        .clock(clock.clone())
        .with("limits", "max_wait_ms = 0")
        .with("limits.tenant", "rate_per_s = 1\nburst = 2\nin_flight = 0")
        .tenant("second-hospital", second())
        .of_tenant("limits = { burst = 3 }")
        .client(&clients("his", "key-one"))
        .client(&clients("batch", "key-two"))
        .start();
    assert_eq!(report_as(&gateway, "key-one", "900001").await.status, 200);
    assert_eq!(report_as(&gateway, "key-two", "900001").await.status, 200);

    for key in ["key-one", "key-two"] {
        let refused = report_as(&gateway, key, "900001").await;
        assert_over_quota(&refused, "1");
        assert_eq!(refused.header("ratelimit-policy"), Some("\"tenant\";q=2;w=2"));
        assert_eq!(refused.header("ratelimit"), Some("\"tenant\";r=0;t=1"));
    }

    for _ in 0..3 {
        assert_eq!(report_as(&gateway, "key-one", "900002").await.status, 200);
    }
    assert_over_quota(&report_as(&gateway, "key-one", "900002").await, "1");
    assert_eq!(platform.request_count(), 5);
    clock.advance(Duration::from_secs(1));
    assert_eq!(report_as(&gateway, "key-one", "900001").await.status, 200);
}

#[tokio::test]
async fn a_batch_over_its_quota_leaves_the_doctors_theirs() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .clock(standing(&platform))
        .with("limits", "max_wait_ms = 0")
        .with("limits.tenant", "rate_per_s = 10\nburst = 10\nin_flight = 0")
        .start();

    let mut batches = Vec::new();
    for usage in [0, 1].into_iter().cycle().take(20) {
        batches.push(studies(&gateway, usage).await);
    }

    assert_eq!(batches.iter().filter(|answer| answer.status == 200).count(), 7);
    assert_over_quota(&batches[19], "1");
    assert_eq!(batches[19].header("ratelimit-policy"), Some("\"tenant-batch\";q=7;w=1"));
    assert_eq!(studies(&gateway, 2).await.status, 200);
    assert_eq!(studies(&gateway, 2).await.status, 200);
    assert_eq!(report(&gateway).await.status, 200);
    assert_over_quota(&studies(&gateway, 2).await, "1");
}

#[tokio::test]
async fn a_question_over_the_quota_waits_a_moment_for_its_turn() {
    let platform = platform().await;
    let clock = standing(&platform);
    // The quota goes by a clock that is moved by hand; deadline and patience, which go by the real one, are far.
    let gateway = Settings::calling(&platform)
        .clock(clock.clone())
        .with("platform", "deadline_ms = 50000")
        .with("limits", "max_wait_ms = 50000")
        .with("limits.tenant", "rate_per_s = 5\nburst = 1\nin_flight = 0")
        .start();
    let waiting = async |count| {
        let waiting = "aimis_ratelimit_waiting{tenant=\"first-hospital\"}";
        while gateway.metric(waiting).await != Some(count) {}
        platform.request_count()
    };
    let time = async {
        // The first one has left, and may still be on its way.
        platform.wait_for_requests(1).await;
        assert_eq!(waiting(2.0).await, 1);
        clock.advance(Duration::from_millis(199));
        assert_eq!(waiting(2.0).await, 1);
        clock.advance(Duration::from_millis(1));
        waiting(1.0).await;
        clock.advance(Duration::from_millis(200));
        waiting(0.0).await;
    };

    let (answers, ()) = tokio::join!(
        async { tokio::join!(report(&gateway), report(&gateway), report(&gateway)) },
        time
    );

    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let counted = |result| format!("aimis_ratelimit_decisions_total{{result=\"{result}\",tenant=\"first-hospital\"}}");
    assert_eq!(gateway.metric(&counted("waited")).await, Some(2.0));
    assert_eq!(gateway.metric(&counted("allowed")).await, Some(1.0));
    let waits = "aimis_ratelimit_wait_seconds_count{limit=\"tenant\"}";
    assert_eq!(gateway.metric(waits).await, Some(2.0));
    let lines = checked(&gateway.stop());
    let waited: Vec<f64> = lines
        .iter()
        .filter_map(|line| line.get("limit.wait_s")?.as_f64())
        .collect();
    assert_eq!(waited, [0.2, 0.4]);
}

#[tokio::test]
async fn one_that_waits_for_its_turn_until_its_deadline_was_never_asked() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("platform", "deadline_ms = 500")
        .with("limits", "max_wait_ms = 60000")
        .with("limits.tenant", "rate_per_s = 0.05\nburst = 1\nin_flight = 0")
        .start();
    // Takes what there is, whether or not it is answered in its time.
    report(&gateway).await;
    let asked = platform.request_count();

    let late = report(&gateway).await;

    assert_eq!((late.status, late.code()), (504, 800_302), "{}", late.text());
    assert_eq!(late.json()["type"], "/errors/platform-timeout");
    let told = Some("aimis; error=connection_limit_reached");
    assert_eq!(late.header("proxy-status"), told);
    assert_eq!(platform.request_count(), asked);
    let lines = checked(&gateway.stop());
    let line = lines.iter().rfind(|line| line["event.name"] == "request").unwrap();
    assert_eq!(line["error.type"], "turn_timeout");
    assert!(line["error.detail"].as_str().unwrap().starts_with("not asked"));
}

#[tokio::test]
async fn a_platform_that_says_too_much_is_not_asked_for_that_tenant() {
    let rate = Fault::RetryAfter {
        status: 429,
        seconds: 20,
    };
    let business = |code| Fault::BusinessCode {
        code,
        message: "simulated".to_owned(),
    };
    for (fault, closed) in [(rate, Some(20)), (business(90_003), Some(10)), (business(20_003), None)] {
        let platform = both().await;
        let clock = standing(&platform);
        let gateway = Settings::calling(&platform)
            .clock(clock.clone())
            .tenant("second-hospital", second())
            .start();
        let first = || gateway.query("patientStudies", studies_query_with(json!({})));
        platform.push_fault(fault);
        first().await;
        let asked = platform.request_count();

        let answer = first().await;

        let Some(closed) = closed else {
            assert_eq!(answer.code(), 0, "a limit of something else");
            continue;
        };
        assert_over_quota(&answer, &closed.to_string());
        assert_eq!(answer.header("ratelimit"), None);
        assert_eq!(platform.request_count(), asked);
        let other = studies_query_with(json!({"hospitalId": "H0002", "unionId": "U0002"}));
        let path = "/thirdparty/patientStudies/900002";
        assert_eq!(post(gateway.lan, path, &[], other.as_bytes()).await.code(), 0);
        clock.advance(Duration::from_millis(closed * 1_000 - 1));
        assert_over_quota(&first().await, "1");
        clock.advance(Duration::from_millis(1));
        assert_eq!(first().await.code(), 0);
        let closings = "aimis_ratelimit_closed_total{tenant=\"first-hospital\"}";
        assert_eq!(gateway.metric(closings).await, Some(1.0));
        let lines = checked(&gateway.stop());
        let told: Vec<_> = lines.iter().filter(|line| line["event.name"] == "tap_closed").collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["tenant"], "first-hospital");
        assert_eq!(told[0]["wait_s"].as_f64(), Some(closed as f64));
    }
}

#[tokio::test]
async fn a_platform_that_hangs_keeps_nobody_waiting_beyond_the_deadline() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("platform", "deadline_ms = 500")
        .with("limits.tenant", "rate_per_s = 0\nin_flight = 1")
        .start();
    platform.set_fault(Fault::Hang);
    let all = async { tokio::join!(studies(&gateway, 2), studies(&gateway, 0), report(&gateway)) };

    let answers = tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();

    for answer in [answers.0, answers.1, answers.2] {
        assert_eq!((answer.status, answer.code()), (504, 800_302), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_batch_leaves_the_only_place_in_the_line_to_a_doctor() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("platform", "deadline_ms = 50000")
        .with("limits", "queue = 1")
        .with("limits.tenant", "rate_per_s = 0\nin_flight = 1")
        .start();
    platform.set_fault(Fault::Hang);
    let waiting = "aimis_ratelimit_waiting{tenant=\"first-hospital\"}";
    let batch = async {
        platform.wait_for_requests(1).await;
        studies(&gateway, 0).await
    };
    let doctor = async {
        while gateway.metric(waiting).await != Some(1.0) {}
        studies(&gateway, 2).await
    };

    // Neither of the doctors is answered, so it is the batch that ends.
    let batch = tokio::select! {
        batch = batch => batch,
        answer = report(&gateway) => panic!("{}", answer.text()),
        answer = doctor => panic!("{}", answer.text()),
    };

    assert_eq!((batch.status, batch.code()), (503, 800_202), "{}", batch.text());
    assert_eq!(batch.header("retry-after"), Some("1"));
}
