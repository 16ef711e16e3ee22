//! The attack table: what is wrong in any way is answered alike, kept nowhere, and counted by its reason.

use std::time::Duration;

use aimis_simulator::{Account, Callback, CallbackSender, His, Platform, Switches};
use serde_json::{Value, json};

use super::bed::{Bed, NOW};
use crate::support::client::{Answer, Connection, request};
use crate::support::gateway::{PHONE, Settings};

const PAST: u64 = 300_000;
const AHEAD: u64 = 60_000;

/// An answer without what tells one from the next: its id and its time.
fn face(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers = answer.headers.clone();
    for (name, value) in &mut headers {
        if ["x-request-id", "date"].contains(&name.as_str()) {
            *value = "*".repeat(value.len());
        }
    }
    (answer.status, headers, answer.body.clone())
}

/// Sends what is refused, and sees to it that it is refused as everything is, for `reason`, counted under `result`.
async fn refused(bed: &Bed, what: &str, bytes: &[u8], reason: &str, result: &str) -> Answer {
    let before = (bed.refused(reason).await, bed.received(result).await);

    let answer = bed.exchange(bytes).await;

    let plain = bed
        .exchange(&bed.sender_to("/callback/none").request_bytes(&Callback::demo()))
        .await;
    if reason == "too_large" {
        assert_eq!((answer.status, &answer.body), (plain.status, &plain.body), "{what}");
    } else {
        assert_eq!(face(&answer), face(&plain), "{what}");
    }
    assert_eq!((answer.status, answer.code()), (403, 800_102), "{what}");
    let after = (bed.refused(reason).await, bed.received(result).await);
    // The plain one is a refusal of its own.
    let own = (u64::from(reason == "route"), u64::from(result == "bad_signature"));
    assert_eq!(
        (after.0 - own.0, after.1 - own.1),
        (before.0 + 1, before.1 + 1),
        "{what}: {reason} {result}"
    );
    answer
}

fn with_header(sender: CallbackSender, name: &str, value: &str) -> CallbackSender {
    sender.header(name, value)
}

/// The request without one of its headers.
fn without_header(bytes: &[u8], name: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with(&format!("{name}:")))
        .collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

