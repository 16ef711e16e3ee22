//! A user that has what docs/replicas.md says, and no more: all that gateways do is allowed, and all of it is needed.

use std::collections::BTreeSet;

use redis::Connection;
use tokio::task::block_in_place;

use super::cluster::Cluster;
use super::servers::{Engine, Server, free_port};
use super::trio::Trio;
use crate::shared_cache::bed::Bed;
use crate::support::client::Answer;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};
use crate::support::tls::{Authority, Purpose};

/// The user's password.
pub const PASSWORD: &str = "kanariengelb-4711";
/// Of the user at the sentinels.
const OTHER_PASSWORD: &str = "zeisiggruen-0815";

/// What the user of docs/replicas.md has, without its name and password, as words.
pub fn documented() -> Vec<&'static str> {
    let (_, text) = manual().split_once("user aimis on >PASSWORD ").unwrap();
    let (rights, _) = text.split_once("```").unwrap();
    rights.split_whitespace().collect()
}

/// What it, or another, has beside them, behind these words.
fn documented_for(words: &str) -> Vec<&'static str> {
    let (_, text) = manual().split_once(words).unwrap();
    let (quoted, _) = text.split_once('`').unwrap();
    quoted.split_whitespace().collect()
}

fn manual() -> &'static str {
    include_str!("../../../docs/replicas.md")
}

/// Makes a user at a server that has these rights.
fn allow(connection: &mut Connection, name: &str, password: &str, rights: &[&str]) {
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg(name).arg("reset").arg("on");
    user.arg(format!(">{password}")).arg(rights);
    user.exec(connection).unwrap();
}

/// Makes the gateways' user at servers, which count commands anew.
fn allow_gateways(servers: &mut [Connection], rights: &[&str]) {
    for server in servers {
        allow(server, "aimis", PASSWORD, rights);
        redis::cmd("CONFIG").arg("RESETSTAT").exec(server).unwrap();
    }
}

