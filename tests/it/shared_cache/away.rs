//! The store goes away, for all or for one, and comes back.

use std::cell::Cell;

use aimis_simulator::{Callback, Fault};

use super::bed::{Bed, Wire, shows};
use super::{HIT, MISS, told};
use crate::store::servers::{Engine, Server};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, Settings};

/// What is waited for is that callbacks give up; so they do soon.
fn hasty(settings: Settings) -> Settings {
    settings.with("store", "forget_wait_ms = 100")
}

fn warnings(answer: &Answer) -> &str {
    answer.header("x-aimis-warnings").unwrap_or("")
}

async fn invalidations(gateway: &Gateway, result: &str) -> Option<f64> {
    let series = format!("aimis_cache_invalidations_total{{result=\"{result}\"}}");
    gateway.metric(&series).await
}

#[tokio::test]
async fn without_the_store_nothing_from_before_serves_and_no_callback_is_acknowledged() {
    for engine in Engine::ALL {
        nothing_from_before_serves(engine).await;
    }
}

async fn nothing_from_before_serves(engine: Engine) {
    let mut bed = Bed::of(engine, 2, hasty).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    assert_eq!(told(&bed.gateways[1].studies().await), HIT);
    bed.server.down();

    // It has a copy, and does not know whether that is still true.
    let anew = bed.gateways[1].studies().await;
    assert_eq!(
        (anew.status, told(&anew), warnings(&anew)),
        (200, MISS, "limits=local, cache=local")
    );
    let again = bed.gateways[1].studies().await;
    assert_eq!((told(&again), warnings(&again)), (HIT, "cache=local"));
    assert!(!bed.callback(1, "S1").await);
    assert_eq!(invalidations(&bed.gateways[1], "owed").await, Some(1.0));
    // Here it is dropped at once all the same.
    assert_eq!(told(&bed.gateways[1].studies().await), MISS);
    bed.away().await;

    bed.server.up();
    bed.up().await;
    // What was kept meanwhile is dropped, though young.
    let back = bed.gateways[1].studies().await;
    assert_eq!((told(&back), warnings(&back)), (MISS, ""));
    let other = bed.gateways[0].studies().await;
    assert_eq!((told(&other), warnings(&other)), (HIT, ""));
    // Sent again it is known, and acknowledged; the HIS gets it once.
    assert!(bed.callback(1, "S1").await);
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    let duplicates = "aimis_callbacks_received_total{result=\"duplicate\"}";
    assert_eq!(bed.gateways[1].metric(duplicates).await, Some(1.0));
}

#[tokio::test]
async fn an_empty_list_is_not_kept_without_the_store() {
    let mut bed = Bed::with(1, hasty).await;
    bed.server.down();
    let nobody = crate::support::gateway::studies_query_with(
        serde_json::json!({ "idNum": "110101190001010316", "phoneNum": "13700137000" }),
    );
    for _ in 0..2 {
        let answer = bed.gateways[0].query("patientStudies", &nobody).await;
        assert_eq!((answer.status, told(&answer).0), (200, "platform"));
    }
}

#[tokio::test]
async fn a_callback_at_a_replica_that_is_cut_off_ends_answers_before_it_uses_the_store_again() {
    for engine in Engine::ALL {
        a_debt_is_paid_first(engine).await;
    }
}

async fn a_debt_is_paid_first(engine: Engine) {
    let server = Server::start(engine);
    let wire = Wire::to(server.port).await;
    let url = format!("\"{}\"", server.url());
    let cut_off = format!("redis_url = \"redis://127.0.0.1:{}\"", wire.port);
    let first = Cell::new(true);
    let bed = Bed::at(server, &url, 2, |settings| {
        let settings = hasty(settings);
        if first.replace(false) {
            settings.instead("store", &cut_off)
        } else {
            settings
        }
    })
    .await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    assert_eq!(told(&bed.gateways[1].studies().await), HIT);
    wire.cut();

    assert!(!bed.callback(0, "S1").await);
    // The other cannot know, which is why it is not acknowledged.
    assert_eq!(told(&bed.gateways[1].studies().await), HIT);
    wire.mend();
    shows(&bed.gateways[0], "aimis_ratelimit_store_up", 1.0).await;
    // By itself: nobody asks here.
    shows(
        &bed.gateways[0],
        "aimis_cache_invalidations_total{result=\"late\"}",
        1.0,
    )
    .await;
    assert_eq!(told(&bed.gateways[1].studies().await), MISS);
    assert!(bed.callback(0, "S1").await);
}

#[tokio::test]
async fn questions_on_their_way_when_the_store_goes_are_answered() {
    for engine in Engine::ALL {
        those_on_their_way_are_answered(engine).await;
    }
}

async fn those_on_their_way_are_answered(engine: Engine) {
    let mut bed = Bed::of(engine, 2, hasty).await;
    bed.platform.set_fault(Fault::Latency { ms: 200 });
    let asked: Vec<_> = (0..6).map(|at| bed.gateways[at % 2].studies()).collect();
    let going = futures_util::future::join_all(asked);
    let platform = bed.platform.wait_for_requests(1);
    let (server, mut down) = (&mut bed.server, false);
    tokio::pin!(going, platform);
    let answers = loop {
        tokio::select! {
            answers = &mut going => break answers,
            () = &mut platform, if !down => {
                server.down();
                down = true;
            }
        }
    };

    assert!(down);
    for answer in &answers {
        assert_eq!((answer.status, answer.code()), (200, 0));
        assert_eq!(answer.json()["data"], answers[0].json()["data"]);
    }
    assert!(!bed.send(0, &Callback::demo()).await);
}
