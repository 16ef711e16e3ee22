//! TLS, users and passwords, a cluster; and what is told where one of them is wrong.

use aimis_simulator::Account;

use super::cluster::Cluster;
use super::fleet::{Place, away, flood, is_local, place, platform, sharing, shown, up};
use super::rights::{PASSWORD, documented};
use super::servers::{Engine, Server};
use crate::support::client::post;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query_with};
use crate::support::tls::Authority;

fn secured(directory: &Directory, authority: &Authority) -> Server {
    let pair = authority.certify_for("127.0.0.1", crate::support::tls::Purpose::Server, 2090);
    let certificate = directory.file("redis.pem", &pair.certificate_pem);
    let key = directory.file("redis.key", &pair.key_pem);
    let ca = directory.file("ca.pem", authority.pem());
    let rights = documented().join(" ");
    let users = directory.file(
        "users.acl",
        format!("user default off\nuser aimis on >{PASSWORD} {rights}\nuser poor on >{PASSWORD} ~other:* +@all\n"),
    );
    Server::with(
        Engine::Redis7,
        &[
            "--tls-port PORT",
            "--port 0",
            &format!("--tls-cert-file {certificate}"),
            &format!("--tls-key-file {key}"),
            &format!("--tls-ca-cert-file {ca}"),
            "--tls-auth-clients no",
            &format!("--aclfile {users}"),
        ],
    )
}

fn gateway(settings: &Settings, directory: &Directory, lines: &str) -> Gateway {
    let mut settings = settings.clone();
    for line in lines.lines() {
        settings = settings.with("store", line);
    }
    settings.start_in(directory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_a_user_with_few_rights_are_enough_and_what_is_wrong_is_told() {
    let platform = platform().await;
    let (files, authority) = (Directory::new(), Authority::new("our authority"));
    let server = secured(&files, &authority);
    let settings = sharing(&platform, &format!("\"rediss://127.0.0.1:{}\"", server.port));
    let (ca, password) = (files.path().join("ca.pem"), files.file("password", PASSWORD));
    let wrong = files.file("wrong", "falsch-0815");
    let good = format!(
        "ca_file = \"{}\"\nuser = \"aimis\"\npassword_file = \"{password}\"",
        ca.display()
    );

    let home = Directory::new();
    let running = gateway(&settings, &home, &good);
    shown(&[place(&running)], "aimis_ratelimit_store_up", 1.0).await;
    let flooded = flood(&platform, &[place(&running)], 60).await;
    flooded.assert_within(1.0, 1.0);
    assert_eq!(flooded.local, 0);

    for (lines, why) in [
        (good.replace(&password, &wrong), "auth"),
        (good.replace("\"aimis\"", "\"poor\""), "permission"),
        (
            "user = \"aimis\"\npassword_file = \"".to_owned() + &password + "\"",
            "tls",
        ),
    ] {
        let home = Directory::new();
        let other = gateway(&settings, &home, &lines);
        other.logged("\"event.name\":\"store_away\"").await;
        let answer = other.studies().await;
        assert_eq!((answer.status, is_local(&answer)), (200, true), "{}", answer.text());
        let log = other.stop();
        assert!(log.contains(&format!("\"error.type\":\"{why}\"")), "{why}: {log}");
        assert!(!log.contains(PASSWORD) && !log.contains("falsch-0815"), "{log}");
    }

    // Another password is followed without a restart.
    let home = Directory::new();
    let rotating = gateway(&settings, &home, &good.replace(&password, &wrong));
    rotating.logged("\"event.name\":\"store_away\"").await;
    files.file("wrong", PASSWORD);
    rotating.reload().await.unwrap();
    shown(&[place(&rotating)], "aimis_ratelimit_store_up", 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_each_tenants_quota_in_one_place() {
    let platform = platform().await;
    let second = Account::new("900002", "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$", "H0002", "U0002");
    platform.put_account(second.clone());
    let nodes = tokio::task::block_in_place(|| Cluster::start(Engine::Redis7));
    let settings = sharing(&platform, &nodes.urls())
        .with("store", "cluster = true")
        .tenant("second-hospital", second);
    let gateways: Vec<Gateway> = (0..4).map(|_| settings.start()).collect();
    let places: Vec<Place> = gateways.iter().map(place).collect();
    up(&places).await;

    let flooded = flood(&platform, &places, 60).await;

    flooded.assert_within(1.0, 1.0);
    assert_eq!(flooded.local, 0);
    // The other hospital has all of its own.
    let body = studies_query_with(serde_json::json!({"hospitalId": "H0002", "unionId": "U0002"}));
    let answer = post(places[0].lan, "/thirdparty/patientStudies/900002", &[], body.as_bytes()).await;
    assert_eq!((answer.status, is_local(&answer)), (200, false), "{}", answer.text());
    drop(nodes);
    away(&places).await;
    let answer = gateways[0].studies().await;
    assert!(
        matches!(answer.status, 200 | 429) && is_local(&answer),
        "{}",
        answer.text()
    );
}
