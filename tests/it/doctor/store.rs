//! What replicas share: the way to it, the user's rights there, and the key that seals answers.

use std::fmt::Write;

use futures_util::future::join_all;
use serde_json::Value;

use super::{NAME, Patient, assert_broken, finding, platform};
use crate::store::cluster::Cluster;
use crate::store::servers::{Engine, Server, free_port};
use crate::support::directory::Directory;
use crate::support::gateway::Settings;

const PASSWORD: &str = "kanariengelb-4711";
/// What a connection does by itself, or only a gateway that is told of a channel; the others are for scripts.
const OF_CONNECTIONS: [&str; 6] = ["+ping", "+role", "+hello", "+select", "+publish", "+subscribe"];

/// The rights that docs/replicas.md has for the user; channels, which Redis 6.2 lets everybody have, left out.
fn rights() -> Vec<&'static str> {
    let text = include_str!("../../../docs/replicas.md");
    let line = text.split_once("user aimis on >PASSWORD ").unwrap().1;
    let rights = line.split_once("```").unwrap().0.split_whitespace();
    rights.filter(|right| !right.starts_with('&')).collect()
}

/// One whose answers are at this server, under the key in `key_file`.
fn sharing(patient: Patient, server: &Server, key_file: &str, more: &str) -> Patient {
    let url = server.url();
    patient.with(&format!(
        "[store]\nredis_url = \"{url}\"\nkey_file = \"{key_file}\"\ntimeout_ms = 1000\n{more}"
    ))
}

