//! What anybody else learns of a callback: lines, counters, health, and no person in any of them.

use aimis_simulator::{Callback, Switches};
use serde_json::Value;

use super::bed::Bed;
use crate::log_fields::checked;
use crate::support::gateway::{ID_NUMBER, PHONE};

#[tokio::test]
async fn a_line_tells_of_each_callback_and_nothing_of_a_person() {
    let bed = Bed::start(|settings| settings.with("log", "client_address = true")).await;
    let sealed = bed.account.encrypt(ID_NUMBER, &Switches::default());
    let signature = bed
        .account
        .sign(&bed.clock.now().as_millis().to_string(), &Switches::default());
    let (sender, demo) = (bed.sender(), Callback::demo());
    let mut answers = Vec::new();
    for (sender, callback) in [
        (sender.clone(), demo.clone()),
        (sender.clone(), demo.clone()),
        (sender.clone(), demo.clone().with("studyName", "revised")),
        (sender.clone().forge_signature("0"), demo.clone()),
        (
            sender.clone().header("X-Request-Id", PHONE),
            demo.clone().with("idNum", PHONE),
        ),
        (sender.clone().forge_body(format!("{{\"{PHONE}\":")), demo.clone()),
        (bed.sender_to(&format!("/callback/{PHONE}/{ID_NUMBER}")), demo.clone()),
        (sender.unsigned(), demo.with("phoneNum", PHONE)),
    ] {
        answers.push(bed.exchange(&sender.request_bytes(&callback)).await);
    }
    let metrics = bed.gateway.telemetry("/metrics").await.text();
    let database = std::fs::read(bed.directory.path().join("inbox.db")).unwrap();
    let wal = std::fs::read(bed.directory.path().join("inbox.db-wal")).unwrap_or_default();
    let (_, log) = bed.stop_with_log().await;

    let lines = checked(&log);
    let of = |name: &str| {
        lines
            .iter()
            .filter(|line| line["event.name"] == name)
            .collect::<Vec<&Value>>()
    };
    let results: Vec<_> = of("callback")
        .iter()
        .map(|line| line["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(results, ["accepted", "duplicate", "updated"]);
    let stored = of("callback")[0];
    assert_eq!(
        (&stored["tenant"], &stored["verified"]),
        (&"first-hospital".into(), &"signed".into())
    );
    assert!(stored["event.id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(stored["request.id"], answers[0].header("x-request-id").unwrap());
    assert_eq!(of("callback_quarantined").len(), 1);
    let reasons: Vec<_> = of("callback_refused")
        .iter()
        .map(|line| line["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons, ["signature", "body", "route", "cipher"]);
    assert!(
        of("callback_refused")
            .iter()
            .all(|line| line["client.address"] == "127.0.0.1")
    );

    let mut sinks: Vec<Vec<u8>> = vec![log.into_bytes(), metrics.into_bytes(), database, wal];
    for answer in answers {
        sinks.push(format!("{:?}", answer.headers).into_bytes());
        sinks.push(answer.body);
    }
    for secret in [
        PHONE,
        ID_NUMBER,
        &sealed,
        &signature,
        &bed_token(),
        "imaging.example.com",
        "S1001",
    ] {
        for sink in &sinks {
            let found = sink.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret}: {}", String::from_utf8_lossy(sink));
        }
    }
}

fn bed_token() -> String {
    aimis_simulator::Account::demo().token
}
