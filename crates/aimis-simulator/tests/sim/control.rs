//! The control port, and everything started at once.

use crate::ask::Ask;
use aimis_simulator::{Platform, PlatformOptions, RunOptions, Running, run};
use serde_json::{Value, json};

async fn pull(running: &Running, method: &str, path: &str, body: Value) -> (u16, Value) {
    let ask = Ask {
        method: method.into(),
        path: path.into(),
        body,
        ..Ask::studies()
    };
    let mut wire = crate::ask::Wire::connect(running.control_addr().unwrap()).await;
    wire.write(&ask.bytes()).await;
    let reply = wire.reply().await.unwrap();
    (reply.status, reply.json())
}

#[tokio::test]
async fn every_lever_does_what_it_says() {
    let running = run(RunOptions::default()).await.unwrap();
    let platform = &running.platform;
    platform.clock().stand_at(crate::ask::NOW_MS);
    let ask = Ask::studies();
    let lever = |method: &'static str, path: &'static str, body: Value| pull(&running, method, path, body);

    assert_eq!(
        lever("POST", "/fault", json!({"fault":"status","code":502})).await.0,
        200
    );
    assert_eq!(ask.send(platform).await.status, 502);
    assert_eq!(lever("DELETE", "/fault", Value::Null).await.0, 200);
    lever("POST", "/fault/next", json!({"fault":"status","code":500})).await;
    assert_eq!(ask.send(platform).await.status, 500);
    lever(
        "POST",
        "/fault-rate",
        json!({"fault":{"fault":"status","code":503},"oneIn":2}),
    )
    .await;
    assert_eq!(
        (ask.send(platform).await.status, ask.send(platform).await.status),
        (200, 503)
    );
    lever("DELETE", "/fault", Value::Null).await;
    lever("POST", "/clock", json!({"offsetMs":-400_000})).await;
    assert_eq!(ask.code(platform).await, 90_001);
    lever("POST", "/clock", json!({"offsetMs":0})).await;

    let (_, requests) = lever("GET", "/requests", Value::Null).await;
    assert_eq!(requests["count"], 5);
    assert_eq!(requests["records"][4]["verdict"], 90_001);
    lever("DELETE", "/requests", Value::Null).await;
    assert_eq!(platform.request_count(), 0);

    lever(
        "POST",
        "/token",
        json!({"appId":"900001","token":"fedcba9876543210fedcba9876543210"}),
    )
    .await;
    assert_eq!(ask.code(platform).await, 90_002);
    let (_, patients) = lever("GET", "/patients", Value::Null).await;
    assert_eq!(patients["patients"][0]["studies"][2]["hospitalId"], "H0002");
}

#[tokio::test]
async fn the_control_port_sends_callbacks_and_shows_deliveries() {
    let running = run(RunOptions::default()).await.unwrap();
    let url = running.his.as_ref().unwrap().url();

    let order = json!({"url": url, "studyId": "S2001", "status": 1, "fields": {"extra": true}});
    let (status, sent) = pull(&running, "POST", "/callback", order).await;

    assert_eq!((status, &sent["received"]), (200, &json!(true)));
    let (_, deliveries) = pull(&running, "GET", "/his/deliveries", Value::Null).await;
    let body = deliveries["records"][0]["body"].as_str().unwrap();
    assert!(body.contains("\"studyId\":\"S2001\"") && body.contains("\"extra\":true"));
    pull(&running, "POST", "/his/fault", json!({"fault":"status","code":410})).await;
    assert_eq!(
        pull(&running, "POST", "/callback", json!({"url": url})).await.1["status"],
        410
    );
    running.stop().await;
}

#[tokio::test]
async fn wrong_orders_are_refused() {
    let running = run(RunOptions {
        his: None,
        ..RunOptions::default()
    })
    .await
    .unwrap();
    for (method, path, body, status) in [
        ("POST", "/fault", json!({"fault":"unheard-of"}), 400),
        ("POST", "/clock", json!({"offset":1}), 400),
        ("POST", "/token", json!({"appId":"1","token":"2"}), 404),
        ("POST", "/callback", json!({"url":"gopher://x"}), 502),
        ("POST", "/callback", json!({"url":"http://x","studyId":"none"}), 404),
        ("GET", "/his/deliveries", Value::Null, 404),
        ("GET", "/", Value::Null, 404),
    ] {
        assert_eq!(pull(&running, method, path, body).await.0, status, "{method} {path}");
    }
    let mut wire = crate::ask::Wire::connect(running.control_addr().unwrap()).await;
    wire.write(
        &Ask {
            method: "DELETE".into(),
            path: "/fault".into(),
            ..Ask::studies()
        }
        .header("Origin", "http://x")
        .bytes(),
    )
    .await;
    assert_eq!(wire.reply().await.unwrap().status, 403);
    let everywhere = PlatformOptions {
        control: Some("0.0.0.0:0".parse().unwrap()),
        ..PlatformOptions::default()
    };
    assert!(Platform::start(everywhere).await.is_err());
}
