//! Emptiness that may mean something: an empty answer to a doubtful number, and a tenant that suddenly finds nobody.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Canned, Fault, PATIENT_STUDIES, Platform, PlatformOptions};
use serde_json::json;

use crate::log_fields::checked;
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, Settings, studies_query_with};

const SUSPICIOUS: &str = "aimis_suspicious_empty_answers_total{tenant=\"first-hospital\"}";
const EMPTY: &str = "aimis_empty_answers_total{tenant=\"first-hospital\"}";
const LOOKUPS: &str = "aimis_lookup_answers_total{tenant=\"first-hospital\"}";
const JUMPS: &str = "aimis_empty_share_jumps_total{tenant=\"first-hospital\"}";
const COMPARED: &str = "aimis_empty_share_compared_timestamp_seconds";
const WARNING: &str = "reply=empty-after-failed-check";

/// The vectors' number with its check character mistyped, and a telephone number that is too short.
const MISTYPED_ID: &str = "110101190001010091";
const MISTYPED_PHONE: &str = "1380013800";

fn warned(answer: &Answer) -> bool {
    answer
        .header("x-aimis-warnings")
        .is_some_and(|list| list.split(", ").any(|item| item == WARNING))
}

async fn studies_with(gateway: &Gateway, members: serde_json::Value) -> Answer {
    gateway.query(PATIENT_STUDIES, studies_query_with(members)).await
}

#[tokio::test]
async fn p9_an_empty_answer_to_a_mistyped_number_is_suspicious() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    let mistyped = studies_with(&gateway, json!({ "idNum": MISTYPED_ID })).await;
    platform.set_empty_is_100004(true);
    let no_data = studies_with(&gateway, json!({ "phoneNum": MISTYPED_PHONE })).await;

    for (answer, code) in [(&mistyped, 0), (&no_data, 100_004)] {
        assert_eq!((answer.status, answer.code()), (200, code), "{}", answer.text());
        assert!(warned(answer), "{:?}", answer.headers);
    }
    assert_eq!(gateway.metric(SUSPICIOUS).await, Some(2.0));
    assert_eq!(
        (gateway.metric(EMPTY).await, gateway.metric(LOOKUPS).await),
        (Some(2.0), Some(2.0))
    );
}

#[tokio::test]
async fn every_form_of_emptiness_is_seen() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for (body, empty) in [
        (r#"{"code":0,"message":"success","data":[ ]}"#, true),
        (r#"{"data":{},"code":0}"#, true),
        (r#"{"code":"0","data":null,"requestId":"1"}"#, true),
        (r#"{"code":0,"message":"data"}"#, true),
        (r#"{"code":30002,"data":[{"left":"over"}]}"#, true),
        (r#"{"code":0,"data":[{}]}"#, false),
        (r#"{"code":90001,"data":[]}"#, false),
        (r#"{"data":[]}"#, false),
    ] {
        platform.set_reply(PATIENT_STUDIES, body);
        let answer = studies_with(&gateway, json!({ "idNum": MISTYPED_ID })).await;
        assert_eq!((answer.text(), warned(&answer)), (body.to_owned(), empty));
    }
    assert_eq!(gateway.metric(SUSPICIOUS).await, Some(5.0));
    assert_eq!(
        gateway.metric(LOOKUPS).await,
        Some(6.0),
        "a failure says nothing about what there is"
    );
}

#[tokio::test]
async fn what_is_empty_for_good_numbers_or_full_for_bad_ones_is_not_suspicious() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    let rewritten = studies_with(&gateway, json!({ "phoneNum": "138 0013 8009" })).await;
    platform.set_reply(PATIENT_STUDIES, r#"{"code":0,"data":[1]}"#);
    let found = studies_with(&gateway, json!({ "idNum": MISTYPED_ID })).await;
    platform.push_fault(Fault::HalfBody);
    let failed = studies_with(&gateway, json!({ "idNum": MISTYPED_ID })).await;

    assert!(rewritten.header("x-aimis-repairs").is_some());
    assert_eq!(found.header("x-aimis-warnings"), Some("idNum=check-digit"));
    assert_eq!(failed.status, 502);
    assert!([rewritten, found, failed].iter().all(|answer| !warned(answer)));
    assert_eq!(
        (gateway.metric(SUSPICIOUS).await, gateway.metric(EMPTY).await),
        (Some(0.0), Some(1.0))
    );
}

/// Moves time on, and waits until the shares were compared at the new time.
async fn pass(gateway: &Gateway, clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
    let now = clock.now().as_millis() as f64 / 1000.0;
    while gateway.metric(COMPARED).await != Some(now) {}
}

#[tokio::test]
async fn p9_a_tenant_that_suddenly_finds_nobody_is_told_once() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let clock = Clock::manual(1_735_689_600_000);
    platform.clock().stand_at(1_735_689_600_000);
    let gateway = Settings::calling(&platform)
        .with(
            "emptiness",
            "window_s = 600\nbaseline_s = 3600\nmin_answers = 3\njump_points = 50",
        )
        .clock(clock.clone())
        .start();
    let answer = |body: &str| platform.set_reply(PATIENT_STUDIES, Canned::from(body));

    answer(r#"{"code":0,"data":[1]}"#);
    for _ in 0..3 {
        gateway.studies().await;
    }
    pass(&gateway, &clock, 60).await;
    pass(&gateway, &clock, 600).await;
    platform.clock().stand_at(1_735_690_260_000);
    answer(r#"{"code":0,"data":[]}"#);
    for _ in 0..2 {
        gateway.studies().await;
    }
    pass(&gateway, &clock, 60).await;
    assert_eq!(gateway.metric(JUMPS).await, Some(0.0), "two answers tell nothing");
    for _ in 0..2 {
        gateway.studies().await;
    }
    pass(&gateway, &clock, 60).await;
    assert_eq!(gateway.metric(JUMPS).await, Some(1.0));
    gateway.studies().await;
    pass(&gateway, &clock, 60).await;

    assert_eq!(gateway.metric(JUMPS).await, Some(1.0), "it is one episode");
    assert_eq!(
        (gateway.metric(LOOKUPS).await, gateway.metric(EMPTY).await),
        (Some(8.0), Some(5.0))
    );
    let lines = checked(&gateway.stop());
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["event.name"] == "empty_share_jumped")
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (
            &told[0]["tenant"],
            &told[0]["share_percent"],
            &told[0]["baseline_percent"],
            &told[0]["severity_text"]
        ),
        (&json!("first-hospital"), &json!(100), &json!(0), &json!("WARN"))
    );
}
