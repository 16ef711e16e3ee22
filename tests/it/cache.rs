//! Known answers: asked for once, kept for seconds, told as such, dropped when they may be wrong.

mod admin;
mod outage;

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Canned, Fault, PATIENT_REPORT_URL, PATIENT_STUDIES, Platform, PlatformOptions};
use serde_json::json;
use sha2::Digest;

use crate::log_fields::checked;
use crate::support::client::{Answer, Connection, post, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query, studies_query_with};

/// Wednesday, 1 January 2025, 00:00 UTC.
const NOW: u64 = 1_735_689_600_000;
const STUDIES: &str = "/thirdparty/patientStudies/900001";

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// A gateway with a cache, and its clock, which stands where the platform's does.
fn cached(platform: &Platform) -> (Settings, Clock) {
    platform.clock().stand_at(NOW.try_into().unwrap());
    let clock = Clock::manual(NOW);
    (Settings::calling(platform).cached().clock(clock.clone()), clock)
}

/// Time goes by, at the platform as well.
fn later(platform: &Platform, clock: &Clock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
    let now = platform.clock().now_ms();
    platform.clock().stand_at(now + i64::try_from(seconds * 1000).unwrap());
}

async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    post(gateway.lan, STUDIES, headers, studies_query().as_bytes()).await
}

async fn results(gateway: &Gateway, api: &str, result: &str) -> f64 {
    let series = format!("aimis_cache_requests_total{{api=\"{api}\",result=\"{result}\"}}");
    gateway.metric(&series).await.unwrap()
}

/// What the headers say: origin, `Cache-Status`, `Age`, warnings.
fn told(answer: &Answer) -> [&str; 4] {
    ["x-aimis-origin", "cache-status", "age", "x-aimis-warnings"].map(|name| answer.header(name).unwrap_or(""))
}

#[tokio::test]
async fn a_double_click_of_fifty_costs_one_call() {
    let platform = platform().await;
    platform.push_fault(Fault::Latency { ms: 300 });
    let gateway = Settings::calling(&platform)
        .cached()
        .with("runtime", "workers = 2")
        .start();
    let bytes = request(
        "POST",
        STUDIES,
        &[("Content-Type", "application/json")],
        studies_query().as_bytes(),
    );
    let mut connections = Vec::new();
    for _ in 0..50 {
        connections.push(Connection::open(gateway.lan).await);
    }
    for connection in &mut connections {
        connection.send(&bytes).await.unwrap();
    }
    let mut answers = Vec::new();
    for mut connection in connections {
        answers.push(connection.answer().await.unwrap());
    }

    assert_eq!(platform.request_count(), 1);
    let first = answers[0].body.clone();
    let mut misses = 0;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &first));
        misses += usize::from(answer.header("cache-status") == Some("aimis; fwd=miss; stored"));
    }
    assert_eq!(misses, 1);
    let shared =
        results(&gateway, "patientStudies", "coalesced").await + results(&gateway, "patientStudies", "hit").await;
    assert_eq!(shared, 49.0);
    assert_eq!(results(&gateway, "patientStudies", "miss").await, 1.0);
    let log = gateway.stop();
    let requests = checked(&log).into_iter().filter(|line| line["event.name"] == "request");
    assert_eq!(requests.map(|line| line["attempts"].as_u64().unwrap()).sum::<u64>(), 1);
}

