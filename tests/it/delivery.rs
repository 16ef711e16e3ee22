//! From the inbox to the HIS: what it gets, and what becomes of what it does not take.

pub mod bed;
mod store;
mod trouble;
mod trust;

use aimis_simulator::{Callback, Fault};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::log_fields::checked;
use bed::{Bed, arrived, by_id, call_back, his};

/// HMAC-SHA256 from its definition (RFC 2104), so that this reader shares nothing with the signer.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).to_vec()
}

fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, &message)))
}

#[tokio::test]
async fn the_his_gets_exactly_what_the_documents_say() {
    let (bed, his) = (Bed::new().await, his().await);
    let (new, old) = (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let file = |name: &str, text: &str| bed.directory.file(name, text);
    let gateway = bed
        .settings(&format!("{}?from=gateway", his.url()))
        .of_tenant(&format!("callback.target_secret_file = \"{}\"", file("new", new)))
        .of_tenant(&format!(
            "callback.target_previous_secret_file = \"{}\"",
            file("old", old)
        ))
        .of_tenant(&format!(
            "callback.target_bearer_file = \"{}\"",
            file("bearer", "let-me-in")
        ))
        .start();

    call_back(&gateway, &Callback::demo().with("studyName", "胸部CT平扫")).await;
    arrived(&his, 1).await;
    let log = gateway.stop();

    let delivery = his.only_delivery();
    let id = delivery.header("webhook-id").unwrap();
    let timestamp = delivery.header("webhook-timestamp").unwrap();
    let names: Vec<&str> = delivery.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        (delivery.method.as_str(), delivery.path.as_str()),
        ("POST", "/imaging-events?from=gateway")
    );
    assert_eq!(
        names,
        [
            "host",
            "content-type",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "authorization",
            "user-agent",
            "accept-encoding",
            "connection",
            "content-length"
        ]
    );
    assert_eq!(delivery.header("host"), Some(his.addr().to_string().as_str()));
    assert_eq!(delivery.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(delivery.header("authorization"), Some("Bearer let-me-in"));
    let seconds: i64 = timestamp.parse().unwrap();
    assert!((seconds * 1000 - delivery.received_at_ms).abs() < 600_000);
    let signed = [new, old].map(|secret| signature(secret, id, timestamp, &delivery.body));
    assert_eq!(delivery.header("webhook-signature"), Some(signed.join(" ").as_str()));

    let body = delivery.json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names[names.len() - 3..], ["eventId", "receivedAt", "verified"]);
    assert_eq!((&body["eventId"], &body["verified"]), (&json!(id), &json!("signed")));
    let received_at = body["receivedAt"].as_str().unwrap();
    assert!(
        received_at.len() == 29 && received_at.ends_with("+08:00"),
        "{received_at}"
    );
    assert_eq!(
        (&body["phoneNum"], &body["studyName"]),
        (&json!("13800138000"), &json!("胸部CT平扫"))
    );
    assert!(checked(&log).iter().any(|line| line["event.name"] == "delivered"));
    for secret in ["13800138000", "let-me-in", &new[6..], signed[0].as_str(), "胸部"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert_eq!(bed.count("delivered").await, 1);
}

#[tokio::test]
async fn a_his_of_old_gets_its_charset() {
    for (charset, encoding) in [("gbk", encoding_rs::GBK), ("gb18030", encoding_rs::GB18030)] {
        let (bed, his) = (Bed::new().await, his().await);
        let gateway = bed
            .settings(&his.url())
            .of_tenant(&format!("callback.target_charset = \"{charset}\""))
            .start();

        call_back(&gateway, &Callback::demo().with("studyName", "胸部CT平扫🩻")).await;
        arrived(&his, 1).await;
        gateway.stop();

        let delivery = his.only_delivery();
        let named = format!("application/json; charset={}", charset.to_uppercase());
        assert_eq!(delivery.header("content-type"), Some(named.as_str()));
        assert!(std::str::from_utf8(&delivery.body).is_err());
        let text = encoding
            .decode_without_bom_handling_and_without_replacement(&delivery.body)
            .unwrap();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["studyName"], "胸部CT平扫🩻");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_study_keeps_its_order_with_a_his_that_fails_one_in_five() {
    const STUDIES: usize = 1_000;
    const STATUSES: i64 = 10;
    let (bed, his) = (Bed::new().await, his().await);
    bed.keep(STUDIES, STATUSES).await;
    let failing = Fault::Status {
        code: 500,
        envelope: false,
    };
    his.set_fault_rate(failing, 5);

    let gateway = bed.patient(&his.url()).with("delivery", "in_flight = 64").start();
    // Every fifth of these fails, which leaves 10,000.
    his.wait_for_deliveries(12_499).await;
    gateway.stop();

    let mut last = std::collections::HashMap::new();
    let accepted = his.accepted();
    for delivery in &accepted {
        let body = delivery.json();
        let (study, status) = (
            body["studyId"].as_str().unwrap().to_owned(),
            body["status"].as_i64().unwrap(),
        );
        let before = last.insert(study.clone(), status).unwrap_or(-1);
        assert_eq!(status, before + 1, "{study}");
    }
    // Nothing is missing, and nothing came twice.
    assert_eq!(accepted.len(), STUDIES * 10);
    assert_eq!(by_id(&accepted).len(), STUDIES * 10);
    assert_eq!(his.delivery_count(), 12_499);
    assert_eq!(bed.count("delivered").await, STUDIES * 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    const EVENTS: u64 = 1_000;
    let (bed, his) = (Bed::new().await, his().await);
    // At most one of each study is on its way, so all of them take half a second at least.
    bed.keep(20, 50).await;
    his.set_fault(Fault::Latency { ms: 10 });
    let settings = bed.patient(&his.url());

    let gateway = settings.start();
    arrived(&his, 50).await;
    gateway.stop();
    let so_far = his.delivery_count();
    let gateway = settings.start();
    arrived(&his, EVENTS).await;
    gateway.stop();

    assert!((50..EVENTS).contains(&so_far), "{so_far}");
    assert_eq!(by_id(&his.deliveries()).len() as u64, EVENTS);
    assert_eq!(his.delivery_count(), EVENTS);
    assert_eq!(bed.count("delivered").await as u64, EVENTS);
}
