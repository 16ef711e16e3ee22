//! Answers that replicas share: kept once, sealed, gone from all of them when a callback is acknowledged.

mod away;
pub mod bed;
mod beside;
mod failover;
mod history;
mod rules;
mod sealed;

use aimis_simulator::{Canned, Fault, PATIENT_STUDIES};
use serde_json::json;

use crate::support::client::{Answer, post};
use crate::support::gateway::studies_query;
use crate::support::gateway::{Gateway, studies_query_with};
use bed::{Bed, STUDIES};

/// What the headers say: origin and `Cache-Status` up to its numbers.
fn told(answer: &Answer) -> (&str, &str) {
    let status = answer.header("cache-status").unwrap_or("");
    let upto = status.find("; ttl").unwrap_or(status.len());
    (answer.header("x-aimis-origin").unwrap_or(""), &status[..upto])
}

const MISS: (&str, &str) = ("platform", "aimis; fwd=miss; stored");
const HIT: (&str, &str) = ("cache", "aimis; hit");

async fn ask_with(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    post(gateway.lan, STUDIES, headers, studies_query().as_bytes()).await
}

#[tokio::test]
async fn an_answer_that_one_replica_asked_for_serves_all() {
    let bed = Bed::start(3).await;

    let first = bed.gateways[0].studies().await;
    assert_eq!(told(&first), MISS);
    for gateway in &bed.gateways {
        for _ in 0..2 {
            let again = gateway.studies().await;
            assert_eq!(told(&again), HIT);
            assert_eq!((again.status, &again.body), (first.status, &first.body));
            assert_eq!(again.header("content-type"), first.header("content-type"));
            assert!(again.header("age").is_some());
        }
    }
    assert_eq!(bed.platform.request_count(), 1);
}

#[tokio::test]
async fn a_miss_costs_two_calls_of_the_store_and_a_hit_one() {
    let bed = Bed::start(2).await;
    // The data key, the scripts, the connections.
    bed.gateways[0].studies().await;
    bed.gateways[1].studies().await;
    let other = studies_query_with(json!({ "phoneNum": "13900139000" }));

    let before = bed.calls();
    let miss = bed.gateways[0].query(PATIENT_STUDIES, &other).await;
    let after_miss = bed.calls();
    let hit = bed.gateways[0].query(PATIENT_STUDIES, &other).await;
    let after_hit = bed.calls();
    // Another replica is sent the value once, and then has it.
    let elsewhere = bed.gateways[1].query(PATIENT_STUDIES, &other).await;
    let after_elsewhere = bed.calls();

    assert_eq!([told(&miss), told(&hit), told(&elsewhere)], [MISS, HIT, HIT]);
    let costs = [after_miss - before, after_hit - after_miss, after_elsewhere - after_hit];
    assert_eq!(costs, [2, 1, 1]);
}

#[tokio::test]
async fn a_double_click_at_four_replicas_costs_one_call() {
    let bed = Bed::start(4).await;
    bed.platform.push_fault(Fault::Latency { ms: 300 });

    let clicks = bed
        .gateways
        .iter()
        .flat_map(|gateway| (0..5).map(|_| gateway.studies()));
    let answers = futures_util::future::join_all(clicks).await;

    assert_eq!(bed.platform.request_count(), 1);
    let misses = answers.iter().filter(|answer| told(answer) == MISS);
    assert_eq!(misses.count(), 1);
    let collapsed = ("platform", "aimis; fwd=miss; stored; collapsed");
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        assert!([MISS, HIT, collapsed].contains(&told(answer)), "{:?}", told(answer));
    }
}

#[tokio::test]
async fn one_takes_over_when_the_replica_that_asks_dies() {
    let mut bed = Bed::with(2, |settings| settings.with("store", "lease_ms = 300")).await;
    bed.platform.push_fault(Fault::Latency { ms: 60_000 });
    let dying = bed.gateways.remove(0);
    let lan = dying.lan;
    let lost = tokio::spawn(async move {
        crate::support::client::exchange(
            lan,
            &crate::support::client::request("POST", STUDIES, &[], studies_query().as_bytes()),
        )
        .await
    });
    bed.platform.wait_for_requests(1).await;
    // At once: nothing is given back.
    drop(dying);

    let answer = bed.gateways[0].studies().await;

    assert_eq!(told(&answer), MISS);
    assert_eq!(bed.platform.request_count(), 2);
    assert!(lost.await.unwrap().is_none());
}

