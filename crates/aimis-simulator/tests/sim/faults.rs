//! Each fault as a raw client sees it.

use crate::ask::{Ask, Reply, Wire, platform};
use aimis_simulator::{Fault, Platform};
use std::time::Duration;

/// Sends one request under `fault`, and hands over the connection.
async fn under(platform: &Platform, fault: Fault) -> Wire {
    platform.push_fault(fault);
    let mut wire = Wire::connect(platform.addr()).await;
    wire.write(&Ask::studies().bytes()).await;
    wire
}

async fn reply_under(fault: Fault) -> Reply {
    let platform = platform().await;
    under(&platform, fault).await.reply().await.unwrap()
}

async fn end_under(fault: Fault) -> (String, bool) {
    let platform = platform().await;
    let (bytes, reset) = under(&platform, fault).await.read_to_end().await;
    (String::from_utf8_lossy(&bytes).into_owned(), reset)
}

#[tokio::test]
async fn resets_are_resets_at_their_place() {
    let (bytes, reset) = end_under(Fault::ResetBeforeHead).await;
    assert!(reset && bytes.is_empty(), "{bytes}");

    let (bytes, reset) = end_under(Fault::ResetWithinHead).await;
    assert!(
        reset && bytes.starts_with("HTTP/1.1 200") && !bytes.contains("\r\n\r\n"),
        "{bytes}"
    );

    let (bytes, reset) = end_under(Fault::ResetWithinBody).await;
    let body = bytes.split_once("\r\n\r\n").unwrap().1;
    assert!(
        reset && body.starts_with("{\"code\":0") && !body.ends_with('}'),
        "{bytes}"
    );
}

#[tokio::test]
async fn half_a_body_ends_in_an_orderly_close() {
    let (bytes, reset) = end_under(Fault::HalfBody).await;

    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    let announced: usize = head
        .split("Content-Length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(!reset);
    assert_eq!(body.len(), announced / 2);
}

#[tokio::test]
async fn garbage_is_not_http() {
    let (bytes, reset) = end_under(Fault::Garbage).await;

    assert!(!reset && !bytes.starts_with("HTTP/"));
}

#[tokio::test]
async fn statuses_and_codes_are_those_asked_for() {
    let reply = reply_under(Fault::Status {
        code: 502,
        envelope: false,
    })
    .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (502, Some("text/plain; charset=utf-8"))
    );

    let reply = reply_under(Fault::Status {
        code: 503,
        envelope: true,
    })
    .await;
    assert_eq!((reply.status, &reply.json()["code"]), (503, &1.into()));

    let reply = reply_under(Fault::BusinessCode {
        code: 90_003,
        message: "too \"many\"".into(),
    })
    .await;
    assert_eq!((reply.status, &reply.json()["code"]), (200, &90_003.into()));
    assert_eq!(reply.json()["message"], "too \"many\"");

    let reply = reply_under(Fault::RetryAfter {
        status: 429,
        seconds: 7,
    })
    .await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));

    let reply = reply_under(Fault::HtmlPage { status: 200 }).await;
    assert!(reply.body.starts_with(b"<!DOCTYPE html>"));
}

#[tokio::test]
async fn bodies_are_spoilt_as_asked() {
    assert!(serde_json::from_slice::<serde_json::Value>(&reply_under(Fault::NotJson).await.body).is_err());
    assert!(reply_under(Fault::EmptyBody).await.body.is_empty());
    assert_eq!(
        reply_under(Fault::Oversized { bytes: 3_000_000 }).await.body.len(),
        3_000_000
    );
}

#[tokio::test]
async fn chunks_join_to_the_right_answer() {
    let platform = platform().await;
    platform.set_reply("patientStudies", "0123456789");
    let mut wire = under(
        &platform,
        Fault::Together {
            faults: vec![Fault::Chunked, Fault::CloseAfter],
        },
    )
    .await;

    let (bytes, _) = wire.read_to_end().await;

    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length"));
    assert_eq!(body, "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n");
    assert_eq!(platform.only_request().reply, b"0123456789");
}