#[tokio::test]
async fn one_person_typed_in_three_ways_is_one_question() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings.start();
    let first = gateway.studies().await;
    assert_eq!(told(&first), ["platform", "aimis; fwd=miss; stored", "", ""]);
    later(&platform, &clock, 18);

    for members in [
        json!({"phoneNum": "138 0013 8000"}),
        json!({"phoneNum": "１３８００１３８０００", "idNum": "11010119000101009x"}),
        json!({"phoneNum": "+86 138-0013-8000", "studyType": "0"}),
    ] {
        let again = gateway.query(PATIENT_STUDIES, studies_query_with(members)).await;
        let [origin, status, age, warnings] = told(&again);
        assert_eq!([origin, status, age], ["cache", "aimis; hit; ttl=12", "18"]);
        assert!(!warnings.contains("cache"), "{warnings}");
        // P4 holds for what was kept, too.
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(again.header("cache-control"), Some("private, no-store"));
    }
    assert_eq!(platform.request_count(), 1);
    assert_eq!(gateway.metric("aimis_cache_entries").await, Some(1.0));
    let counted = gateway
        .metric("aimis_lookup_answers_total{tenant=\"first-hospital\"}")
        .await;
    assert_eq!(counted, Some(1.0), "what the platform finds is counted once");

    later(&platform, &clock, 12);
    assert_eq!(told(&gateway.studies().await)[1], "aimis; fwd=stale; stored");
    assert_eq!(platform.request_count(), 2);
    let log = gateway.stop();
    let cached: Vec<_> = checked(&log)
        .into_iter()
        .filter_map(|line| Some((line["cache.result"].as_str()?.to_owned(), line["business.code"].clone())))
        .collect();
    let wanted = ["miss", "hit", "hit", "hit", "miss"].map(|result| (result.to_owned(), json!(0)));
    assert_eq!(cached, wanted);
}

#[tokio::test]
async fn p6_two_hospitals_with_the_same_patient_never_meet() {
    let platform = platform().await;
    platform.put_account(Account::new(
        "900002",
        "fedcba9876543210fedcba9876543210",
        "H0002",
        "U0002",
    ));
    // Not even where both ask for the same hospitalId.
    let gateway = Settings::calling(&platform)
        .cached()
        .tenant(
            "second-hospital",
            Account::new("900002", "fedcba9876543210fedcba9876543210", "H0002", "U0002"),
        )
        .start();
    for path in [STUDIES, "/thirdparty/patientStudies/900002"] {
        let answer = post(gateway.lan, path, &[], studies_query().as_bytes()).await;
        assert!(told(&answer)[1].contains("fwd=miss"), "{path}: {answer:?}");
    }
    assert_eq!(platform.request_count(), 2);
    let senders: Vec<_> = platform
        .requests()
        .iter()
        .map(|request| request.header("appId").unwrap().to_owned())
        .collect();
    assert_eq!(senders, ["900001", "900002"]);
}

