//! One quota for several gateways: it holds for their sum, whatever becomes of the store.

use std::time::Duration;

use serde_json::json;

use super::fleet::{
    Place, Processes, ask, away, flood, flood_while, is_local, metric, place, platform, sharing, shown, up,
};
use super::link::Link;
use super::servers::{Engine, Server};
use super::trio::Trio;
use crate::authorization::keyed;
use crate::support::client::post;
use crate::support::gateway::{Gateway, studies_query_with};

/// How long the network is cut.
const CUT: Duration = Duration::from_secs(5);

fn quoted(url: &str) -> String {
    format!("\"{url}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_have_one_quota_with_the_store_without_it_and_with_it_again() {
    let platform = platform().await;
    let mut server = Server::start(Engine::Redis7);
    let settings = sharing(&platform, &quoted(&server.url()));
    let gateways = tokio::task::block_in_place(|| Processes::start(4, &settings));
    let places = gateways.places();
    up(&places).await;

    let shared = flood(&platform, &places, 120).await;
    shared.assert_within(1.0, 1.0);
    assert_eq!(shared.local, 0);

    // Killed under load, and gone for a while.
    let (falling, ()) = flood_while(&platform, &places, 240, async {
        server.down();
        away(&places).await;
    })
    .await;
    falling.assert_within(2.0, 2.0);
    let parts = flood(&platform, &places, 120).await;
    parts.assert_within(1.0, 1.0);
    assert_eq!(parts.local, parts.asked);

    // Back under load, and it remembers nothing.
    let (rising, ()) = flood_while(&platform, &places, 240, async {
        tokio::task::block_in_place(|| server.up());
        up(&places).await;
    })
    .await;
    rising.assert_within(2.0, 2.0);
    let again = flood(&platform, &places, 120).await;
    again.assert_within(1.0, 1.0);
    assert_eq!(again.local, 0);

    for gateway in &gateways.serving {
        let log = gateway.process.stdout();
        assert!(log.contains("\"event.name\":\"store_away\""), "{log}");
        assert_eq!(log.matches("\"event.name\":\"store_up\"").count(), 2, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_one_on_every_engine_and_costs_one_call_a_question() {
    for engine in Engine::ALL {
        let platform = platform().await;
        let server = Server::start(engine);
        let settings = sharing(&platform, &quoted(&server.url())).instead("store", "replicas_min = 2");
        let gateways: Vec<Gateway> = (0..2).map(|_| settings.start()).collect();
        let places: Vec<Place> = gateways.iter().map(place).collect();
        shown(&places, "aimis_ratelimit_store_up", 1.0).await;
        // Both have their connection, and the script is there.
        for place in &places {
            ask(place.lan).await;
        }
        let mut connection = server.connection();
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut connection).unwrap();

        let flooded = flood(&platform, &places, 60).await;

        flooded.assert_within(1.0, 1.0);
        assert_eq!(flooded.local, 0, "{engine:?}");
        for place in &places {
            assert_eq!(
                metric(*place, "aimis_store_fallbacks_total{reason=\"timeout\"}").await,
                0.0
            );
            assert!(metric(*place, "aimis_store_request_duration_seconds_count").await >= 60.0);
        }
        // Beats of both are among the calls, which are few in that time.
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection).unwrap();
        let calls = stats.lines().find_map(|line| {
            let calls = line.strip_prefix("cmdstat_evalsha:calls=")?;
            calls.split(',').next()?.parse::<u64>().ok()
        });
        let beats = 2 + (2.0 * flooded.took.as_secs_f64() / 0.16) as u64;
        assert!((120..=120 + beats).contains(&calls.unwrap()), "{engine:?}: {stats}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_promote_another_and_four_processes_have_their_quota_there() {
    let platform = platform().await;
    let mut trio = tokio::task::block_in_place(Trio::start);
    let settings = sharing(&platform, &trio.urls())
        .with("store", "sentinel_master = \"aimis\"")
        .with("log", "repeat_interval_ms = 0");
    let gateways = tokio::task::block_in_place(|| Processes::start(4, &settings));
    let places = gateways.places();
    up(&places).await;
    flood(&platform, &places, 60).await.assert_within(1.0, 1.0);

    // They go, and come to the one that was promoted, under load.
    let (failing_over, ()) = flood_while(&platform, &places, 240, async {
        trio.kill_master();
        tokio::task::block_in_place(|| {
            for gateway in &gateways.serving {
                gateway.process.event("store_away");
            }
            // Until then a gateway that asks another sentinel is sent to the old one again.
            trio.agreed();
        });
        up(&places).await;
    })
    .await;
    // What the master had, the parts, and what the promoted one had not heard of.
    failing_over.assert_within(2.0, 3.0);
    assert!(
        failing_over.local > 0 && failing_over.local < failing_over.asked,
        "{failing_over:?}"
    );

    // It was promoted, and judges.
    let (after, ()) = flood_while(&platform, &places, 120, async {
        while !trio.replica_judges() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    after.assert_within(1.0, 1.0);
    assert_eq!(after.local, 0, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_for_five_seconds_holds_nobody_up() {
    let platform = platform().await;
    let server = Server::start(Engine::Valkey9);
    let link = Link::to(server.port).await;
    let settings = sharing(&platform, &quoted(&link.url())).instead("store", "timeout_ms = 50");
    let settings = settings.with("store", "failures = 2\nconnect_timeout_ms = 200");
    let gateways = tokio::task::block_in_place(|| Processes::start(4, &settings));
    let places = gateways.places();
    up(&places).await;

    // Cut and mended under load.
    let clock = platform.clock();
    let (flooded, (gone, mended)) = flood_while(&platform, &places, 240, async {
        link.cut();
        let noticed = async {
            away(&places).await;
            // Two in a row at most were waited for, of as many as were under way; all others went on at once.
            for place in &places {
                let waited = metric(*place, "aimis_store_fallbacks_total{reason=\"timeout\"}").await;
                assert!(waited <= 40.0, "{waited}");
            }
            clock.now_ms()
        };
        let (gone, ()) = tokio::join!(noticed, tokio::time::sleep(CUT));
        let mended = clock.now_ms();
        link.mend();
        up(&places).await;
        (gone, mended)
    })
    .await;

    flooded.assert_within(2.0, 2.0);
    // Behind it there are only parts, which are one quota.
    let apart = flooded.between(gone, mended);
    apart.assert_within(1.0, 1.0);
    assert!(apart.passed() > 0 && flooded.local > 0, "{apart:?}");
    flood(&platform, &places, 60).await.assert_within(2.0, 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_quota_is_one_too_and_a_wait_is_for_a_turn_of_all() {
    let platform = platform().await;
    let server = Server::start(Engine::Redis6);
    let settings = sharing(&platform, &quoted(&server.url()))
        .instead("limits", "max_wait_ms = 5000")
        .instead("limits.tenant", "rate_per_s = 50\nburst = 1\nin_flight = 4")
        .with("limits.client", "rate_per_s = 0.001\nburst = 8")
        .client(&keyed("his", "key-one", ""));
    let gateways: Vec<Gateway> = (0..2).map(|_| settings.start()).collect();
    let places: Vec<Place> = gateways.iter().map(place).collect();
    shown(&places, "aimis_ratelimit_store_up", 1.0).await;
    let ask = |lan| async move {
        let body = studies_query_with(json!({"usage": 2}));
        let path = "/thirdparty/patientStudies/900001";
        post(lan, path, &[("X-Api-Key", "key-one")], body.as_bytes()).await
    };

    let asked = (0..12).map(|at| ask(places[at % 2].lan));
    let answers = futures_util::future::join_all(asked).await;

    // Eight of twelve are the client's, and all of these have their turn, one behind the other.
    let of = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((of(200), of(429)), (8, 4));
    assert_eq!(platform.request_count(), 8);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.code(), 800_201);
    assert_eq!(refused.header("ratelimit-policy"), Some("\"client\";q=8;w=8000"));
    assert!(!is_local(refused));
    let left = |answer: &&crate::support::client::Answer| answer.header("ratelimit").map(str::to_owned);
    let told: std::collections::BTreeSet<_> = answers
        .iter()
        .filter(|a| a.status == 200)
        .filter_map(|a| left(&a))
        .collect();
    assert_eq!(told.len(), 8, "each has seen another rest: {told:?}");
}
