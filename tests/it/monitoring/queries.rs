//! A real Prometheus scrapes the gateway: it knows every family and an exemplar's request, and every panel of the
//! dashboards shows something.

use super::dashboards::{Query, queries};
use super::load::Ward;
use super::servers::{Alertmanager, Prometheus};
use super::{families, file};

/// An expression as Grafana would send it, with all variables filled in.
fn filled_in(expression: &str) -> String {
    [
        ("$__rate_interval", "1m"),
        ("$__range", "1m"),
        ("$instance", ".*"),
        ("$tenant", ".*"),
    ]
    .iter()
    .fold(expression.to_owned(), |text, (variable, value)| {
        text.replace(variable, value)
    })
}

#[tokio::test]
async fn prometheus_has_every_family_and_every_panel_shows_something() {
    let ward = Ward::open().await;
    let alertmanager = Alertmanager::telling("127.0.0.1:9".parse().unwrap());
    let prometheus = Prometheus::scraping(ward.gateway.telemetry, alertmanager.address());
    prometheus.wait_for("aimis_draining").await;
    ward.load().await;
    // Everything that was counted has been scraped, and the rules have seen it.
    prometheus
        .wait_for("sum(aimis_requests_total) >= 20 and sum(aimis_deliveries_total{result=\"ok\"}) >= 3 and sum(aimis_pull_requests_total) >= 1")
        .await;
    prometheus
        .wait_for("job:aimis_requests:bad_per_total_ratio_avg30d > 0")
        .await;

    for (name, kind) in families() {
        let series = if kind == "histogram" {
            format!("{name}_count")
        } else {
            name
        };
        assert!(!prometheus.query(&series).await.is_empty(), "no {series}");
    }
    let mut empty = Vec::new();
    for Query { place, expression } in queries() {
        let found = prometheus.query(&filled_in(&expression)).await;
        if found.iter().all(|(_, value)| value.is_nan()) {
            empty.push(format!("{place}: {expression}"));
        }
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
    // A bucket leads to a request, and its id to the line of the log.
    let now = prometheus.query("time()").await[0].1.to_string();
    let family = "aimis_http_server_request_duration_seconds_bucket";
    let asked = [("query", family), ("start", "0"), ("end", now.as_str())];
    let found = prometheus.get("query_exemplars", &asked).await;
    let exemplars = found
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|series| series["exemplars"].as_array().unwrap());
    let ids: Vec<&str> = exemplars
        .map(|one| one["labels"]["request_id"].as_str().unwrap())
        .collect();
    let log = ward.gateway.log.text();
    assert!(!ids.is_empty());
    for id in ids {
        assert!(log.contains(&format!("\"request.id\":\"{id}\"")), "{id}");
    }

    let variables = file("deploy/grafana/overview.json");
    for (metric, label) in [("aimis_requests_total", "tenant"), ("aimis_build_info", "instance")] {
        assert!(variables.contains(&format!("label_values({metric}, {label})")));
        let matching = prometheus
            .get(&format!("label/{label}/values"), &[("match[]", metric)])
            .await;
        assert!(!matching.as_array().unwrap().is_empty(), "{label}");
    }
}
