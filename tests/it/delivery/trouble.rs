//! A HIS that refuses, hangs, is down or wants no more.

use aimis_simulator::{Account, Callback, Fault, His};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::bed::{Bed, Standing, arrived, by_id, call_back, call_back_of, counted, his, in_state};
use crate::log_fields::checked;

fn failing(code: u16) -> Fault {
    Fault::Status { code, envelope: false }
}

#[tokio::test]
async fn what_is_never_taken_becomes_a_dead_letter_with_its_reason() {
    for (fault, reason) in [
        (failing(500), "status_500"),
        (failing(404), "status_404"),
        (
            Fault::BusinessCode {
                code: 17,
                message: "no such patient".to_owned(),
            },
            "code_17",
        ),
        (Fault::NotJson, "answer_malformed"),
        (Fault::HalfBody, "reset"),
        (Fault::ResetBeforeHead, "reset"),
        (Fault::Garbage, "not_http"),
        (Fault::Oversized { bytes: 100_000 }, "answer_too_long"),
        (Fault::Hang, "timeout"),
    ] {
        let (bed, his) = (Bed::new().await, his().await);
        bed.keep(1, 1).await;
        his.set_fault(fault.clone());
        let gateway = bed
            .settings(&his.url())
            .with("delivery", "schedule_ms = [1, 1]")
            .with("delivery", "timeout_ms = 500")
            .start();

        counted(&gateway, "dead", 1.0).await;
        let log = gateway.stop();
        checked(&log);

        let attempts = his.deliveries();
        assert_eq!((attempts.len(), by_id(&attempts).len()), (3, 1), "{fault:?}");
        let dead = Standing {
            state: "dead",
            reason: Some(reason.to_owned()),
        };
        assert_eq!(bed.standings().await, [dead], "{fault:?}");
        let named = format!("\"attempt\":3,\"error.type\":\"{reason}\"");
        assert!(
            log.contains("\"event.name\":\"delivery_dead\"") && log.contains(&named),
            "{log}"
        );
        assert!(!log.contains("no such patient"));
    }
}

#[tokio::test]
async fn a_dead_letter_does_not_hold_up_its_study() {
    let (bed, his) = (Bed::new().await, his().await);
    bed.keep(1, 2).await;
    his.push_fault(failing(500));
    his.push_fault(failing(500));
    let gateway = bed.settings(&his.url()).with("delivery", "schedule_ms = 1").start();

    counted(&gateway, "ok", 1.0).await;
    gateway.stop();

    let states: Vec<_> = bed
        .standings()
        .await
        .into_iter()
        .map(|standing| standing.state)
        .collect();
    assert_eq!(states, ["dead", "delivered"]);
}

#[tokio::test]
async fn status_410_parks_the_target() {
    let (bed, his) = (Bed::new().await, his().await);
    bed.keep(3, 1).await;
    his.set_fault(failing(410));
    let settings = bed.patient(&his.url()).with("delivery", "in_flight = 1");

    let gateway = settings.start();
    in_state(&gateway, "parked").await;
    let log = gateway.stop();
    checked(&log);
    assert_eq!(his.delivery_count(), 1);
    assert_eq!(log.matches("\"event.name\":\"delivery_parked\"").count(), 1, "{log}");

    // A restart changes nothing about it.
    his.clear_faults();
    let gateway = settings.start();
    in_state(&gateway, "parked").await;
    gateway.stop();
    assert_eq!(his.delivery_count(), 1);
    assert_eq!(bed.count("ready").await, 3);
}

