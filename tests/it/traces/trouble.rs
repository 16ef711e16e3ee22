//! A collector that is away, hangs, fails or is not who it should be costs spans, and nothing else.

use std::net::TcpListener;

use aimis_simulator::{Platform, PlatformOptions};

use super::{ask, traced};
use crate::support::client::PATIENCE;
use crate::support::collector::{Collector, Manner};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};
use crate::support::tls::{Authority, Purpose};

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

async fn spans(gateway: &Gateway, result: &str) -> f64 {
    gateway
        .metric(&format!("aimis_trace_spans_total{{result=\"{result}\"}}"))
        .await
        .unwrap()
}

/// Waits until so many spans have ended so.
async fn counted(gateway: &Gateway, result: &str, least: f64) {
    let counted = async { while spans(gateway, result).await < least {} };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("so many spans in time");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_a_counter_and_two_lines() {
    let platform = platform().await;
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = traced(Settings::calling(&platform), &format!("http://{nobody}/v1/traces"))
        .with("traces", "give_up_ms = 100")
        .start();

    for _ in 0..5 {
        assert_eq!(ask(&gateway, "01").await.status, 200);
    }
    counted(&gateway, "failed", 10.0).await;

    assert_eq!(gateway.metric("aimis_trace_export_failing").await, Some(1.0));
    assert_eq!(
        (spans(&gateway, "exported").await, spans(&gateway, "dropped").await),
        (0.0, 0.0)
    );
    let log = gateway.stop();
    assert_eq!(log.matches("traces_failing").count(), 1, "{log}");
    assert!(log.contains("\"error.type\":\"refused\""), "{log}");
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_neither_requests_nor_the_stop_and_fills_no_memory() {
    let platform = platform().await;
    let collector = Collector::start(Manner::Hangs);
    let gateway = traced(Settings::calling(&platform), &collector.endpoint())
        .with("traces", "queue = 64\nbatch = 2\nflush_ms = 50")
        .start();

    for _ in 0..60 {
        assert_eq!(ask(&gateway, "01").await.status, 200);
    }

    // 120 spans: 64 in the queue, two on their way, and no room for the others.
    assert!(spans(&gateway, "dropped").await >= 54.0);
    let log = gateway.stop();
    assert!(
        log.contains("\"event.name\":\"stopped\"") && !log.contains("drain_timed_out"),
        "{log}"
    );
}

#[tokio::test]
async fn a_collector_that_fails_is_tried_again_and_told_of_once_each_way() {
    let platform = platform().await;
    let collector = Collector::start(Manner::Says(503));
    let gateway = traced(Settings::calling(&platform), &collector.endpoint()).start();

    ask(&gateway, "01").await;
    gateway.logged("traces_failing").await;
    collector.set(Manner::Takes);
    counted(&gateway, "exported", 2.0).await;

    assert_eq!(gateway.metric("aimis_trace_export_failing").await, Some(0.0));
    assert_eq!(spans(&gateway, "failed").await, 0.0);
    // What it will not take however often it is tried is given up at once.
    collector.set(Manner::Says(400));
    ask(&gateway, "01").await;
    counted(&gateway, "failed", 2.0).await;
    let log = gateway.stop();
    assert_eq!(
        (
            log.matches("traces_failing").count(),
            log.matches("traces_work").count()
        ),
        (2, 1),
        "{log}"
    );
}

#[tokio::test]
async fn what_came_last_is_exported_before_the_end() {
    let platform = platform().await;
    let collector = Collector::start(Manner::Takes);
    let settings = Settings::calling(&platform).with("traces", &format!("endpoint = \"{}\"", collector.endpoint()));
    let gateway = settings.with("traces", "delay_ms = 600000").start();

    ask(&gateway, "01").await;
    assert_eq!(collector.requests().len(), 0);
    gateway.stop();

    assert_eq!(collector.requests().len(), 1);
}

#[tokio::test]
async fn a_collector_over_tls_gets_its_headers_if_it_is_who_it_should_be() {
    let platform = platform().await;
    let (authority, directory) = (Authority::new("the collector's"), Directory::new());
    let collector = Collector::secure(&authority.certify_for("localhost", Purpose::Server, 2090));
    let headers = directory.file("headers", "authorization=Bearer%20for-the-collector");
    let settings = traced(Settings::calling(&platform), &collector.endpoint())
        .with("traces", &format!("headers_file = \"{headers}\""))
        .with("traces", "give_up_ms = 100");

    let gateway = settings.start();
    ask(&gateway, "01").await;
    counted(&gateway, "failed", 2.0).await;
    assert_eq!(collector.requests().len(), 0);
    assert!(gateway.stop().contains("certificate_unknown_issuer"));

    let ca = directory.file("ca.pem", authority.pem());
    let gateway = settings.with("traces", &format!("ca_file = \"{ca}\"")).start();
    ask(&gateway, "01").await;
    counted(&gateway, "exported", 2.0).await;
    let log = gateway.stop();

    let request = String::from_utf8_lossy(&collector.requests()[0]).into_owned();
    assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
    for header in [
        "authorization: Bearer for-the-collector",
        "content-type: application/x-protobuf",
    ] {
        assert!(request.contains(header), "{request}");
    }
    assert!(!log.contains("for-the-collector"));
}
