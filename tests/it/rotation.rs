//! A token is changed on both sides, in whatever order, and nobody is refused for it.

mod keys;

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Callback, CallbackSender, Platform};
use serde_json::{Value, json};

use crate::log_fields::checked;
use crate::privacy::canary::{Canaries, Sinks};
use crate::reload::{Load, platform};
use crate::support::client::{self, request};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";
/// A listener for operators is asked by a loopback address.
const HOST: (&str, &str) = ("Host", "127.0.0.1");
const NOW: u64 = 1_735_689_600_000;

/// What the platform takes: the first is in force.
fn takes(platform: &Platform, tokens: &[&str]) {
    platform.put_account(Account {
        token: tokens[0].to_owned(),
        previous_token: tokens.get(1).map(|token| (*token).to_owned()),
        ..Account::demo()
    });
}

fn settings(platform: &Platform) -> Settings {
    Settings::calling(platform).with("rotation", "canary_interval_ms = 100")
}

fn switches(reason: &str) -> String {
    format!("aimis_token_switches_total{{reason=\"{reason}\",tenant=\"first-hospital\"}}")
}

/// Stops it, looks for the tokens in all that it said, and gives its lines.
async fn told(gateway: Gateway, platform: &Platform) -> Vec<Value> {
    let mut canaries = Canaries::default();
    canaries.add("the old token", OLD);
    canaries.add("the new token", NEW);
    canaries.learn(platform);
    let mut sinks = Sinks::default();
    for path in ["/metrics", "/healthz"] {
        sinks.answer(path, &gateway.telemetry(path).await);
    }
    let log = gateway.stop();
    sinks.text("log", &log);
    canaries.assert_absent(&sinks);
    checked(&log)
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event.name"] == event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_takes_both_then_the_new_one_only() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = settings(&platform).with("runtime", "workers = 2");
    let gateway = base.start_in(&directory);
    let load = Load::start(&gateway, 4);
    load.more(10).await;

    // The runbook, step by step.
    directory.file("next.token", NEW);
    base.clone()
        .of_tenant("next_token_file = \"next.token\"")
        .write(&directory);
    gateway.reload().await.unwrap();
    gateway.logged("\"event.name\":\"token_not_taken\"").await;
    load.more(10).await;
    takes(&platform, &[OLD, NEW]);
    gateway.logged("\"event.name\":\"token_switched\"").await;
    load.more(10).await;
    takes(&platform, &[NEW]);
    load.more(10).await;
    directory.file("first-hospital.token", NEW);
    base.write(&directory);
    gateway.reload().await.unwrap();
    load.more(10).await;

    load.end().await;
    assert_eq!(gateway.metric(&switches("canary")).await, Some(1.0));
    assert_eq!(gateway.metric(&switches("refused")).await, Some(0.0));
    let lines = told(gateway, &platform).await;
    let not_taken = of(&lines, "token_not_taken");
    assert_eq!(not_taken.len(), 1, "told once, tried often");
    assert_eq!(
        (&not_taken[0]["reason"], &not_taken[0]["severity_text"]),
        (&"refused".into(), &"WARN".into())
    );
    let switched = of(&lines, "token_switched");
    assert_eq!((switched.len(), &switched[0]["severity_text"]), (1, &"INFO".into()));
    let loaded = of(&lines, "secret_loaded");
    assert_eq!(loaded[0]["fingerprint"], switched[0]["fingerprint.before"]);
    assert_eq!(loaded[1]["fingerprint"], switched[0]["fingerprint"]);
    assert_eq!(
        (&loaded[0]["source"], &loaded[1]["source"]),
        (&"token".into(), &"next".into())
    );
}

