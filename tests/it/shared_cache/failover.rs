//! Another server takes the store's place, and has not heard of everything.

use aimis_simulator::Callback;
use aimis_simulator::Study;
use tokio::task::block_in_place;

use super::bed::{Bed, Wire};
use super::{HIT, MISS, told};
use crate::store::cluster::Cluster;
use crate::store::servers::{Engine, Server, free_port};
use crate::store::trio::{Trio, keys};
use crate::support::gateway::Settings;

/// Keys of what is kept of answers: entries and generations.
const KEPT: &str = "aimis:{first-hospital}:*";
/// One of them; all of a tenant's are on one node.
const ONE: &str = "aimis:{first-hospital}:quota:tenant";

/// By sentinels; what is waited for is that callbacks give up, so they do soon.
pub fn failing_over(settings: Settings) -> Settings {
    settings
        .with("store", "sentinel_master = \"aimis\"")
        .with("store", "forget_wait_ms = 200")
}

/// The study lists that gateways give, as text.
async fn lists<S>(bed: &Bed<S>) -> Vec<String> {
    let mut lists = Vec::new();
    for gateway in &bed.gateways {
        let answer = gateway.studies().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        lists.push(answer.json()["data"].to_string());
    }
    lists
}

/// Something new is known of the patient, and its callback is acknowledged.
async fn news<S>(bed: &Bed<S>) {
    let callback = Callback::demo();
    let study = Study::new("NEW1", 0, "2024-12-06 09:30:00", "H0001", "U0001");
    assert!(bed.platform.add_study(&callback.id_num, study));
    let acknowledged = async { while !bed.callback(0, "NEW1").await {} };
    tokio::time::timeout(crate::support::client::PATIENCE, acknowledged)
        .await
        .expect("an acknowledgement");
}

/// All have the list from before in their memory, and the store has it.
async fn warmed<S>(bed: &Bed<S>) {
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    for gateway in &bed.gateways {
        assert_eq!(told(&gateway.studies().await), HIT);
    }
}