#[tokio::test]
async fn whatever_is_wrong_is_refused_alike_and_kept_nowhere() {
    let other = Account {
        app_id: "900002".to_owned(),
        token: "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$".to_owned(),
        hospital_id: "H0002".to_owned(),
        ..Account::demo()
    };
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let target = format!("callback.target = \"{}\"", his.url());
    let bed = Bed::start(|settings| settings.of_tenant(&target).tenant("second-hospital", other.clone())).await;
    let (sender, demo) = (bed.sender(), Callback::demo());
    let signature = bed.account.sign(&NOW.to_string(), &Switches::default());
    let foreign = CallbackSender::new(&bed.url("/callback/first-hospital"), &other)
        .unwrap()
        .forge_timestamp(&NOW.to_string());
    let good = sender.request_bytes(&demo);
    let flipped = signature.replace(&signature[..1], if signature.starts_with('0') { "1" } else { "0" });

    let mut table: Vec<(&str, Vec<u8>, &str, &str)> = Vec::new();
    let mut add = |what, bytes, reason, result| table.push((what, bytes, reason, result));
    // Where it goes.
    add(
        "no such tenant",
        bed.sender_to("/callback/third").request_bytes(&demo),
        "route",
        "bad_signature",
    );
    add(
        "another path",
        bed.sender_to("/x").request_bytes(&demo),
        "route",
        "bad_signature",
    );
    add(
        "a secret that nobody asked for",
        bed.sender_to("/callback/first-hospital/x").request_bytes(&demo),
        "secret",
        "bad_signature",
    );
    let get = String::from_utf8(good.clone())
        .unwrap()
        .replacen("POST ", "PUT ", 1)
        .into_bytes();
    add("another method", get, "route", "bad_signature");
    // The headers.
    for name in ["appId", "timestamp", "signature"] {
        add(
            "a header is missing",
            without_header(&good, name),
            "headers",
            "bad_signature",
        );
    }
    for (name, value) in [
        ("appId", "900001"),
        ("Timestamp", &NOW.to_string()),
        ("SIGNATURE", &signature),
    ] {
        add(
            "a header is doubled",
            with_header(sender.clone(), name, value).request_bytes(&demo),
            "headers",
            "bad_signature",
        );
    }
    for timestamp in [
        "1735689600",
        "01735689600000",
        "-735689600000",
        "",
        "17356896000000",
        "now",
    ] {
        add(
            "no time",
            sender.clone().forge_timestamp(timestamp).request_bytes(&demo),
            "headers",
            "bad_signature",
        );
    }
    for wrong in [&flipped, &signature[1..], "", "0", &"0".repeat(64)] {
        add(
            "a wrong signature",
            sender.clone().forge_signature(wrong).request_bytes(&demo),
            "signature",
            "bad_signature",
        );
    }
    add(
        "another appId, signed",
        sender.clone().forge_app_id("90000").request_bytes(&demo),
        "app_id",
        "bad_signature",
    );
    add(
        "another tenant's",
        foreign.request_bytes(&demo),
        "app_id",
        "bad_signature",
    );
    add(
        "another tenant's token",
        foreign.clone().forge_app_id("900001").request_bytes(&demo),
        "signature",
        "bad_signature",
    );
    // The time.
    for at in [NOW - PAST - 1, 0, NOW - 86_400_000] {
        add(
            "stale",
            sender
                .clone()
                .forge_timestamp(&format!("{at:013}"))
                .request_bytes(&demo),
            "stale",
            "stale",
        );
    }
    for at in [NOW + AHEAD + 1, NOW + 86_400_000] {
        add(
            "in the future",
            sender.clone().forge_timestamp(&at.to_string()).request_bytes(&demo),
            "ahead",
            "stale",
        );
    }
    // The body.
    for body in ["", "{", "[]", "null", "x", "{\"status\":3,\"status\":1}", "{}{}"] {
        add(
            "no body",
            sender.clone().forge_body(body).request_bytes(&demo),
            "body",
            "malformed",
        );
    }
    for callback in [
        Callback::demo().without("status"),
        Callback::demo().with("status", "new"),
        Callback::demo().without("studyId"),
        Callback::demo().with("hospitalId", Value::Null),
    ] {
        add("no callback", sender.request_bytes(&callback), "field", "malformed");
    }
    add(
        "1 MiB",
        sender.clone().forge_body(vec![b'{'; 1 << 20]).request_bytes(&demo),
        "too_large",
        "malformed",
    );
    let body = vec![b' '; (64 << 10) + 1];
    add(
        "a byte too many",
        sender.clone().forge_body(body).request_bytes(&demo),
        "too_large",
        "malformed",
    );
    // Not signed, and not by anybody who has the token.
    let unsigned = sender.clone().unsigned();
    let phone = bed.account.encrypt(PHONE, &Switches::default());
    for field in ["phoneNum", "idNum"] {
        for value in [
            json!(PHONE),
            json!(phone[..30]),
            json!("00".repeat(16)),
            json!(1),
            json!(other.encrypt(PHONE, &Switches::default())),
        ] {
            add(
                "a number that nobody encrypted",
                unsigned.request_bytes(&Callback::demo().with(field, value)),
                "cipher",
                "malformed",
            );
        }
    }
    add(
        "no number",
        unsigned.request_bytes(&Callback::demo().with("phoneNum", "").without("idNum")),
        "cipher",
        "malformed",
    );

    for (what, bytes, reason, result) in &table {
        refused(&bed, what, bytes, reason, result).await;
    }

    // The same bytes are good where nothing is wrong with them.
    assert_eq!(bed.exchange(&good).await.code(), 0);
    his.wait_for_deliveries(1).await;
    let (stored, log) = bed.stop_with_log().await;
    assert_eq!((stored.len(), his.delivery_count()), (1, 1));
    for secret in [&signature[..], PHONE, &phone] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn the_time_of_a_signature_is_good_to_the_millisecond() {
    let bed = Bed::start(|settings| settings).await;
    for (at, good) in [
        (NOW - PAST - 1, false),
        (NOW - PAST, true),
        (NOW, true),
        (NOW + AHEAD, true),
        (NOW + AHEAD + 1, false),
    ] {
        let reply = bed
            .sender()
            .forge_timestamp(&at.to_string())
            .send(&Callback::demo())
            .await
            .unwrap();
        assert_eq!(reply.is_received(), good, "{at}");
    }

    let signed = bed.sender().request_bytes(&Callback::demo().status(1));
    bed.clock.advance(Duration::from_millis(PAST));
    assert_eq!(bed.exchange(&signed).await.code(), 0);
    bed.clock.advance(Duration::from_millis(1));
    assert_eq!(bed.exchange(&signed).await.status, 403);
}

#[tokio::test]
async fn what_is_sent_again_is_acknowledged_and_kept_once() {
    let bed = Bed::start(|settings| settings).await;
    let bytes = bed.sender().request_bytes(&Callback::demo());

    for _ in 0..3 {
        assert_eq!(bed.exchange(&bytes).await.code(), 0);
    }

    assert_eq!(
        (bed.received("accepted").await, bed.received("duplicate").await),
        (1, 2)
    );
    assert_eq!(bed.stop().await.len(), 1);
}

#[tokio::test]
async fn a_captured_signature_carries_other_bodies_only_as_shared_and_not_late_and_not_often() {
    let bed = Bed::start(|settings| settings).await;
    // One signature, whatever is sent.
    let sender = bed.sender();
    assert!(sender.send(&Callback::demo()).await.unwrap().is_received());
    let forged = |n: u32| Callback::demo().with("h5Url", format!("https://evil{n}.example/"));

    assert!(sender.send(&forged(1)).await.unwrap().is_received());
    assert_eq!(bed.series("aimis_callbacks_shared_total").await, 1);
    bed.clock.advance(Duration::from_millis(60_001));
    assert!(sender.send(&forged(2)).await.unwrap().is_received());
    let fresh = bed.sender();
    for n in 100..117 {
        assert!(fresh.send(&forged(n)).await.unwrap().is_received());
    }

    assert_eq!(bed.received("quarantined").await, 2);
    let (stored, log) = bed.stop_with_log().await;
    let held = |word: &str| {
        stored
            .iter()
            .filter(|event| event.reason.as_deref() == Some(word))
            .count()
    };
    assert_eq!((held("shared_late"), held("shared_often")), (1, 1));
    assert_eq!(stored.iter().filter(|event| event.state == "ready").count(), 18);
    assert_eq!(stored.iter().filter(|event| event.verified == "signed").count(), 2);
    assert_eq!(log.matches("\"event.name\":\"callback_quarantined\"").count(), 2);
}

#[tokio::test]
async fn a_link_to_another_host_is_held_back_where_hosts_are_named() {
    let bed =
        Bed::start(|settings| settings.with("callback", "link_hosts = [\"imaging.example.com\", \"pacs.qq.com\"]"))
            .await;
    let sender = bed.sender();
    let forged = Callback::demo()
        .status(1)
        .with("h5DetailUrl", "https://imaging.example.com@evil.example/");
    for callback in [Callback::demo(), forged] {
        assert!(sender.send(&callback).await.unwrap().is_received());
    }

    assert_eq!(bed.series("aimis_callback_link_hosts").await, 0);
    let stored = bed.stop().await;
    let states: Vec<_> = stored
        .iter()
        .map(|event| (event.state, event.reason.as_deref()))
        .collect();
    assert_eq!(states, [("ready", None), ("quarantined", Some("link_host"))]);

    let open = Bed::start(|settings| settings).await;
    for host in ["a", "b", "b"] {
        let callback = Callback::demo()
            .study(host)
            .with("h5Url", format!("https://{host}.example/"));
        assert!(
            open.sender()
                .send(&callback.with("h5DetailUrl", ""))
                .await
                .unwrap()
                .is_received()
        );
    }
    assert_eq!(open.series("aimis_callback_link_hosts").await, 2);
}

#[tokio::test]
async fn another_hospitals_callback_is_held_back() {
    let bed = Bed::start(|settings| settings).await;
    for sender in [bed.sender(), bed.sender().unsigned()] {
        let callback = Callback::demo().with("hospitalId", "H9999");
        assert!(sender.send(&callback).await.unwrap().is_received());
    }

    assert_eq!(bed.received("quarantined").await + bed.received("duplicate").await, 2);
    let stored = bed.stop().await;
    assert_eq!(
        (stored[0].state, stored[0].reason.as_deref()),
        ("quarantined", Some("hospital"))
    );
}

#[tokio::test]
async fn what_is_signed_and_does_not_decrypt_is_kept_and_not_acknowledged() {
    let bed = Bed::start(|settings| settings).await;
    let sealed = bed.account.encrypt("11010119000101009X", &Switches::default());
    let (one, two) = sealed.split_at(32);
    let rotated = Account {
        token: "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$".to_owned(),
        ..Account::demo()
    };
    let tampered = format!(
        "{}{two}",
        one.replace(&one[..2], if one.starts_with("00") { "11" } else { "00" })
    );
    let plain = bed
        .exchange(&bed.sender_to("/callback/none").request_bytes(&Callback::demo()))
        .await;
    for (study, spoilt) in [
        ("tampered", tampered),
        ("truncated", one.to_owned()),
        ("cut", sealed[..50].to_owned()),
        ("swapped", format!("{two}{one}")),
        (
            "another token",
            rotated.encrypt("11010119000101009X", &Switches::default()),
        ),
        ("in clear", "11010119000101009X".to_owned()),
    ] {
        let callback = Callback::demo().study(study).with("idNum", spoilt);

        let answer = bed.exchange(&bed.sender().request_bytes(&callback)).await;

        assert_eq!(face(&answer), face(&plain), "{study}");
    }
    assert_eq!((bed.received("quarantined").await, bed.refused("cipher").await), (6, 6));
    let (stored, log) = bed.stop_with_log().await;
    assert_eq!(stored.len(), 6);
    assert!(
        stored
            .iter()
            .all(|event| event.reason.as_deref() == Some("undecryptable"))
    );
    assert_eq!(stored[4].payload["undecrypted"], json!(["idNum"]));
    assert_eq!(log.matches("\"callback_quarantined\"").count(), 6);
}

#[tokio::test]
async fn what_is_held_back_is_not_delivered() {
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let target = format!("callback.target = \"{}\"", his.url());
    let hosts = "link_hosts = \"imaging.example.com\"";
    let bed = Bed::start(|settings| settings.of_tenant(&target).with("callback", hosts)).await;
    let (sender, demo) = (bed.sender(), Callback::demo());
    let unreadable = demo.clone().with("idNum", "00".repeat(16));
    for (what, callback, received) in [
        (
            "another link",
            demo.clone().with("h5Url", "https://evil.example/"),
            true,
        ),
        ("another hospital", demo.clone().with("hospitalId", "H9999"), true),
        ("an unreadable number", unreadable, false),
    ] {
        assert_eq!(sender.send(&callback).await.unwrap().is_received(), received, "{what}");
    }
    bed.clock.advance(Duration::from_millis(60_001));
    // The signature of before, over another body.
    let late = Callback::demo().with("studyName", "late");
    assert!(sender.send(&late).await.unwrap().is_received());
    assert_eq!(bed.received("quarantined").await, 4);

    assert!(bed.sender().send(&demo.status(9)).await.unwrap().is_received());
    his.wait_for_deliveries(1).await;
    let stored = bed.stop().await;
    let held = stored.iter().filter(|event| event.state == "quarantined").count();
    assert_eq!((held, his.delivery_count()), (4, 1));
    assert_eq!(
        his.only_delivery().json()["status"],
        9,
        "a status that nobody knows goes through"
    );
}

#[tokio::test]
async fn the_last_state_reaches_the_his_and_a_replay_of_an_earlier_one_does_not() {
    let bed = Bed::start(|settings| settings).await;
    let (one, other) = (Callback::demo(), Callback::demo().with("studyName", "revised"));
    let first = bed.sender().request_bytes(&one);
    assert_eq!(bed.exchange(&first).await.code(), 0);
    bed.clock.advance(Duration::from_millis(1));
    assert!(bed.sender().send(&other).await.unwrap().is_received());

    assert_eq!(bed.exchange(&first).await.code(), 0);
    assert_eq!((bed.received("updated").await, bed.received("duplicate").await), (1, 1));
    bed.clock.advance(Duration::from_millis(1));
    assert!(bed.sender().send(&one).await.unwrap().is_received());

    assert_eq!((bed.received("updated").await, bed.received("duplicate").await), (2, 1));
    assert_eq!(bed.stop().await.len(), 3);
}

/// A header as the simulator received it from the gateway.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    &found.unwrap_or_else(|| panic!("no {name}")).1
}