/// What is found about the store.
fn of_store(document: &Value) -> Vec<&Value> {
    let steps = document["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["step"] == "store").collect()
}

/// All keys in it.
#[track_caller]
fn keys(server: &Server) -> Vec<String> {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.connection()).unwrap();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_store_is_looked_at_as_a_gateway_does_and_what_is_wrong_is_told_by_its_key() {
    let platform = platform().await;
    let server = Server::start(Engine::Redis7);
    let closed = free_port();
    let lines = |port: u16, more: &str| {
        // The cache is in the store, and needs a key there.
        format!("[cache]\nenabled = false\n[store]\nredis_url = \"redis://127.0.0.1:{port}\"\n{more}")
    };

    let good = Patient::of(&platform).with(&lines(server.port, "")).examined(&[]).await;
    let found = finding(&good.1, "store");
    assert_eq!((good.0, &found["verdict"]), (0, &"ok".into()), "{found:#}");
    assert!(found["found"].as_str().unwrap().contains("0 gateway(s)"), "{found:#}");

    let nobody = Patient::of(&platform).with(&lines(closed, "")).examined(&[]).await;
    assert_broken(&nobody, "store", &[], &["store.redis_url"]);
    let file = Directory::new().file("gone", "");
    let unread = Patient::of(&platform).with(&lines(server.port, &format!("password_file = \"{file}\"")));
    assert_broken(&unread.examined(&[]).await, "store", &[], &["without it"]);
    let no_master = lines(server.port, "sentinel_master = \"aimis\"");
    let no_master = Patient::of(&platform).with(&no_master).examined(&[]).await;
    assert_broken(&no_master, "store", &[], &["store.sentinel_master"]);
}

#[tokio::test]
async fn a_shared_cache_is_used_as_a_gateway_does_and_nothing_of_it_is_left() {
    let platform = platform().await;
    let (server, files) = (Server::start(Engine::Redis7), Directory::new());
    let key = files.file("store.key", "1f".repeat(32));
    let patient = sharing(Patient::of(&platform), &server, &key, "");

    let (status, document) = patient.examined(&[]).await;
    let [way, opened] = of_store(&document)[..] else {
        panic!("{document:#}")
    };
    assert_eq!(
        (status, &way["verdict"], &opened["verdict"]),
        (0, &"ok".into(), &"ok".into()),
        "{document:#}"
    );
    assert!(
        opened["found"].as_str().unwrap().contains("no data key yet"),
        "{opened:#}"
    );
    assert_eq!(keys(&server), [""; 0]);

    let gateway = Settings::calling(&platform)
        .cached()
        .with("store", &format!("redis_url = \"{}\"", server.url()))
        .with("store", &format!("key_file = \"{key}\""))
        .with("store", "timeout_ms = 2000")
        .start();
    gateway.logged("\"event.name\":\"store_up\"").await;
    assert_eq!(gateway.studies().await.status, 200);
    gateway.stop();
    let data_key = format!("aimis:{{{NAME}}}:cache:key");
    let before = keys(&server);
    assert!(before.contains(&data_key), "{before:?}");

    let (status, document) = patient.examined(&[]).await;
    let opened = of_store(&document)[1];
    assert_eq!((status, &opened["verdict"]), (0, &"ok".into()), "{document:#}");
    assert!(
        opened["found"].as_str().unwrap().contains("keys of 1 tenant"),
        "{opened:#}"
    );
    // While keys are changed.
    let next = files.file("next.key", "2e".repeat(32));
    let more = format!("other_key_file = \"{key}\"");
    let changing = sharing(Patient::of(&platform), &server, &next, &more);
    let (status, document) = changing.examined(&[]).await;
    assert_eq!(
        (status, &of_store(&document)[1]["verdict"]),
        (0, &"ok".into()),
        "{document:#}"
    );

    let other = sharing(Patient::of(&platform), &server, &next, "").examined(&[]).await;
    let (status, document) = &other;
    let refused = of_store(document)[1];
    assert_eq!((*status, &refused["verdict"]), (1, &"fail".into()), "{document:#}");
    assert_eq!(refused["tenant"], NAME);
    assert!(
        refused["found"].as_str().unwrap().contains("another key file"),
        "{refused:#}"
    );
    assert!(
        refused["fix"].as_str().unwrap().contains("store.other_key_file"),
        "{refused:#}"
    );
    let told = document.to_string();
    assert!(!told.contains("1f1f") && !told.contains("2e2e"), "{told}");

    let _: () = redis::cmd("SETRANGE")
        .arg(&data_key)
        .arg(60)
        .arg("x!x")
        .query(&mut server.connection())
        .unwrap();
    let (status, document) = patient.examined(&[]).await;
    let damaged = of_store(&document)[1];
    assert_eq!((status, &damaged["verdict"]), (0, &"warn".into()), "{document:#}");
    assert!(damaged["found"].as_str().unwrap().contains("damaged"), "{damaged:#}");
    let after = keys(&server);
    assert!(
        after.contains(&data_key) && after.iter().all(|key| before.contains(key)),
        "{after:?}"
    );
}

#[tokio::test]
async fn each_right_that_a_gateway_needs_is_missed_at_the_store() {
    let platform = platform().await;
    let files = Directory::new();
    let key = files.file("store.key", "1f".repeat(32));
    let password = files.file("password", PASSWORD);
    let needed: Vec<_> = rights().into_iter().filter(|right| right.starts_with('+')).collect();
    let needed = needed.into_iter().filter(|right| !OF_CONNECTIONS.contains(right));
    for engine in Engine::ALL {
        let server = Server::start(engine);
        let user = |name: &str, less: &str| {
            let mut cmd = redis::cmd("ACL");
            cmd.arg("SETUSER").arg(name).arg("on").arg(format!(">{PASSWORD}"));
            for right in rights().into_iter().filter(|right| *right != less) {
                cmd.arg(right);
            }
            let _: () = cmd.query(&mut server.connection()).unwrap();
            let mut lines = String::new();
            writeln!(lines, "user = \"{name}\"\npassword_file = \"{password}\"").unwrap();
            sharing(Patient::of(&platform), &server, &key, &lines)
        };
        let (status, document) = user("aimis", "").examined(&[]).await;
        assert_eq!((status, of_store(&document).len()), (0, 2), "{document:#}");

        let poor = needed
            .clone()
            .map(|right| (right, user(&format!("no-{}", &right[1..]), right)));
        let examined = poor.map(async |(right, patient)| (right, patient.examined(&[]).await));
        let examined = join_all(examined).await;
        assert!(examined.len() > 15);
        for (right, examined) in examined {
            assert_broken(&examined, "store", &[], &["store.user", "docs/replicas.md"]);
            let found = finding(&examined.1, "store")["found"].as_str().unwrap();
            assert!(found.contains("does not let the user"), "{engine:?} {right}: {found}");
        }
        // What they left ends by itself, within seconds.
        let mut connection = server.connection();
        for left in keys(&server) {
            let life: i64 = redis::cmd("PTTL").arg(&left).query(&mut connection).unwrap();
            assert!((-2..=10_000).contains(&life) && life != -1, "{left}: {life}");
        }
    }
}

#[tokio::test]
async fn a_key_file_that_the_start_would_miss_is_told_by_its_key() {
    let platform = platform().await;
    let (server, files) = (Server::start(Engine::Redis7), Directory::new());
    let key = files.file("store.key", "1f".repeat(32));
    let gone = files.path().join("gone.key").display().to_string();

    let missing = sharing(Patient::of(&platform), &server, &gone, "").examined(&[]).await;
    assert_broken(&missing, "store", &[], &["store.key_file", "does not start"]);
    let found = finding(&missing.1, "store")["found"].as_str().unwrap();
    assert!(found.contains("gone.key"), "{found}");

    let short = files.file("short.key", "geheim");
    let none = sharing(Patient::of(&platform), &server, &short, "").examined(&[]).await;
    assert_broken(&none, "store", &[], &["store.key_file"]);
    assert!(!none.1.to_string().contains("geheim"), "{:#}", none.1);

    let more = format!("other_key_file = \"{gone}\"");
    let other = sharing(Patient::of(&platform), &server, &key, &more)
        .examined(&[])
        .await;
    assert_broken(&other, "store", &[], &["store.other_key_file", "does not start"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_cache_in_a_cluster_is_used_as_well() {
    let platform = platform().await;
    let files = Directory::new();
    let key = files.file("store.key", "1f".repeat(32));
    let nodes = tokio::task::block_in_place(|| Cluster::start(Engine::Redis7));
    let lines = format!(
        "[store]\nredis_url = {}\ncluster = true\nkey_file = \"{key}\"\ntimeout_ms = 1000",
        nodes.urls()
    );

    let (status, document) = Patient::of(&platform).with(&lines).examined(&[]).await;

    let found: Vec<_> = of_store(&document).iter().map(|found| &found["verdict"]).collect();
    assert_eq!((status, found), (0, vec![&Value::from("ok"); 2]), "{document:#}");
}