#[tokio::test]
async fn p6_two_hospitals_with_one_patient_never_meet() {
    let bed = Bed::two_hospitals().await;
    let of = |gateway: usize, app_id: &str| {
        let lan = bed.gateways[gateway].lan;
        let path = format!("/thirdparty/{PATIENT_STUDIES}/{app_id}");
        async move { post(lan, &path, &[], studies_query().as_bytes()).await }
    };

    assert_eq!(told(&of(0, "900001").await), MISS);
    assert_eq!(told(&of(1, "900002").await), MISS);
    assert_eq!(told(&of(1, "900001").await), HIT);
    assert_eq!(told(&of(0, "900002").await), HIT);
    // A callback about the patient at one says nothing of the other.
    assert!(bed.callback(0, "S1").await);
    assert_eq!(told(&of(1, "900001").await), MISS);
    assert_eq!(told(&of(1, "900002").await), HIT);
}

#[tokio::test]
async fn directives_and_what_is_kept_are_as_with_one_gateway() {
    let bed = Bed::start(2).await;
    let [one, other] = &bed.gateways[..] else {
        unreachable!()
    };

    let absent = ask_with(one, &[("Cache-Control", "only-if-cached")]).await;
    assert_eq!((absent.status, told(&absent).1), (504, "aimis; detail=only-if-cached"));
    assert_eq!(
        told(&ask_with(one, &[("Cache-Control", "no-store")]).await),
        ("platform", "aimis; fwd=bypass")
    );
    assert_eq!(told(&ask_with(one, &[]).await), MISS);
    assert_eq!(
        told(&ask_with(other, &[("Cache-Control", "only-if-cached")]).await),
        HIT
    );
    assert_eq!(told(&ask_with(other, &[("Cache-Control", "max-age=20")]).await), HIT);
    let anew = ask_with(other, &[("Cache-Control", "no-cache")]).await;
    assert_eq!(told(&anew), ("platform", "aimis; fwd=request; stored"));
    assert_eq!(bed.platform.request_count(), 3);

    // An answer that says that the question is wrong ends the one before, everywhere.
    let wrong = Canned {
        status: 200,
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: br#"{"code":100001,"message":"no"}"#.to_vec(),
    };
    bed.platform.set_reply(PATIENT_STUDIES, wrong);
    ask_with(one, &[("Cache-Control", "no-cache")]).await;
    bed.platform.clear_reply(PATIENT_STUDIES);
    assert_eq!(told(&ask_with(other, &[]).await), MISS);
}

#[tokio::test]
async fn where_the_platform_fails_an_older_answer_of_another_replica_serves() {
    let bed = Bed::with(2, |settings| settings.with("cache", "fresh_s = 1")).await;
    let [one, other] = &bed.gateways[..] else {
        unreachable!()
    };
    let first = one.studies().await;
    assert_eq!(told(&first), MISS);
    bed.platform.set_fault(Fault::Status {
        code: 503,
        envelope: false,
    });

    let mut answer = other.studies().await;
    while told(&answer) == HIT && answer.header("x-aimis-warnings").is_none() {
        answer = other.studies().await;
    }

    assert_eq!(answer.header("x-aimis-warnings"), Some("cache=stale"));
    assert_eq!((answer.status, &answer.body), (200, &first.body));
}

#[tokio::test]
async fn a_purge_at_one_replica_is_a_purge_at_all() {
    let bed = Bed::with(2, |settings| settings.with("admin", "listen = \"127.0.0.1:0\"")).await;
    let other = studies_query_with(json!({ "phoneNum": "13900139000", "idNum": "11010119000101020X" }));
    let fill = async || {
        for body in [&studies_query(), &other] {
            bed.gateways[1].query(PATIENT_STUDIES, body).await;
            assert_eq!(told(&bed.gateways[1].query(PATIENT_STUDIES, body).await), HIT);
        }
    };
    for (order, kept) in [
        (
            json!({ "tenant": "first-hospital", "patient": crate::support::gateway::PHONE }),
            true,
        ),
        (json!({ "api": PATIENT_STUDIES }), false),
        (json!({ "tenant": "first-hospital" }), false),
        (json!({ "all": true }), false),
    ] {
        fill().await;
        let purged = post(
            bed.gateways[0].admin.unwrap(),
            "/api/v1/cache/purge",
            &[("Content-Type", "application/json"), ("Host", "localhost")],
            order.to_string().as_bytes(),
        )
        .await;
        assert_eq!(purged.status, 200, "{order}: {}", purged.text());
        assert_eq!(told(&bed.gateways[1].studies().await), MISS, "{order}");
        let of_other = bed.gateways[1].query(PATIENT_STUDIES, &other).await;
        assert_eq!(told(&of_other) == HIT, kept, "{order}");
    }
}