/// From one moment to the next, in the middle of the load: each question that is refused under the one is asked under
/// the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_changes_over_first_and_at_once() {
    for canary in [true, false] {
        let (platform, directory) = (platform().await, Directory::new());
        directory.file("next.token", NEW);
        let gateway = settings(&platform)
            .with("runtime", "workers = 2")
            .with("rotation", &format!("canary = {canary}"))
            .of_tenant("next_token_file = \"next.token\"")
            .start_in(&directory);
        let load = Load::start(&gateway, 4);
        load.more(20).await;

        takes(&platform, &[NEW]);

        gateway.logged("\"event.name\":\"token_switched\"").await;
        load.more(20).await;
        load.end().await;
        let before = platform.request_count();
        assert_eq!(gateway.studies().await.code(), 0);
        assert_eq!(platform.request_count(), before + 1, "the new one at once");
        if !canary {
            assert_eq!(gateway.metric(&switches("refused")).await, Some(1.0));
            let lines = told(gateway, &platform).await;
            assert_eq!(of(&lines, "token_switched")[0]["severity_text"], "ERROR");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_changes_over_first() {
    for canary in [true, false] {
        let (platform, directory) = (platform().await, Directory::new());
        let gateway = settings(&platform)
            .with("runtime", "workers = 2")
            .with("rotation", &format!("canary = {canary}"))
            .start_in(&directory);
        let load = Load::start(&gateway, 4);
        load.more(10).await;

        // Nothing but the file changes.
        directory.file("first-hospital.token", NEW);
        gateway.reload().await.unwrap();
        load.more(30).await;
        if canary {
            gateway.logged("\"event.name\":\"token_not_taken\"").await;
        } else {
            assert_eq!(gateway.metric(&switches("file")).await, Some(1.0));
            gateway.logged("\"reason\":\"refused\"").await;
        }
        takes(&platform, &[NEW]);
        load.more(30).await;

        load.end().await;
        let before = platform.request_count();
        assert_eq!(gateway.studies().await.code(), 0);
        assert_eq!(platform.request_count(), before + 1);
        told(gateway, &platform).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_that_stops_being_taken_is_left_again_and_not_tried_at_once() {
    let (platform, directory) = (platform().await, Directory::new());
    takes(&platform, &[OLD, NEW]);
    directory.file("next.token", NEW);
    let gateway = settings(&platform)
        .of_tenant("next_token_file = \"next.token\"")
        .start_in(&directory);
    gateway.logged("\"reason\":\"canary\"").await;
    let load = Load::start(&gateway, 2);
    load.more(10).await;

    takes(&platform, &[OLD]);
    gateway.logged("\"reason\":\"refused\"").await;
    takes(&platform, &[OLD, NEW]);
    load.more(50).await;

    load.end().await;
    assert_eq!(gateway.metric(&switches("canary")).await, Some(1.0));
    assert_eq!(gateway.metric(&switches("refused")).await, Some(1.0));
    let lines = told(gateway, &platform).await;
    let [there, back] = of(&lines, "token_switched")[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(there["fingerprint"], back["fingerprint.before"]);
    assert_eq!(back["severity_text"], "ERROR");
}

/// A complaint about fields is no proof: whoever looks at them before the signature takes any token.
#[tokio::test]
async fn only_an_answer_proves_a_token() {
    let (platform, directory) = (platform().await, Directory::new());
    directory.file("next.token", NEW);
    platform.set_fault(aimis_simulator::Fault::BusinessCode {
        code: 10_005,
        message: "data not valid".to_owned(),
    });
    let gateway = settings(&platform)
        .of_tenant("next_token_file = \"next.token\"")
        .start_in(&directory);
    gateway.logged("\"event.name\":\"token_not_taken\"").await;
    platform.wait_for_requests(3).await;

    assert_eq!(gateway.metric(&switches("canary")).await, Some(0.0));
    let lines = told(gateway, &platform).await;
    assert_eq!(of(&lines, "token_not_taken")[0]["reason"], "unclear");
}

#[tokio::test]
async fn what_no_token_helps_against_is_tried_once_with_each_and_told_as_it_is() {
    let (platform, directory) = (platform().await, Directory::new());
    directory.file("previous.token", NEW);
    let gateway = settings(&platform)
        .with("rotation", "canary = false")
        .of_tenant("previous_token_file = \"previous.token\"")
        .start_in(&directory);
    takes(&platform, &["Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$"]);

    assert_eq!(gateway.studies().await.code(), 90_002);
    assert_eq!(platform.request_count(), 3);
    // Known for a while.
    assert_eq!(gateway.studies().await.code(), 90_002);
    assert_eq!(platform.request_count(), 4);
    let line = checked(&gateway.stop());
    let line = line.iter().find(|line| line["event.name"] == "request").unwrap();
    assert_eq!((&line["attempts"], &line["code_class"]), (&3.into(), &"auth".into()));
}

#[tokio::test]
async fn one_token_is_tried_once() {
    let (platform, directory) = (platform().await, Directory::new());
    let gateway = settings(&platform).start_in(&directory);
    takes(&platform, &[NEW]);

    assert_eq!(gateway.studies().await.code(), 90_002);
    assert_eq!(platform.request_count(), 1);
}

/// Sends a callback under `token`; whether it was taken.
async fn callback(gateway: &Gateway, platform: &Platform, token: &str, now: u64, status: i64) -> bool {
    let account = Account {
        token: token.to_owned(),
        ..Account::demo()
    };
    let url = format!("http://{}/callback/first-hospital", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &account)
        .unwrap()
        .forge_timestamp(&now.to_string());
    let data = platform.data();
    let (patient, studies) = data.patients().next().unwrap();
    let reply = sender.send(&Callback::about(patient, &studies[0], status)).await;
    reply.unwrap().is_received()
}

#[tokio::test]
async fn callbacks_under_every_live_token_are_taken_and_decrypted() {
    let (platform, directory) = (platform().await, Directory::new());
    let (next, previous) = (NEW, "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$");
    directory.file("next.token", next);
    directory.file("previous.token", previous);
    let clock = Clock::manual(NOW);
    let base = settings(&platform)
        .clock(clock.clone())
        .callbacks(&directory)
        .with("callback", "signature = \"required\"");
    let gateway = base
        .clone()
        .of_tenant("next_token_file = \"next.token\"\nprevious_token_file = \"previous.token\"")
        .start_in(&directory);
    for (status, token) in (3..).zip([OLD, next, previous]) {
        assert!(callback(&gateway, &platform, token, NOW + 1, status).await, "{token}");
    }
    let other = "00000000000000000000000000000000";
    assert!(!callback(&gateway, &platform, other, NOW + 1, 6).await);

    base.write(&directory);
    gateway.reload().await.unwrap();
    assert!(callback(&gateway, &platform, OLD, NOW + 2, 7).await);
    assert!(!callback(&gateway, &platform, next, NOW + 2, 8).await, "taken back");
    assert!(!callback(&gateway, &platform, previous, NOW + 2, 8).await, "taken back");
}

#[tokio::test]
async fn callbacks_under_a_token_that_was_replaced_are_taken_until_the_overlap_is_over() {
    let (platform, directory) = (platform().await, Directory::new());
    let clock = Clock::manual(NOW);
    let gateway = settings(&platform)
        .clock(clock.clone())
        .callbacks(&directory)
        .with("callback", "signature = \"required\"")
        .with("rotation", "canary = false\noverlap_s = 3600")
        .start_in(&directory);
    directory.file("first-hospital.token", NEW);
    gateway.reload().await.unwrap();
    for (status, token) in (3..).zip([OLD, NEW]) {
        assert!(callback(&gateway, &platform, token, NOW + 1, status).await);
    }

    clock.advance(Duration::from_secs(3601));
    gateway.logged("\"event.name\":\"config_reloaded\",\"message\":\"the configuration and its files were read anew, and are in force\",\"tenants\":1,\"clients\":0").await;
    let later = NOW + 3_601_000;
    // The end of the overlap is noticed by itself, soon.
    while callback(&gateway, &platform, OLD, later, 5).await {}
    assert!(callback(&gateway, &platform, NEW, later, 6).await);
}

/// The end that is told is that of the token in use, whichever thread took it.
#[tokio::test]
async fn the_end_of_the_token_in_use_is_told() {
    const END: &str = "aimis_secret_not_after_timestamp_seconds{secret=\"first-hospital\"}";
    let (platform, directory) = (platform().await, Directory::new());
    directory.file("next.token", NEW);
    let base = settings(&platform);
    let ends = |settings: &Settings| {
        settings
            .clone()
            .of_tenant("token_not_after = \"2030-01-31T00:00:00Z\"")
            .of_tenant("next_token_file = \"next.token\"")
            .of_tenant("next_token_not_after = \"2031-01-31\"")
    };
    let gateway = ends(&base)
        .with("admin", "listen = \"127.0.0.1:0\"")
        .start_in(&directory);
    assert_eq!(gateway.metric(END).await, Some(1_896_048_000.0));
    let shown = request("GET", "/api/v1/credentials", &[HOST], b"");
    let shown = client::exchange(gateway.admin.unwrap(), &shown).await.unwrap().json();
    let tokens = &shown["tenants"][0]["tokens"];
    assert_eq!(
        (&tokens[0]["not_after"], &tokens[1]["not_after"]),
        (&json!("2030-01-31T00:00:00Z"), &json!("2031-01-31"))
    );

    let told = async |end: f64| {
        let there = async { while gateway.metric(END).await != Some(end) {} };
        tokio::time::timeout(client::PATIENCE, there).await.expect("the end");
    };
    // The platform changes over, and the canary finds it out.
    takes(&platform, &[NEW]);
    gateway.logged("\"event.name\":\"token_switched\"").await;
    told(1_927_641_599.0).await;
    // Nobody knows any more.
    base.clone()
        .of_tenant("next_token_file = \"next.token\"")
        .write(&directory);
    gateway.reload().await.unwrap();
    told(0.0).await;
}

#[tokio::test]
async fn an_operator_sees_tokens_by_fingerprint_and_reloads() {
    let (platform, directory) = (platform().await, Directory::new());
    directory.file("next.token", NEW);
    let base = settings(&platform)
        .with("rotation", "canary = false")
        .with("admin", "listen = \"127.0.0.1:0\"");
    let gateway = base.start_in(&directory);
    let admin = gateway.admin.unwrap();
    let reload = async || {
        let json = [HOST, ("Content-Type", "application/json")];
        client::post(admin, "/api/v1/reload", &json, b"").await
    };
    base.clone()
        .of_tenant("next_token_file = \"next.token\"")
        .write(&directory);
    assert_eq!(reload().await.json(), json!({"reloaded": true, "restart_needed": []}));

    let shown = client::exchange(admin, &request("GET", "/api/v1/credentials", &[HOST], b""))
        .await
        .unwrap();
    let tokens = &shown.json()["tenants"][0]["tokens"];
    let of = |source: &str, in_use: bool| {
        let mut all = tokens.as_array().unwrap().iter();
        all.any(|token| token["source"] == source && token["in_use"] == in_use)
    };
    assert!(of("token", true) && of("next", false), "{tokens}");
    assert!(!shown.text().contains(OLD) && !shown.text().contains(NEW));

    directory.file("first-hospital.token", "short");
    let refused = reload().await;
    assert_eq!(refused.status, 409);
    assert!(refused.json()["error"].as_str().unwrap().contains("32 are wanted"));
    // A web page cannot say that it sends JSON.
    let plain = request("POST", "/api/v1/reload", &[HOST], b"");
    assert_eq!(client::exchange(admin, &plain).await.unwrap().status, 415);
    assert_eq!(
        client::exchange(admin, &request("GET", "/api/v1/reload", &[HOST], b""))
            .await
            .unwrap()
            .status,
        405
    );
}
