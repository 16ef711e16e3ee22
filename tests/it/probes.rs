//! The telemetry listener: what probes are told, and when they are told no.

use aimis_simulator::{Fault, Platform, PlatformOptions};
use serde_json::json;

use crate::support::client::{self, request};
use crate::support::gateway::{Gateway, Settings, studies_query};

const ALL: [&str; 5] = ["/metrics", "/livez", "/readyz", "/startupz", "/healthz"];

#[tokio::test]
async fn a_gateway_that_runs_answers_every_probe_well() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for path in ["/livez", "/readyz", "/startupz"] {
        let answer = gateway.telemetry(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let health = gateway.telemetry("/healthz").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.header("content-type"), Some("application/json"));
    let checks = json!({ "config": true, "secrets": true, "listener": true, "inbox": true });
    let version = aimis_gateway::VERSION;
    assert_eq!(
        health.json(),
        json!({ "status": "ok", "version": version, "draining": false, "checks": checks })
    );
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for path in ALL {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let answer = client::exchange(gateway.telemetry, &request(method, path, &[], b""))
                .await
                .unwrap();
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
        }
        // As `curl -X POST` sends it.
        let bare = format!("POST {path} HTTP/1.1\r\nHost: gateway\r\n\r\n");
        let answer = client::exchange(gateway.telemetry, bare.as_bytes()).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
        let mut connection = client::Connection::open(gateway.telemetry).await;
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
        connection.send(head.as_bytes()).await.unwrap();
        let head = connection.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            connection.answer().await.is_none(),
            "HEAD {path} was answered with a body"
        );
    }
}

#[tokio::test]
async fn other_paths_are_not_found_and_told_where_to_look() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for path in [
        "/",
        "/metrics/",
        "/Livez",
        "/healthz/x",
        "/thirdparty/patientStudies/900001",
    ] {
        let answer = gateway.telemetry(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.text(),
            "not found; here are /metrics /livez /readyz /startupz /healthz\n"
        );
    }
    assert_eq!(gateway.telemetry("/livez?verbose=1").await.status, 200);
}

#[tokio::test]
async fn a_platform_that_is_down_fails_no_probe() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    platform.set_fault(Fault::ResetBeforeHead);
    for _ in 0..6 {
        assert_eq!(gateway.studies().await.status, 502);
    }
    platform.stop().await;
    assert_eq!(gateway.studies().await.code(), 800_301);

    for path in ALL {
        assert_eq!(gateway.telemetry(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn readiness_fails_from_the_signal_on_while_requests_are_still_served() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    // Longer than the test takes; a drop ends it.
    let gateway = Settings::calling(&platform).with("drain", "delay_ms = 3000").start();
    let (lan, telemetry) = (gateway.lan, gateway.telemetry);
    let drained = tokio::task::spawn_blocking(move || gateway.into_running().drain());

    while client::get(telemetry, "/readyz").await.status == 200 {}
    let ready = client::get(telemetry, "/readyz").await;
    let health = client::get(telemetry, "/healthz").await;
    let answer = client::post(
        lan,
        "/thirdparty/patientStudies/900001",
        &[],
        studies_query().as_bytes(),
    )
    .await;

    assert_eq!((ready.status, ready.text().as_str()), (503, "not ready: draining\n"));
    assert_eq!(health.status, 503);
    assert_eq!(
        (&health.json()["status"], &health.json()["draining"]),
        (&json!("unavailable"), &json!(true))
    );
    assert_eq!(client::get(telemetry, "/livez").await.status, 200);
    assert_eq!(client::get(telemetry, "/startupz").await.status, 200);
    assert!(
        client::get(telemetry, "/metrics")
            .await
            .text()
            .contains("\naimis_draining 1\n")
    );
    assert_eq!((answer.status, answer.code()), (200, 0));
    assert_eq!(
        answer.header("connection"),
        Some("close"),
        "a busy client is asked to move on"
    );
    assert_eq!(drained.await.unwrap().cut, 0);
}