#[tokio::test]
async fn p6_who_may_not_ask_is_refused_however_warm_the_cache_is() {
    const HIS: &str = "aimis_0000000000000000000000000000000000000000000000000000000000000001";
    const APP: &str = "aimis_0000000000000000000000000000000000000000000000000000000000000002";
    let keyed = |name: &str, key: &str, rules: &str| {
        let digest = hex::encode(sha2::Sha256::digest(key));
        format!("name = \"{name}\"\nkey_sha256 = \"{digest}\"\n{rules}")
    };
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .cached()
        .client(&keyed("his", HIS, ""))
        .client(&keyed("app", APP, "apis = [\"patientReportUrl\"]"))
        .start();
    assert_eq!(ask(&gateway, &[("X-Api-Key", HIS)]).await.status, 200);
    assert_eq!(told(&ask(&gateway, &[("X-Api-Key", HIS)]).await)[0], "cache");

    let refused = ask(&gateway, &[("X-Api-Key", APP)]).await;
    assert_eq!((refused.status, refused.code()), (403, 800_102));
    assert_eq!(told(&refused)[1], "aimis; detail=not-consulted");
    assert_eq!(ask(&gateway, &[]).await.status, 401);
    assert_eq!(platform.request_count(), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_has_paid_for_the_answer_of_the_next() {
    let platform = platform().await;
    platform.push_fault(Fault::Latency { ms: 200 });
    let gateway = Settings::calling(&platform).cached().start();
    let mut gone = Connection::open(gateway.lan).await;
    let bytes = request(
        "POST",
        STUDIES,
        &[("Content-Type", "application/json")],
        studies_query().as_bytes(),
    );
    gone.send(&bytes).await.unwrap();
    platform.wait_for_requests(1).await;
    drop(gone);

    // Joins the flight, or finds what it brought.
    assert_eq!(gateway.studies().await.status, 200);
    while gateway.metric("aimis_cache_entries").await != Some(1.0) {}
    assert_eq!(told(&gateway.studies().await)[0], "cache");
    assert_eq!(platform.request_count(), 1);
}

#[tokio::test]
async fn directives_of_the_request_are_obeyed() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings.start();
    let cold = ask(&gateway, &[("Cache-Control", "only-if-cached")]).await;
    assert_eq!((cold.status, cold.code()), (504, 800_305));
    assert_eq!(told(&cold), ["gateway", "aimis; detail=only-if-cached", "", ""]);
    assert!(cold.json()["type"].as_str().unwrap().ends_with("answer-not-kept"));
    assert_eq!(platform.request_count(), 0);

    let secret = ask(&gateway, &[("Cache-Control", "no-store")]).await;
    assert_eq!(told(&secret), ["platform", "aimis; fwd=bypass", "", ""]);
    assert_eq!(gateway.metric("aimis_cache_entries").await, Some(0.0));
    gateway.studies().await;
    later(&platform, &clock, 10);

    let mut asked = 2;
    for (name, value, status, age, asks) in [
        ("Cache-Control", "only-if-cached", "aimis; hit; ttl=20", "10", false),
        ("Cache-Control", "max-age=10", "aimis; hit; ttl=20", "10", false),
        ("Cache-Control", "max-age=abc", "aimis; hit; ttl=20", "10", false),
        ("Cache-Control", "max-stale=100", "aimis; hit; ttl=20", "10", false),
        ("Cache-Control", "no-store", "aimis; fwd=bypass", "", true),
        ("Cache-Control", "max-age=9", "aimis; fwd=request; stored", "", true),
        ("Cache-Control", "No-Cache", "aimis; fwd=request; stored", "", true),
        ("Pragma", "no-cache", "aimis; fwd=request; stored", "", true),
        ("Cache-Control", "max-age=0", "aimis; hit; ttl=30", "0", false),
    ] {
        let answer = ask(&gateway, &[(name, value)]).await;
        assert_eq!(&told(&answer)[1..3], [status, age], "{name}: {value}");
        asked += u64::from(asks);
        assert_eq!(platform.request_count(), asked, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_holds_nothing_is_kept_for_seconds_and_never_served_old() {
    let rows: [(&str, u64, &str); 4] = [
        (r#"{"code":100004,"message":"none","data":null}"#, 10, "data"),
        (r#"{"code":0,"message":"success","data":[]}"#, 10, "ok"),
        (r#"{"code":30008,"message":"none"}"#, 5, "data"),
        (r#"{"code":0,"message":"success","data":[{"a":1}]}"#, 30, "ok"),
    ];
    for (body, seconds, class) in rows {
        let platform = platform().await;
        platform.set_reply(PATIENT_STUDIES, body.as_bytes().to_vec());
        let (settings, clock) = cached(&platform);
        let gateway = settings.with("platform", "max_retries = 0").start();
        gateway.studies().await;
        later(&platform, &clock, seconds - 1);
        assert_eq!(told(&gateway.studies().await)[1], "aimis; hit; ttl=1", "{body}");
        let series = format!(
            "aimis_requests_total{{api=\"patientStudies\",code_class=\"{class}\",origin=\"cache\",tenant=\"first-hospital\"}}"
        );
        assert_eq!(gateway.metric(&series).await, Some(1.0), "{body}");
        later(&platform, &clock, 1);

        platform.set_fault(Fault::ResetBeforeHead);
        let failed = gateway.studies().await;
        let older = seconds == 30;
        assert_eq!(failed.status == 200, older, "{body}");
        platform.clear_faults();
        assert_eq!(told(&gateway.studies().await)[0], "platform", "{body}");
    }
}

#[tokio::test]
async fn what_is_empty_behind_a_failed_check_is_told_from_the_cache_as_well() {
    let platform = platform().await;
    platform.set_reply(PATIENT_STUDIES, br#"{"code":0,"data":[]}"#.to_vec());
    let gateway = Settings::calling(&platform).cached().start();
    let typo = studies_query_with(json!({"idNum": "110101190001010099"}));
    for origin in ["platform", "cache"] {
        let answer = gateway.query(PATIENT_STUDIES, &typo).await;
        assert_eq!(told(&answer)[0], origin);
        assert!(
            told(&answer)[3].contains("reply=empty-after-failed-check"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn failures_links_and_replies_beyond_the_bound_are_not_kept() {
    let big = format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(3000)).into_bytes();
    let page = Canned {
        status: 404,
        ..Canned::from(br#"{"code":0,"data":[1]}"#.to_vec())
    };
    let coded = |code: i64| Canned::from(format!(r#"{{"code":{code},"message":"x","data":[1]}}"#).into_bytes());
    for (what, canned) in [
        ("too large", Canned::from(big)),
        ("not 2xx", page),
        ("caller", coded(100_001)),
        ("auth", coded(20_005)),
        ("permission", coded(20_008)),
        ("limit", coded(20_003)),
        ("transient", coded(30_001)),
        ("unknown", coded(77_777)),
        ("no code", Canned::from(br#"{"data":[1]}"#.to_vec())),
    ] {
        let platform = platform().await;
        platform.set_reply(PATIENT_STUDIES, canned);
        let gateway = Settings::calling(&platform)
            .cached()
            .with("cache", "max_entry_bytes = 2048")
            .with("platform", "max_retries = 0")
            .start();
        for _ in 0..2 {
            let answer = gateway.studies().await;
            assert_eq!(
                told(&answer)[..3],
                ["platform", "aimis; fwd=miss", ""],
                "{what}: {answer:?}"
            );
        }
        assert_eq!(platform.request_count(), 2, "{what}");
        assert_eq!(gateway.metric("aimis_cache_entries").await, Some(0.0), "{what}");
    }

    let platform = platform().await;
    let gateway = Settings::calling(&platform).cached().start();
    let link = format!(r#"{{"reportId":"R1","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#);
    for _ in 0..2 {
        assert_eq!(
            told(&gateway.query(PATIENT_REPORT_URL, &link).await)[1],
            "aimis; fwd=bypass"
        );
    }
    assert_eq!(platform.request_count(), 2);
}

#[tokio::test]
async fn a_merged_list_takes_each_of_its_parts_from_where_it_is() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings.with("lan", "merge_study_types = true").start();
    let list =
        |types: serde_json::Value| gateway.query(PATIENT_STUDIES, studies_query_with(json!({"studyType": types})));
    let first = list(json!([0, 1])).await;
    assert_eq!(told(&first)[0], "platform");
    later(&platform, &clock, 4);

    let again = list(json!([0, 1])).await;
    assert_eq!(again.body, first.body);
    assert_eq!([told(&again)[0], told(&again)[2]], ["cache", "4"]);
    let wider = list(json!([0, 1, 2])).await;
    assert_eq!([told(&wider)[0], told(&wider)[2]], ["platform", "4"]);
    assert_eq!(platform.request_count(), 3);
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    let platform = platform().await;
    platform.set_reply(
        PATIENT_STUDIES,
        format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(8000)).into_bytes(),
    );
    let gateway = Settings::calling(&platform)
        .cached()
        .with("cache", "max_bytes = \"64KiB\"\nmax_entry_bytes = \"16KiB\"")
        .start();
    for number in 0..30 {
        let body = studies_query_with(json!({"hisId": format!("HIS{number}")}));
        assert_eq!(gateway.query(PATIENT_STUDIES, body).await.status, 200);
    }
    let bytes = gateway.metric("aimis_cache_bytes").await.unwrap();
    assert!(bytes <= 65536.0, "{bytes}");
    assert_eq!(gateway.metric("aimis_cache_entries").await, Some(7.0));
    assert_eq!(
        gateway.metric("aimis_cache_evictions_total{reason=\"size\"}").await,
        Some(23.0)
    );
}

#[tokio::test]
async fn a_tenant_has_times_of_its_own() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings
        .with("cache", "fresh_s = 60")
        .of_tenant("cache = { fresh_s = 7, patientReportUrl = { enabled = true, negative_s = 3 } }")
        .start();
    gateway.studies().await;
    let link = format!(r#"{{"reportId":"R1","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#);
    gateway.query(PATIENT_REPORT_URL, &link).await;
    later(&platform, &clock, 2);
    assert_eq!(told(&gateway.studies().await)[1], "aimis; hit; ttl=5");
    assert_eq!(
        told(&gateway.query(PATIENT_REPORT_URL, &link).await)[1],
        "aimis; hit; ttl=1"
    );
}
