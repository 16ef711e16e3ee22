//! Callbacks from the listener to the receipt: what is taken, what is not, and what anybody learns of it.

mod bed;
mod doors;
mod forged;
mod told;
mod truth;

use aimis_simulator::{Callback, Encoding};
use serde_json::json;

use bed::Bed;

#[tokio::test]
async fn a_callback_is_durable_before_it_is_acknowledged() {
    let bed = Bed::start(|settings| settings).await;

    let reply = bed.sender().send(&Callback::demo()).await.unwrap();

    assert!(reply.is_received());
    assert_eq!(reply.body, br#"{"code":0,"message":"success"}"#);
    assert_eq!(bed.received("accepted").await, 1);
    assert_eq!(bed.series("aimis_callback_ack_duration_seconds_count").await, 1);
    let stored = bed.stop().await;
    let [event] = &stored[..] else {
        panic!("{}", stored.len())
    };
    assert_eq!(
        (event.state, event.verified, event.reason.as_deref()),
        ("ready", "signed", None)
    );
    let payload = &event.payload;
    assert_eq!(
        (&payload["phoneNum"], &payload["idNum"]),
        (&json!("13800138000"), &json!("11010119000101009X"))
    );
    assert_eq!((&payload["status"], &payload["studyId"]), (&json!(3), &json!("S1001")));
}

#[tokio::test]
async fn every_form_of_a_callback_is_the_same_callback() {
    let bed = Bed::start(|settings| settings).await;
    let sender = bed.sender();
    let gb18030 = |callback: &Callback| {
        let fields = callback.fields(&bed.account, &bed.switches);
        let json = serde_json::Value::Object(fields.into_iter().collect()).to_string();
        encoding_rs::GB18030.encode(&json).0.into_owned()
    };
    let callback = Callback::demo().with("bodyPart", "胸部");

    for sender in [
        sender.clone(),
        sender.clone().encoding(Encoding::Form),
        sender.clone().encoding(Encoding::JsonInForm("data".to_owned())),
        sender.clone().forge_body(gb18030(&callback)).forge_content_type(""),
        sender.clone().forge_content_type("text/plain"),
    ] {
        assert!(sender.send(&callback).await.unwrap().is_received());
    }

    assert_eq!(
        (bed.received("accepted").await, bed.received("duplicate").await),
        (1, 4)
    );
    assert_eq!(bed.series("aimis_callback_repairs_total{reason=\"form\"}").await, 2);
    assert_eq!(bed.series("aimis_callback_repairs_total{reason=\"charset\"}").await, 1);
    assert_eq!(
        bed.series("aimis_callback_repairs_total{reason=\"number-as-text\"}")
            .await,
        1
    );
    assert_eq!(bed.stop().await.len(), 1);
}

#[tokio::test]
async fn a_revised_report_and_an_unknown_status_go_through() {
    let bed = Bed::start(|settings| settings).await;
    let sender = bed.sender();
    for callback in [
        Callback::demo(),
        Callback::demo().with("studyName", "revised"),
        Callback::demo().status(9).with("novelty", json!({"a": [1, 2]})),
        Callback::demo().status(0),
    ] {
        assert!(sender.send(&callback).await.unwrap().is_received());
    }

    assert_eq!((bed.received("accepted").await, bed.received("updated").await), (3, 1));
    let stored = bed.stop().await;
    assert_eq!(stored.len(), 4);
    assert!(stored.iter().all(|event| event.state == "ready"));
    let novel = stored.iter().find(|event| event.payload["status"] == 9).unwrap();
    assert_eq!(novel.payload["novelty"], json!({"a": [1, 2]}));
}

#[tokio::test]
async fn without_the_section_nobody_listens_and_nothing_is_kept() {
    let platform = aimis_simulator::Platform::start(Default::default()).await.unwrap();
    let gateway = crate::support::gateway::Settings::calling(&platform).start();

    assert_eq!(gateway.callback, None);
    assert_eq!(gateway.telemetry("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_stop_finishes_the_callbacks_that_run_and_readiness_tells_of_the_inbox() {
    let bed = Bed::start(|settings| settings).await;
    assert_eq!(bed.series("aimis_ready{check=\"inbox\"}").await, 1);
    let (many, sender) = (32, bed.sender());
    let sending: Vec<_> = (0..many)
        .map(|n| {
            let (sender, callback) = (sender.clone(), Callback::demo().study(&format!("S{n}")));
            tokio::spawn(async move { sender.send(&callback).await })
        })
        .collect();
    let mut received = 0;
    let stored = bed.stop().await;
    for sent in sending {
        // One that came behind the close of the listener got no answer, or was told to come again.
        received += usize::from(sent.await.unwrap().is_ok_and(|reply| reply.is_received()));
    }

    assert!(stored.len() >= received, "{} {received}", stored.len());
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged_and_queries_go_on() {
    let bed = Bed::start(|settings| {
        settings
            .with("callback", "link_hosts = \"pacs.qq.com\"")
            .with("inbox", "max_bytes = \"16MiB\"\nquarantine_percent = 1")
    })
    .await;
    // Forged ones may take a hundredth of the store.
    let large = "x".repeat(60_000);
    let mut replies = Vec::new();
    for n in 0..5 {
        let callback = Callback::demo().study(&format!("S{n}")).with("note", large.as_str());
        replies.push(bed.sender().send(&callback).await.unwrap());
    }
    let last = replies.last().unwrap();

    assert!(replies[0].is_received());
    assert_eq!((last.status, last.code), (503, Some(800_202)));
    let failed = replies.iter().filter(|reply| !reply.is_received()).count();
    assert_eq!(bed.received("store_failed").await, failed as u64);
    assert_eq!(bed.gateway.studies().await.status, 200);
    // The query was signed for this millisecond.
    bed.clock.advance(std::time::Duration::from_millis(1));
    let good = Callback::demo().with("h5Url", "").with("h5DetailUrl", "");
    assert!(bed.sender().send(&good).await.unwrap().is_received());
    let (stored, log) = bed.stop_with_log().await;
    assert_eq!(stored.len(), 5 - failed + 1);
    assert!(log.contains("\"callback_not_stored\"") && log.contains("\"error.type\":\"quarantine_full\""));
}