#[tokio::test]
async fn a_signature_of_our_own_does_not_come_back() {
    let bed = Bed::start(|settings| settings).await;
    bed.gateway.studies().await;
    let sent = bed.platform.requests().pop().unwrap();
    let ours = |name| header(&sent.headers, name).to_owned();

    let reflected = bed
        .sender()
        .forge_timestamp(&ours("timestamp"))
        .forge_signature(&ours("signature"))
        .request_bytes(&Callback::demo());
    refused(&bed, "our own", &reflected, "reflected", "bad_signature").await;

    bed.clock.advance(Duration::from_millis(1));
    assert!(bed.sender().send(&Callback::demo()).await.unwrap().is_received());
    let (stored, log) = bed.stop_with_log().await;
    assert_eq!(stored.len(), 1);
    let alarm = log
        .lines()
        .find(|line| line.contains("\"callback_reflected\""))
        .unwrap();
    assert!(alarm.contains("\"severity_text\":\"ERROR\"") && alarm.contains("\"tenant\":\"first-hospital\""));
}

#[tokio::test]
async fn signatures_are_asked_for_as_the_tenant_says() {
    for (rule, unsigned, wrong) in [
        ("required", false, false),
        ("if_present", true, false),
        ("off", true, true),
    ] {
        let bed = Bed::start(|settings| settings.of_tenant(&format!("callback = {{ signature = \"{rule}\" }}"))).await;
        let reply = bed.sender().unsigned().send(&Callback::demo()).await.unwrap();
        assert_eq!(reply.is_received(), unsigned, "{rule}");
        let reply = bed
            .sender()
            .forge_signature("0")
            .send(&Callback::demo().status(1))
            .await
            .unwrap();
        assert_eq!(reply.is_received(), wrong, "{rule}");
        let reply = bed.sender().send(&Callback::demo().status(2)).await.unwrap();
        assert!(reply.is_received(), "{rule}");
        let stored = bed.stop().await;
        assert_eq!(
            stored.iter().filter(|event| event.verified == "unsigned").count(),
            match rule {
                "required" => 0,
                "if_present" => 1,
                _ => 3,
            }
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let platform = Platform::start(Default::default()).await.unwrap();
    let directory = crate::support::directory::Directory::new();
    let gateway = Settings::calling(&platform)
        .callbacks(&directory)
        .with("callback", "body_timeout_ms = 100")
        .start();
    let mut bytes = request("POST", "/callback/first-hospital", &[], &[b' '; 100]);
    bytes.truncate(bytes.len() - 1);

    let mut connection = Connection::open(gateway.callback.unwrap()).await;
    connection.send(&bytes).await.unwrap();
    let answer = connection.answer().await.unwrap();

    assert_eq!((answer.status, answer.code()), (403, 800_102));
    assert_eq!(
        gateway.metric("aimis_callbacks_refused_total{reason=\"slow\"}").await,
        Some(1.0)
    );
}
