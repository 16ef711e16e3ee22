//! Gateways that do not all know the same: one is cut off, or the store has forgotten who there is.

use super::fleet::{BURST, Place, RATE, ask, away, flood, is_local, metric, place, platform, sharing, shown, up};
use super::link::Link;
use super::servers::{Engine, Server};
use crate::support::gateway::Gateway;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_four_that_is_cut_off_has_its_part_beside_the_quota_of_the_others() {
    let platform = platform().await;
    let server = Server::start(Engine::Redis7);
    let link = Link::to(server.port).await;
    let settings = |url: &str| {
        sharing(&platform, &format!("\"{url}\""))
            .instead("store", "timeout_ms = 200")
            .with("store", "connect_timeout_ms = 200")
    };
    let mut gateways: Vec<Gateway> = (0..3).map(|_| settings(&server.url()).start()).collect();
    gateways.push(settings(&link.url()).start());
    let places: Vec<Place> = gateways.iter().map(place).collect();
    let (others, cut_off) = places.split_at(3);
    up(&places).await;

    // Cut under load, apart for a while, together again under load. The store and the part are spent each by its own rule,
    // whenever who goes by which: a quarter more than the quota and than the burst, over all of it.
    #[expect(clippy::disallowed_methods, reason = "the bound is one of real time")]
    let begin = std::time::Instant::now();
    let (falling, ()) = tokio::join!(flood(&platform, &places, 120), async { link.cut() });
    away(cut_off).await;
    let part = flood(&platform, cut_off, 1_200).await;
    part.assert_within(0.25, 0.25);
    let apart = flood(&platform, &places, 120).await;
    let (alone, together) = (ask(cut_off[0].lan).await, ask(others[0].lan).await);
    link.mend();
    let rising = flood(&platform, &places, 120).await;
    up(&places).await;
    let (passed, took) = (platform.request_count() as f64, begin.elapsed());

    let bound = 1.25 * (RATE * took.as_secs_f64() + BURST);
    assert!(
        passed <= bound,
        "{passed} of {bound}: {falling:?}, {apart:?}, {rising:?}"
    );
    // Only the one went by its part, and said so; the others have lost nothing.
    assert!(is_local(&alone) && !is_local(&together));
    assert!(apart.local >= apart.asked / 4 && apart.local < apart.asked, "{apart:?}");
    for place in others {
        let fell = metric(*place, "aimis_store_fallbacks_total{reason=\"away\"}").await;
        assert_eq!(fell, 0.0);
    }
    let again = flood(&platform, &places, 60).await;
    assert_eq!(again.local, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgot_who_there_is_makes_no_part_too_large() {
    let platform = platform().await;
    let mut server = Server::start(Engine::Redis7);
    // So that it is what they were counted to be that holds, and not the least that they reckon with.
    let settings = sharing(&platform, &format!("\"{}\"", server.url())).instead("store", "replicas_min = 1");
    let gateways: Vec<Gateway> = (0..4).map(|_| settings.start()).collect();
    let places: Vec<Place> = gateways.iter().map(place).collect();
    up(&places).await;

    for restarted in [false, true] {
        // It is empty, one after the other comes, and it goes again before it knows of all.
        tokio::task::block_in_place(|| {
            if restarted {
                server.up();
            }
            let mut connection = server.connection();
            redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
            let mut there = redis::cmd("ZCARD");
            there.arg("aimis:gateways");
            while there.query::<u32>(&mut connection).unwrap() == 0 {}
            drop(connection);
            server.down();
        });
        away(&places).await;
        let parts = flood(&platform, &places, 120).await;
        parts.assert_within(1.0, 1.0);
        assert_eq!(parts.local, parts.asked);
        for place in &places {
            assert_eq!(metric(*place, "aimis_store_replicas").await, 4.0);
        }
    }

    // Back for good, and counted anew.
    tokio::task::block_in_place(|| server.up());
    shown(&places, "aimis_ratelimit_store_up", 1.0).await;
    shown(&places, "aimis_store_replicas", 4.0).await;
}