#[tokio::test]
async fn silence_is_kept_for_as_long_as_the_his_asks_within_its_bound() {
    for (bound, least) in [(3_600_000, 1_000), (0, 0)] {
        let (bed, his) = (Bed::new().await, his().await);
        bed.keep(3, 1).await;
        his.push_fault(Fault::RetryAfter {
            status: 503,
            seconds: 1,
        });
        let gateway = bed
            .patient(&his.url())
            .with("delivery", "in_flight = 1")
            .with("delivery", &format!("retry_after_max_ms = {bound}"))
            .start();

        arrived(&his, 4).await;
        gateway.stop();

        let deliveries = his.deliveries();
        let silence = deliveries[1].received_at_ms - deliveries[0].received_at_ms;
        assert!(silence >= least, "{silence}");
        assert_eq!((his.accepted().len(), by_id(&deliveries).len()), (3, 3));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (bed, elsewhere) = (Bed::new().await, his().await);
    bed.keep(1, 1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/events", listener.local_addr().unwrap());
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
            }
            stream.write_all(moved.as_bytes()).await.unwrap();
        }
    });

    let gateway = bed.settings(&target).with("delivery", "schedule_ms = 1").start();
    counted(&gateway, "dead", 1.0).await;
    gateway.stop();
    server.await.unwrap();

    assert_eq!(elsewhere.connections_accepted(), 0);
    assert_eq!(bed.standings().await[0].reason.as_deref(), Some("status_307"));
}

#[tokio::test]
async fn a_target_that_hangs_delays_no_other() {
    let (bed, hanging, other) = (Bed::new().await, his().await, his().await);
    hanging.set_fault(Fault::Hang);
    let second = Account {
        app_id: "900002".to_owned(),
        hospital_id: "H0002".to_owned(),
        ..Account::demo()
    };
    let gateway = bed
        .patient(&hanging.url())
        .with("drain", "timeout_ms = 0")
        .tenant("second-hospital", second.clone())
        .of_tenant(&format!("callback.target = \"{}\"", other.url()))
        .start();
    for study in 0..10 {
        call_back(&gateway, &Callback::demo().study(&format!("S{study}"))).await;
    }
    arrived(&hanging, 8).await;

    for study in 0..10 {
        let mut callback = Callback::demo().study(&format!("S{study}"));
        callback.hospital_id = "H0002".to_owned();
        call_back_of(&gateway, "second-hospital", &second, &callback).await;
    }
    arrived(&other, 10).await;
    gateway.stop();

    assert_eq!((hanging.delivery_count(), other.accepted().len()), (8, 10));
    // Cut short, they are given back as if they had not been tried.
    assert_eq!((bed.count("ready").await, bed.count("delivered").await), (10, 10));
}

#[tokio::test]
async fn while_the_his_is_down_no_attempts_are_used_up() {
    let bed = Bed::new().await;
    bed.keep(40, 2).await;
    let down = his().await;
    let (address, url) = (down.addr(), down.url());
    down.stop().await;
    let gateway = bed.settings(&url).with("delivery", "schedule_ms = [1, 1]").start();
    in_state(&gateway, "suspended").await;
    // More attempts than all events together have.
    counted(&gateway, "retry", 300.0).await;

    let his = His::start(address).await.unwrap();
    arrived(&his, 80).await;
    let log = gateway.stop();
    checked(&log);

    assert_eq!(bed.count("delivered").await, 80);
    assert_eq!((his.accepted().len(), by_id(&his.deliveries()).len()), (80, 80));
    assert!(log.contains("\"error.type\":\"refused\""), "{log}");
    assert!(log.contains("\"event.name\":\"delivery_resumed\""), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_thousand_none_is_missing_and_none_comes_twice_whatever_the_his_does() {
    const EVENTS: usize = 2_000;
    let bed = Bed::new().await;
    bed.keep(EVENTS / 4, 4).await;
    let first = his().await;
    let (address, url) = (first.addr(), first.url());
    for (fault, one_in) in [(failing(500), 5), (Fault::ResetBeforeHead, 7), (Fault::Hang, 50)] {
        first.set_fault_rate(fault, one_in);
    }
    let gateway = bed
        .patient(&url)
        .with("delivery", "in_flight = 64")
        .with("delivery", "timeout_ms = 500")
        .start();

    arrived(&first, EVENTS as u64 / 2).await;
    // It goes down: first it takes nothing any more, then nobody listens.
    first.set_fault(Fault::ResetBeforeHead);
    in_state(&gateway, "suspended").await;
    let mut taken = first.accepted();
    first.stop().await;
    let second = His::start(address).await.unwrap();
    counted(&gateway, "ok", EVENTS as f64).await;
    gateway.stop();
    taken.extend(second.accepted());

    assert_eq!((taken.len(), by_id(&taken).len()), (EVENTS, EVENTS));
    assert_eq!(bed.count("delivered").await, EVENTS);
}