/// Nothing was refused there.
#[track_caller]
fn assert_enough(servers: &mut [Connection]) {
    for server in servers {
        let refused: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query(server).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// Commands that servers have had since, by the names that rights have.
fn had(servers: &mut [Connection]) -> BTreeSet<String> {
    let mut had = BTreeSet::new();
    for server in servers {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(server).unwrap();
        let names = stats
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
        had.extend(names.map(|name| format!("+{name}")));
    }
    had
}

/// Nothing that is allowed was not used.
#[track_caller]
fn assert_needed(servers: &mut [Connection], rights: &[&str]) {
    let had = had(servers);
    let is_idle = |right: &&&str| right.starts_with('+') && !had.contains(**right);
    let idle: Vec<_> = rights.iter().filter(is_idle).collect();
    assert!(idle.is_empty(), "never used: {idle:?}");
}

/// No call of a gateway failed, and nothing that it kept was refused.
async fn assert_without_faults(gateway: &Gateway) {
    let text = gateway.telemetry("/metrics").await.text();
    let series = [
        "aimis_store_faults_total{",
        "aimis_store_fallbacks_total{",
        "aimis_cache_faults_total{",
    ];
    let counted = text
        .lines()
        .filter(|line| series.iter().any(|name| line.starts_with(name)));
    let mut lines = 0;
    for line in counted {
        assert!(line.ends_with(" 0"), "{line}");
        lines += 1;
    }
    assert!(lines > series.len(), "{text}");
}

/// As that user, with limits.
fn signed_in(settings: Settings, files: &Directory) -> Settings {
    let password = files.file("password", PASSWORD);
    settings
        .with("store", &format!("user = \"aimis\"\npassword_file = \"{password}\""))
        .with("limits.tenant", "rate_per_s = 1000\nburst = 1000\nin_flight = 0")
}

/// The platform, or the cache.
fn origin(answer: &Answer) -> Option<&str> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-aimis-origin")
}

/// A question that is asked, one that the other replica answers, and a callback that ends the answer.
async fn asked_kept_and_ended<S>(bed: &Bed<S>) {
    for callback in ["RS1001", "RS1002"] {
        assert_eq!(origin(&bed.gateways[0].studies().await), Some("platform"));
        assert_eq!(origin(&bed.gateways[1].studies().await), Some("cache"));
        assert!(bed.callback(1, callback).await, "it is acknowledged");
    }
}

/// The first that asks, the last that stops: nothing is refused in between.
async fn all_of_it<S>(mut bed: Bed<S>, servers: &mut [Connection], rights: &[&str]) {
    asked_kept_and_ended(&bed).await;
    for gateway in &bed.gateways {
        assert_without_faults(gateway).await;
    }
    // They take their leave.
    bed.gateways.drain(..).for_each(|gateway| drop(gateway.stop()));
    assert_enough(servers);
    assert_needed(servers, rights);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_is_enough_and_none_of_its_rights_is_idle() {
    let rights = documented();
    for engine in Engine::ALL {
        let files = Directory::new();
        let server = block_in_place(|| Server::start(engine));
        let mut servers = [server.connection()];
        allow_gateways(&mut servers, &rights);
        let url = format!("\"{}\"", server.url());
        let bed = Bed::at(server, &url, 2, |settings| signed_in(settings, &files)).await;
        all_of_it(bed, &mut servers, &rights).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_has_a_cache_over_tls_and_in_a_database_with_a_number() {
    let (files, authority) = (Directory::new(), Authority::new("our authority"));
    let pair = authority.certify_for("127.0.0.1", Purpose::Server, 2090);
    let certificate = files.file("redis.pem", &pair.certificate_pem);
    let key = files.file("redis.key", &pair.key_pem);
    let ca = files.file("ca.pem", authority.pem());
    let plain = free_port();
    let server = block_in_place(|| {
        Server::with(
            Engine::Redis7,
            &[
                "--tls-port PORT",
                // For what the test itself asks.
                &format!("--port {plain}"),
                &format!("--tls-cert-file {certificate}"),
                &format!("--tls-key-file {key}"),
                &format!("--tls-ca-cert-file {ca}"),
                "--tls-auth-clients no",
            ],
        )
    });
    let client = redis::Client::open(format!("redis://127.0.0.1:{plain}")).unwrap();
    let mut servers = [client.get_connection().unwrap()];
    let rights = [documented(), documented_for("- where `redis_url` names a database `")].concat();
    allow_gateways(&mut servers, &rights);
    let url = format!("\"rediss://127.0.0.1:{}/1\"", server.port);

    let bed = Bed::at(server, &url, 2, |settings| {
        signed_in(settings, &files)
            .with("store", &format!("ca_file = \"{ca}\""))
            .with("admin", "listen = \"127.0.0.1:0\"")
    })
    .await;
    asked_kept_and_ended(&bed).await;
    // The hospital's data key goes, and another is drawn.
    bed.shred().await;

    all_of_it(bed, &mut servers, &rights).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_of_the_manual_are_enough_at_sentinels_and_at_their_master() {
    let files = Directory::new();
    let rights = [documented(), documented_for("- with Sentinel `")].concat();
    let at_sentinels = documented_for("at the sentinels themselves `");
    let trio = block_in_place(Trio::start);
    let mut servers = trio.servers();
    allow_gateways(&mut servers, &rights);
    let mut sentinels = trio.sentinels();
    for sentinel in &mut sentinels {
        allow(sentinel, "watcher", OTHER_PASSWORD, &at_sentinels);
        // Nobody else may ask for it.
        let mut others = redis::cmd("ACL");
        others
            .arg("SETUSER")
            .arg("default")
            .arg("-sentinel|get-master-addr-by-name");
        others.exec(sentinel).unwrap();
    }
    let other = files.file("other", OTHER_PASSWORD);
    let urls = trio.urls();

    let bed = Bed::at((), &urls, 2, |settings| {
        signed_in(settings, &files)
            .with("store", "sentinel_master = \"aimis\"")
            .with(
                "store",
                &format!("sentinel_user = \"watcher\"\nsentinel_password_file = \"{other}\""),
            )
    })
    .await;

    all_of_it(bed, &mut servers, &rights).await;
    assert_enough(&mut sentinels);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_is_enough_in_a_cluster_of_which_a_slot_moves() {
    let files = Directory::new();
    let rights = [documented(), documented_for("- in a cluster `")].concat();
    let nodes = block_in_place(|| Cluster::start(Engine::Redis7));
    // It is not there yet, so that it is asked for where it moves to.
    nodes.moves("aimis:gateways");
    let mut servers = nodes.connections();
    allow_gateways(&mut servers, &rights);
    let urls = nodes.urls();

    let bed = Bed::at((), &urls, 2, |settings| {
        signed_in(settings, &files).with("store", "cluster = true")
    })
    .await;

    all_of_it(bed, &mut servers, &rights).await;
}
