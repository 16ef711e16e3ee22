//! One alert from its cause to whoever is woken, and the all-clear.

use std::time::Duration;

use aimis_simulator::{Fault, His, Platform, PlatformOptions, Recorded};
use serde_json::Value;
use tokio::time::{interval, timeout};

use super::servers::{Alertmanager, Prometheus};
use crate::support::client::PATIENCE;
use crate::support::gateway::{Gateway, PHONE, Settings, studies_query};

/// Waits for a page about an alert in a state; anything else that comes is passed over.
async fn page(duty: &His, alert: &str, state: &str) -> (Recorded, Value) {
    let waiting = async {
        let mut pace = interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            let told = duty.deliveries().into_iter().filter(|told| told.path == "/page");
            let mut told = told.map(|told| (told.json(), told));
            let wanted = told.find(|(json, _)| json["commonLabels"]["alertname"] == alert && json["status"] == state);
            if let Some((json, told)) = wanted {
                return (told, json);
            }
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("nobody is told that {alert} is {state}"))
}

/// Different patients, since one whose data upsets the platform opens nothing.
async fn ask_about(gateway: &Gateway, patients: std::ops::Range<usize>) {
    for patient in patients {
        let body = studies_query().replace(PHONE, &format!("138001380{patient:02}"));
        gateway.query("patientStudies", body).await;
    }
}

#[tokio::test]
async fn who_is_on_duty_is_told_that_a_breaker_is_open_and_that_it_is_over() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let duty = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let gateway = Settings::calling(&platform)
        .with("platform", "max_retries = 0")
        .with("breaker", "consecutive = 3\nopen_ms = 100")
        .start();
    let alertmanager = Alertmanager::telling(duty.addr());
    let prometheus = Prometheus::scraping(gateway.telemetry, alertmanager.address());
    prometheus.wait_for("aimis_breaker_state{state=\"closed\"} == 1").await;

    platform.set_fault(Fault::HtmlPage { status: 502 });
    ask_about(&gateway, 0..6).await;

    let (told, json) = page(&duty, "BreakerOpen", "firing").await;
    assert_eq!(told.method, "POST");
    let alert = &json["alerts"][0];
    assert_eq!(alert["labels"]["api"], "patientStudies");
    assert_eq!(alert["labels"]["severity"], "page");
    assert_eq!(alert["labels"]["instance"], gateway.telemetry.to_string());
    let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
    assert!(runbook.ends_with("/runbooks/BreakerOpen.md"), "{runbook}");

    platform.clear_faults();
    while gateway
        .metric("aimis_breaker_state{api=\"patientStudies\",state=\"closed\"}")
        .await
        != Some(1.0)
    {
        ask_about(&gateway, 10..11).await;
    }
    page(&duty, "BreakerOpen", "resolved").await;
}
