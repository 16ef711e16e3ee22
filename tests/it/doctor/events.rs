//! The other direction: the inbox, and the HIS that events go to.

use aimis_simulator::{Account, Callback, CallbackSender, His};
use tokio::net::TcpListener;

use super::{HEALTHY, Patient, assert_broken, finding, platform, verdicts};
use crate::support::gateway::Settings;
use crate::support::tls::Authority;

/// One that takes callbacks, and delivers them to `target`.
pub(super) fn taking_callbacks(mut patient: Patient, target: &str, more: &str) -> Patient {
    let file = |name: &str| patient.directory.path().join(name).display().to_string();
    let sections = format!(
        "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n[tenants.callback]\ntarget = \"{target}\"\n{more}\
         [callback]\nlisten = \"127.0.0.1:0\"\nsignature = \"required\"\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n[delivery]\ntimeout_ms = 1000\n",
        file("inbox.db"),
        file("inbox.key")
    );
    patient.tenant += &sections;
    patient
}

#[tokio::test]
async fn an_inbox_that_opens_and_a_his_that_listens_are_good_and_nothing_is_sent() {
    let (platform, his) = (
        platform().await,
        His::start("127.0.0.1:0".parse().unwrap()).await.unwrap(),
    );
    let patient = taking_callbacks(Patient::of(&platform), &his.url(), "");
    let healthy = [
        &HEALTHY[..10],
        &[("listen", "ok"), ("store", "skipped"), ("inbox", "ok"), ("his", "ok")],
    ]
    .concat();

    let (status, document) = patient.examined(&[]).await;
    assert_eq!((status, verdicts(&document)), (0, healthy.clone()), "{document:#}");
    let inbox = finding(&document, "inbox")["found"].as_str().unwrap();
    assert!(inbox.contains("the gateway makes it"), "{inbox}");

    let gateway = Settings::calling(&platform).callbacks(&patient.directory).start();
    let (status, document) = patient.examined(&[]).await;
    gateway.stop();
    assert_eq!((status, verdicts(&document)), (0, healthy), "{document:#}");
    let inbox = finding(&document, "inbox")["found"].as_str().unwrap();
    assert!(inbox.starts_with("opened: 0 to be delivered"), "{inbox}");
    assert_eq!(his.delivery_count(), 0);
}

#[tokio::test]
async fn events_of_a_tenant_that_was_renamed_are_told() {
    let platform = platform().await;
    let patient = taking_callbacks(Patient::of(&platform), "http://127.0.0.1:9/events", "");
    let gateway = Settings::calling(&platform).callbacks(&patient.directory).start();
    let url = format!("http://{}/callback/first-hospital", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    assert!(sender.send(&Callback::demo()).await.unwrap().is_received());
    gateway.stop();
    let mut renamed = patient;
    renamed.tenant = renamed.tenant.replacen("first-hospital", "renamed", 1);

    let (_, document) = renamed.examined(&[]).await;

    let inbox = finding(&document, "inbox");
    assert_eq!(inbox["verdict"], "warn", "{document:#}");
    let found = inbox["found"].as_str().unwrap();
    assert!(found.contains("1 event(s) wait for tenant first-hospital"), "{found}");
}

#[tokio::test]
async fn an_inbox_that_does_not_open_is_told_by_its_keys() {
    let (platform, his) = (
        platform().await,
        His::start("127.0.0.1:0".parse().unwrap()).await.unwrap(),
    );
    let patient = taking_callbacks(Patient::of(&platform), &his.url(), "");
    patient.directory.file("inbox.db", "something else altogether");

    assert_broken(
        &patient.examined(&[]).await,
        "inbox",
        &[],
        &["inbox.path", "inbox.key_file"],
    );
}

#[tokio::test]
async fn a_his_that_cannot_be_reached_is_told_by_its_key() {
    let platform = platform().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let key = "tenants[0].callback.target";

    let refused = taking_callbacks(Patient::of(&platform), &format!("http://{closed}/events"), "");
    assert_broken(&refused.examined(&[]).await, "his", &[], &[key, "firewall"]);

    let nowhere = taking_callbacks(Patient::of(&platform), "https://his.invalid/events", "");
    assert_broken(&nowhere.examined(&[]).await, "his", &[], &[key, "DNS"]);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}/events", silent.local_addr().unwrap());
    let silent_tls = taking_callbacks(Patient::of(&platform), &target, "");
    assert_broken(&silent_tls.examined(&[]).await, "his", &[], &[key, "TLS"]);

    let authority = Authority::new("his");
    let his = His::start_with(
        "127.0.0.1:0".parse().unwrap(),
        Some(crate::way_out::server(&authority.server(), None)),
    )
    .await
    .unwrap();
    let untrusted = taking_callbacks(Patient::of(&platform), &his.url(), "");
    assert_broken(&untrusted.examined(&[]).await, "his", &[], &[key, "target_ca_file"]);
    let patient = Patient::of(&platform);
    let file = patient.directory.file("his-ca.pem", authority.pem());
    let trusted = taking_callbacks(patient, &his.url(), &format!("target_ca_file = \"{file}\"\n"));
    let (status, document) = trusted.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
}

#[tokio::test]
async fn an_address_for_callbacks_that_somebody_has_is_told() {
    let (platform, his) = (
        platform().await,
        His::start("127.0.0.1:0".parse().unwrap()).await.unwrap(),
    );
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut patient = taking_callbacks(Patient::of(&platform), &his.url(), "");
    let taken = stranger.local_addr().unwrap().to_string();
    patient.tenant = patient.tenant.replace(
        "[callback]\nlisten = \"127.0.0.1:0\"",
        &format!("[callback]\nlisten = \"{taken}\""),
    );

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 1, "{document:#}");
    let mut steps = document["steps"].as_array().unwrap().iter();
    let failed = steps.find(|step| step["verdict"] == "fail").unwrap();
    assert_eq!(failed["step"], "listen", "{document:#}");
    assert!(
        failed["fix"].as_str().unwrap().contains("callback.listen"),
        "{failed:#}"
    );
}