/// After it nobody gives the list from before, and what is asked now serves all.
async fn nothing_old_serves<S>(bed: &Bed<S>) {
    bed.up().await;
    for list in lists(bed).await {
        assert!(list.contains("NEW1"), "an old list: {list}");
    }
    for gateway in &bed.gateways {
        assert_eq!(told(&gateway.studies().await), HIT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_server_that_missed_a_callback_gives_no_answer_from_before_it() {
    let mut trio = block_in_place(Trio::start);
    let bed = Bed::at((), &trio.urls(), 3, failing_over).await;
    warmed(&bed).await;
    trio.level();
    let kept = trio.of_replica(KEPT);
    assert!(kept.len() > 3, "{kept:?}");

    trio.deafen_replica();
    news(&bed).await;
    // The master ended what the replica still has.
    assert!(!kept.iter().all(|key| trio.of_master(KEPT).contains(key)));
    assert_eq!(trio.of_replica(KEPT), kept);
    trio.kill_master();

    for gateway in &bed.gateways {
        gateway.logged("\"event.name\":\"store_away\"").await;
    }
    nothing_old_serves(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clusters_replica_that_missed_a_callback_gives_no_answer_from_before_it() {
    let mut nodes = block_in_place(|| Cluster::start(Engine::Redis7));
    block_in_place(|| nodes.follow(ONE));
    let urls = nodes.urls();
    let bed = Bed::at((), &urls, 3, |settings| {
        settings
            .with("store", "cluster = true")
            .with("store", "forget_wait_ms = 200")
    })
    .await;
    warmed(&bed).await;
    let (master, replica) = nodes.pair();
    let whole = keys(master, KEPT);
    assert!(whole.len() > 3, "{whole:?}");
    // It says that it follows before it has it all.
    until(|| keys(replica, KEPT) == whole).await;
    let kept = whole;

    // What its master tells it waits from now on, and is dropped with the master.
    let mut deaf = redis::cmd("CLIENT");
    deaf.arg("PAUSE").arg(600_000).arg("WRITE");
    deaf.exec(&mut replica.connection()).unwrap();
    news(&bed).await;
    assert!(!kept.iter().all(|key| keys(master, KEPT).contains(key)));
    assert_eq!(keys(replica, KEPT), kept);
    block_in_place(|| nodes.fail_over());
    let (_, replica) = nodes.pair();
    assert_eq!(keys(replica, KEPT), kept);
    redis::cmd("CLIENT")
        .arg("UNPAUSE")
        .exec(&mut replica.connection())
        .unwrap();

    nothing_old_serves(&bed).await;
}

/// Waits for something at a server.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::client::PATIENCE, waiting)
        .await
        .expect("the server has it in time");
}

/// Waits until a server hears its master: a master that gets its first replica begins another reign.
async fn linked(replica: &Server) {
    until(|| {
        let told: String = redis::cmd("INFO")
            .arg("replication")
            .query(&mut replica.connection())
            .unwrap();
        told.contains("master_link_status:up")
    })
    .await;
}

/// Follows another server, or nobody.
fn follow(server: &Server, other: Option<&Server>) {
    let mut follow = redis::cmd("REPLICAOF");
    match other {
        Some(other) => follow.arg("127.0.0.1").arg(other.port),
        None => follow.arg("NO").arg("ONE"),
    };
    follow.exec(&mut server.connection()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_replaced_and_comes_back_gives_no_answer_that_a_callback_ended() {
    for engine in [Engine::Redis6, Engine::Redis7, Engine::Valkey9] {
        let second = Server::start(engine);
        let bed = Bed::of(engine, 2, |settings| settings.with("store", "forget_wait_ms = 200")).await;
        let first = &bed.server;
        follow(&second, Some(first));
        linked(&second).await;
        warmed(&bed).await;
        let kept = keys(first, KEPT);
        assert!(kept.len() > 3, "{kept:?}");
        until(|| keys(&second, KEPT) == kept).await;

        // The second takes over without having heard of the callback; nobody asks for the patient there.
        follow(&second, None);
        news(&bed).await;
        assert!(!kept.iter().all(|key| keys(first, KEPT).contains(key)));
        // The first learns what the second has, and takes over again; it ran all the while.
        follow(first, Some(&second));
        until(|| keys(first, KEPT) == kept).await;
        follow(first, None);

        nothing_old_serves(&bed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_follows_another_gives_no_answer_to_whoever_is_led_to_it() {
    for engine in [Engine::Redis6, Engine::Redis7, Engine::Valkey9] {
        let (first, second) = (Server::start(engine), Server::start(engine));
        follow(&second, Some(&first));
        linked(&second).await;
        let wire = Wire::to(first.port).await;
        let url = format!("\"redis://127.0.0.1:{}\"", wire.port);
        // No heartbeat tells meanwhile that nothing can be written there.
        let bed = Bed::at(first, &url, 1, |settings| {
            settings.instead("store", "heartbeat_ms = 60000")
        })
        .await;
        let gateway = &bed.gateways[0];
        assert_eq!(told(&gateway.studies().await), MISS);
        assert_eq!(told(&gateway.studies().await), HIT);
        until(|| keys(&second, KEPT) == keys(&bed.server, KEPT)).await;

        // The second hears no more of what ends answers, and a balancer leads there.
        let mut deaf = redis::cmd("REPLICAOF");
        deaf.arg("127.0.0.1").arg(free_port());
        deaf.exec(&mut second.connection()).unwrap();
        let study = Study::new("NEW1", 0, "2024-12-06 09:30:00", "H0001", "U0001");
        assert!(bed.platform.add_study(&Callback::demo().id_num, study));
        wire.lead_to(second.port).await;

        for _ in 0..4 {
            for list in lists(&bed).await {
                assert!(list.contains("NEW1"), "an answer of one that follows: {list}");
            }
        }
    }
}