#[tokio::test]
async fn a_wrong_length_leaves_the_connection_open() {
    let platform = platform().await;
    platform.set_reply("patientStudies", "0123456789");
    let mut wire = under(&platform, Fault::WrongContentLength { delta: -4 }).await;

    assert_eq!(wire.reply().await.unwrap().body, b"012345");
    wire.write(&Ask::studies().bytes()).await;
    // The rest of the first body comes before the second answer, as on any desynchronised connection.
    assert!(wire.head().await.unwrap().head.starts_with("6789HTTP/1.1 200 OK"));

    let mut wire = under(&platform, Fault::WrongContentLength { delta: 5 }).await;
    let head = wire.head().await.unwrap();
    assert_eq!(
        (head.header("content-length"), head.header("connection")),
        (Some("15"), Some("keep-alive"))
    );
    assert_eq!(platform.connections_open(), 2);
}

#[tokio::test]
async fn an_announced_close_and_a_silent_one() {
    let platform = platform().await;
    let mut wire = under(&platform, Fault::CloseAfter).await;
    assert_eq!(wire.reply().await.unwrap().header("connection"), Some("close"));
    assert_eq!(wire.read_to_end().await, (Vec::new(), false));

    let mut wire = under(&platform, Fault::SilentClose).await;
    assert_eq!(wire.reply().await.unwrap().header("connection"), Some("keep-alive"));
    assert_eq!(wire.read_to_end().await, (Vec::new(), false));
}

#[tokio::test(start_paused = true)]
async fn latency_passes_in_tokio_time() {
    let platform = platform().await;
    let mut wire = under(&platform, Fault::Latency { ms: 3_600_000 }).await;
    platform.wait_for_requests(1).await;

    let early = tokio::time::timeout(Duration::from_secs(3599), wire.reply()).await;

    assert!(early.is_err());
    assert_eq!(wire.reply().await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_drip_comes_piece_by_piece() {
    let platform = platform().await;
    platform.set_reply("patientStudies", "0123456789");
    let drip = async || {
        let mut wire = under(
            &platform,
            Fault::Drip {
                bytes: 4,
                every_ms: 60_000,
            },
        )
        .await;
        wire.reply().await.unwrap()
    };

    // 4, 4 and 2 bytes: the last come after three minutes.
    let early = tokio::time::timeout(Duration::from_secs(179), drip()).await;

    assert!(early.is_err());
    assert_eq!(drip().await.body, b"0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_platform_says_nothing_until_the_client_leaves() {
    let platform = platform().await;
    let mut wire = under(&platform, Fault::Hang).await;
    platform.wait_for_requests(1).await;

    assert!(
        tokio::time::timeout(Duration::from_secs(86_400), wire.reply())
            .await
            .is_err()
    );
    assert_eq!(platform.connections_open(), 1);
    drop(wire);
    while platform.connections_open() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn pushed_faults_meet_the_next_requests_and_rates_every_nth() {
    let platform = platform().await;
    platform.push_fault(Fault::Status {
        code: 500,
        envelope: false,
    });
    platform.push_fault(Fault::Status {
        code: 502,
        envelope: false,
    });
    let mut wire = Wire::connect(platform.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        wire.write(&Ask::studies().bytes()).await;
        statuses.push(wire.reply().await.unwrap().status);
    }
    platform.set_fault_rate(
        Fault::Status {
            code: 503,
            envelope: false,
        },
        10,
    );
    for _ in 0..20 {
        wire.write(&Ask::studies().bytes()).await;
        statuses.push(wire.reply().await.unwrap().status);
    }
    platform.clear_faults();
    assert_eq!(Ask::studies().code(&platform).await, 0);

    assert_eq!(statuses[..3], [500, 502, 200]);
    assert_eq!(statuses[3..].iter().filter(|status| **status == 503).count(), 2);
    assert_eq!((statuses[12], statuses[22]), (503, 503));
    assert_eq!(platform.connections_accepted(), 2);
}
