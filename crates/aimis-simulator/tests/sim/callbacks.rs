//! Callbacks sent to a receiver, and the small HIS as that receiver.

use crate::ask::NOW_MS;
use aimis_simulator::{Account, Callback, CallbackSender, Clock, Encoding, Fault, His};
use std::net::{Ipv4Addr, SocketAddr};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn sender(his: &His) -> CallbackSender {
    CallbackSender::new(&his.url(), &Account::demo())
        .unwrap()
        .clock(Clock::standing_at(NOW_MS))
}

#[tokio::test]
async fn a_callback_arrives_as_documented() {
    let his = His::start(ANY).await.unwrap();

    let reply = sender(&his).send(&Callback::demo()).await.unwrap();

    assert!(reply.is_received());
    let delivery = his.only_delivery();
    assert_eq!(delivery.path, "/imaging-events");
    assert_eq!(delivery.header("appid"), Some("900001"));
    assert_eq!(
        delivery.header("signature"),
        Some("4c43cf430bf244880b1845258bc7937eba64f60258e92ad2bda27bb3f2037b9b")
    );
    let body = delivery.json();
    let names = "status phoneNum idNum patientId hospitalId hisId studyType studyDate studyId bodyPart studyName h5Url \
                 h5DetailUrl reportId";
    assert!(body.as_object().unwrap().keys().eq(names.split_whitespace()), "{body}");
    assert_eq!(body["phoneNum"], "554fb5befba4daabdb8169e45db64485");
    assert!(!delivery.contains("13800138000") && !delivery.contains("11010119000101009X"));
}

#[tokio::test]
async fn every_part_of_a_callback_can_be_forged() {
    let his = His::start(ANY).await.unwrap();
    let sender = sender(&his)
        .forge_timestamp("1")
        .forge_signature("00")
        .forge_app_id("900002")
        .forge_body("not json")
        .forge_content_type("text/plain")
        .header("X-Forwarded-For", "10.0.0.1");

    sender.send(&Callback::demo()).await.unwrap();

    let delivery = his.only_delivery();
    let header = |name| delivery.header(name).unwrap();
    assert_eq!(
        (header("timestamp"), header("signature"), header("appId")),
        ("1", "00", "900002")
    );
    assert_eq!(
        (header("content-type"), header("x-forwarded-for")),
        ("text/plain", "10.0.0.1")
    );
    assert_eq!(delivery.body, b"not json");
}

#[tokio::test]
async fn json_can_travel_inside_a_form() {
    let his = His::start(ANY).await.unwrap();

    sender(&his)
        .encoding(Encoding::JsonInForm("param".into()))
        .unsigned()
        .send(&Callback::demo())
        .await
        .unwrap();

    let delivery = his.only_delivery();
    assert!(delivery.body.starts_with(b"param=%7B%22status%22%3A3%2C"));
    assert_eq!(delivery.header("signature"), None);
}

#[tokio::test]
async fn the_his_misbehaves_as_asked() {
    let his = His::start(ANY).await.unwrap();
    let sender = sender(&his);
    his.push_fault(Fault::Status {
        code: 410,
        envelope: false,
    });
    his.push_fault(Fault::BusinessCode {
        code: 7,
        message: "busy".into(),
    });
    his.push_fault(Fault::RetryAfter {
        status: 503,
        seconds: 30,
    });
    his.push_fault(Fault::ResetBeforeHead);

    let mut seen = Vec::new();
    for _ in 0..5 {
        let reply = sender.send(&Callback::demo()).await;
        seen.push(
            reply
                .map(|reply| (reply.status, reply.code))
                .map_err(|error| error.kind()),
        );
    }

    let reset = Err(std::io::ErrorKind::ConnectionReset);
    assert_eq!(
        seen,
        [
            Ok((410, None)),
            Ok((200, Some(7))),
            Ok((503, None)),
            reset,
            Ok((200, Some(0)))
        ]
    );
    assert_eq!((his.delivery_count(), his.accepted().len()), (5, 1));
    his.set_fault_rate(
        Fault::Status {
            code: 500,
            envelope: false,
        },
        2,
    );
    assert!(sender.send(&Callback::demo()).await.unwrap().is_received());
    assert!(!sender.send(&Callback::demo()).await.unwrap().is_received());
}
