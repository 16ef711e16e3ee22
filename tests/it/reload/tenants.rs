//! Tenants, clients and targets come and go.

use aimis_simulator::{Account, Callback, CallbackSender, His, Platform};
use serde_json::json;

use super::{both, second};
use crate::authorization::keyed;
use crate::support::client::{Answer, get, post};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query_with};

/// The studies of the vectors' patient in the second hospital.
async fn of_second(gateway: &Gateway) -> Answer {
    let body = studies_query_with(json!({"hospitalId": "H0002", "unionId": "U0002"}));
    post(gateway.lan, "/thirdparty/patientStudies/900002", &[], body.as_bytes()).await
}

fn callback(platform: &Platform, account: &Account) -> Callback {
    let data = platform.data();
    let (patient, studies) = data.patients().next().unwrap();
    let mut callback = Callback::about(patient, &studies[0], 3);
    callback.hospital_id.clone_from(&account.hospital_id);
    callback
}

/// Sends a callback of a hospital; gives the code of the answer.
async fn send(gateway: &Gateway, platform: &Platform, tenant: &str, account: &Account) -> Option<i64> {
    let url = format!("http://{}/callback/{tenant}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, account).unwrap();
    sender.send(&callback(platform, account)).await.unwrap().code
}

#[tokio::test]
async fn a_hospital_comes_with_everything_and_goes_without_a_trace() {
    let (platform, directory) = (both().await, Directory::new());
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = Settings::calling(&platform).callbacks(&directory);
    let gateway = base.start_in(&directory);
    assert_eq!(of_second(&gateway).await.code(), 800_006);
    assert_ne!(send(&gateway, &platform, "second", &second()).await, Some(0));

    let more = base.clone().tenant("second", second());
    more.clone()
        .of_tenant(&format!("callback.target = \"{}\"", his.url()))
        .write(&directory);
    gateway.reload().await.unwrap();

    assert_eq!(of_second(&gateway).await.status, 200);
    assert_eq!(send(&gateway, &platform, "second", &second()).await, Some(0));
    his.wait_for_deliveries(1).await;
    gateway.logged("\"event.name\":\"delivered\"").await;
    let delivered = "aimis_deliveries_total{result=\"ok\",target=\"second\"}";
    assert_eq!(gateway.metric(delivered).await, Some(1.0));
    let loaded = "aimis_secret_loaded_timestamp_seconds{secret=\"second\"}";
    assert!(gateway.metric(loaded).await.is_some());

    // Its target moves.
    let other = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    more.clone()
        .of_tenant(&format!("callback.target = \"{}\"", other.url()))
        .write(&directory);
    gateway.reload().await.unwrap();
    let mut changed = callback(&platform, &second());
    changed.status = 4;
    let url = format!("http://{}/callback/second", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &second()).unwrap();
    assert_eq!(sender.send(&changed).await.unwrap().code, Some(0));
    other.wait_for_deliveries(1).await;
    assert_eq!(his.delivery_count(), 1);

    // It is fetched from then on.
    more.write(&directory);
    gateway.reload().await.unwrap();
    changed.status = 5;
    assert_eq!(sender.send(&changed).await.unwrap().code, Some(0));
    let fetched = get(gateway.lan, "/inbox/v1/second/events?wait_s=10").await;
    assert_eq!(fetched.status, 200, "{}", fetched.text());
    assert_eq!(
        fetched.json()["data"]["events"].as_array().map(Vec::len),
        Some(1),
        "{}",
        fetched.text()
    );

    base.write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(of_second(&gateway).await.code(), 800_006);
    assert_ne!(send(&gateway, &platform, "second", &second()).await, Some(0));
    let metrics = gateway.telemetry("/metrics").await.text();
    assert!(!metrics.contains("\"second\""), "{metrics}");
}

#[tokio::test]
async fn clients_come_and_go_with_their_keys() {
    let (platform, directory) = (both().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base.clone().client(&keyed("his", "key-one", "")).start_in(&directory);
    let ask = async |key: &str| {
        let path = "/thirdparty/patientStudies/900001";
        let body = studies_query_with(json!({}));
        post(gateway.lan, path, &[("X-Api-Key", key)], body.as_bytes())
            .await
            .code()
    };
    assert_eq!((ask("key-one").await, ask("key-two").await), (0, 800_101));

    base.client(&keyed("ris", "key-two", ""))
        .client(&keyed("his", "key-one", "apis = \"patientReportUrl\""))
        .write(&directory);
    gateway.reload().await.unwrap();

    assert_eq!((ask("key-one").await, ask("key-two").await), (800_102, 0));
}

/// P6: a name that another hospital gets brings nothing of the one before.
#[tokio::test]
async fn another_hospital_under_the_same_name_gets_nothing_of_the_one_before() {
    let (platform, directory) = (both().await, Directory::new());
    let base = Settings::calling(&platform).cached();
    let gateway = base.start_in(&directory);
    let first = gateway.studies().await;
    assert_eq!(first.header("x-aimis-origin"), Some("platform"));

    let other = Account {
        hospital_id: Account::demo().hospital_id,
        union_id: Account::demo().union_id,
        ..second()
    };
    directory.file("first-hospital.token", &other.token);
    base.without_tenant("first-hospital")
        .tenant("first-hospital", other)
        .write(&directory);
    gateway.reload().await.unwrap();

    let path = "/thirdparty/patientStudies/900002";
    let body = studies_query_with(json!({}));
    let answer = post(gateway.lan, path, &[], body.as_bytes()).await;
    assert_eq!(answer.header("x-aimis-origin"), Some("platform"), "{}", answer.text());
    assert_eq!(platform.requests().last().unwrap().header("appid"), Some("900002"));
}
