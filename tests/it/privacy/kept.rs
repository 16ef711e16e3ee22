//! Kept answers, and the operator who drops them.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Fault, PATIENT_STUDIES, Platform};
use serde_json::json;

use super::drive::{Drive, VALUES};
use super::{Gateway, ID_NUMBER, PHONE, Settings};
use crate::support::binary;
use crate::support::client::{self, post, request};
use crate::support::gateway::studies_query;
use crate::support::process::run;

const SHOW: &str = "/api/v1/cache";
const PURGE: &str = "/api/v1/cache/purge";

impl Drive {
    /// An answer that is kept, served, served old where the platform fails, and dropped by order, right and wrong.
    pub async fn kept_answers(&mut self, platform: &Platform) {
        let clock = Clock::manual(platform.clock().now_ms().try_into().unwrap());
        let gateway = Settings::calling(platform)
            .cached()
            .with("admin", "listen = \"127.0.0.1:0\"")
            .with("log", "level = \"debug\"")
            .with("limits", "closed_ms = 0")
            .clock(clock.clone())
            .start();
        self.good_queries(&gateway).await;
        for said in ["", "only-if-cached", "no-cache", "no-store", PHONE, ID_NUMBER] {
            let (path, headers) = ("/thirdparty/patientStudies/900001", [("Cache-Control", said)]);
            let answer = post(gateway.lan, path, &headers, studies_query().as_bytes()).await;
            self.keep("kept answer", &answer);
        }
        assert_eq!(gateway.studies().await.header("x-aimis-origin"), Some("cache"));

        clock.advance(Duration::from_secs(70));
        platform.set_fault(Fault::BusinessCode {
            code: 30_001,
            message: format!("no data for {PHONE} {ID_NUMBER}"),
        });
        let old = gateway.studies().await;
        assert_eq!(old.header("x-aimis-warnings"), Some("cache=stale"));
        self.keep("older answer", &old);
        platform.clear_faults();

        self.orders(&gateway).await;
        self.telemetry(&gateway).await;
        self.stop(gateway);
    }

    /// Orders to drop, with values where they belong and where they do not.
    async fn orders(&mut self, gateway: &Gateway) {
        let admin = gateway.admin.unwrap();
        for value in VALUES {
            for body in [
                json!({"tenant": "first-hospital", "patient": value}).to_string(),
                json!({"tenant": "first-hospital", "patient": [value]}).to_string(),
                json!({"tenant": value}).to_string(),
                json!({"api": value}).to_string(),
                json!({value: true}).to_string(),
                format!("{{\"patient\":\"{value}"),
                value.to_owned(),
            ] {
                let answer = post(admin, PURGE, &[], body.as_bytes()).await;
                self.sinks.answer("order", &answer);
            }
            for (method, path) in [
                ("GET", format!("{SHOW}?patient={value}")),
                ("GET", format!("{SHOW}/{value}")),
                (value, SHOW.to_owned()),
            ] {
                let headers = [("Origin", value), ("X-Request-Id", value), ("Content-Type", value)];
                let bytes = request(method, &path, &headers, b"");
                if let Some(answer) = client::exchange(admin, &bytes).await {
                    self.sinks.answer("admin", &answer);
                }
            }
        }
        let address = admin.to_string();
        for (arguments, input) in [
            (&["purge", "--tenant", "first-hospital", "--patient"][..], PHONE),
            (
                &["purge", "--tenant", "first-hospital", "--patient", "--json"],
                ID_NUMBER,
            ),
            (&["purge", "--tenant", "third", "--patient"], PHONE),
            (&["purge", "--patient"], PHONE),
            (&["show"], ID_NUMBER),
        ] {
            gateway.query(PATIENT_STUDIES, studies_query()).await;
            let command = binary::command(&[&["cache"], arguments, &["--address", &address]].concat());
            let output = tokio::task::spawn_blocking(move || run(command, input.as_bytes()))
                .await
                .unwrap();
            self.sinks.output("cache", &output);
        }
        self.sinks.answer("cache", &client::get(admin, SHOW).await);
    }
}
