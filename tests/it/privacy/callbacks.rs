//! The callback road: callbacks good and bad, the inbox on the disk, deliveries that fail, a HIS that fetches, and what
//! an operator is shown.

use std::path::Path;
use std::process::Output;

use aimis_simulator::{Callback, CallbackSender, Encoding, Fault, His, Platform, Study, Switches};
use serde_json::json;

use super::canary::Canaries;
use super::drive::{Drive, VALUES};
use super::{Gateway, ID_NUMBER, NAME, PHONE, Settings, TOKEN};
use crate::support::binary;
use crate::support::client::{self, request};
use crate::support::directory::Directory;
use crate::support::process::run;

/// The last part of the path, which only the platform is told.
const SECRET: &str = "a-secret-part-of-the-path-5f31";
/// What deliveries are signed with, in base64.
const WEBHOOK: &str = "c2VjcmV0LW9mLXRoZS13ZWJob29rLTE5ODc=";
/// What the HIS is shown.
const BEARER: &str = "bearer-of-the-his-77c0ffee";
/// A link that no list has.
const LINK: &str = "https://imaging.example.com/report?rid=9&token=7d44aa5be1907c31";

/// Where a gateway keeps and finds what belongs to callbacks.
struct Places {
    /// Searched: the inbox, its log, and what is written beside.
    kept: Directory,
    /// Not searched: secrets belong there.
    secrets: Directory,
}

impl Places {
    fn new() -> Self {
        let (kept, secrets) = (Directory::new(), Directory::new());
        secrets.file("path", SECRET);
        secrets.file("webhook", format!("whsec_{WEBHOOK}"));
        secrets.file("bearer", BEARER);
        secrets.file("token", TOKEN);
        Self { kept, secrets }
    }

    fn secret(&self, name: &str) -> String {
        self.secrets.path().join(name).display().to_string()
    }

    /// The configuration of commands.
    fn config(&self) -> String {
        let file = |name: &str| self.kept.path().join(name).display().to_string();
        let text = format!(
            "[callback]\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n\
             [[tenants]]\nname = \"first-hospital\"\napp_id = \"900001\"\ntoken_file = \"{}\"\n",
            file("inbox.db"),
            file("inbox.key"),
            self.secret("token"),
        );
        self.secrets.file("gateway.toml", text)
    }
}

impl Drive {
    /// Drives the road with a HIS that is called, then with one that fetches.
    pub async fn callbacks(&mut self, platform: &Platform, canaries: &mut Canaries) {
        for (name, value) in [
            ("secret part of the path", SECRET),
            ("secret of the webhook", WEBHOOK),
            ("bearer of the HIS", BEARER),
            ("link of a callback", LINK),
            ("query of a callback's link", LINK.split_once('?').unwrap().1),
        ] {
            canaries.add(name, value);
        }
        platform.clear_faults();
        let (places, his) = (Places::new(), His::start("127.0.0.1:0".parse().unwrap()).await.unwrap());
        let gateway = called(platform, &places, &his).start();
        let path = format!("/callback/first-hospital/{SECRET}");
        let sender = sender(&gateway, platform, &path);
        let signature = |sender: &CallbackSender| {
            let bytes = String::from_utf8(sender.request_bytes(&Callback::demo())).unwrap();
            let mut lines = bytes.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(name, _)| name.eq_ignore_ascii_case("signature"))
                .unwrap()
                .1
                .to_owned()
        };
        canaries.add("signature of a callback", &signature(&sender));

        self.failing_his(&his, &sender).await;
        self.odd_callbacks(&gateway, &sender).await;
        self.missed(&gateway, platform).await;
        self.sinks.files("inbox of a gateway that runs", places.kept.path());
        self.commands(&gateway, &places).await;
        self.telemetry(&gateway).await;
        self.stop(gateway);
        self.sinks.files("inbox of a gateway that stopped", places.kept.path());
        assert!(his.deliveries().iter().any(|delivery| delivery.contains(PHONE)));

        let places = Places::new();
        let gateway = Settings::calling(platform)
            .callbacks(&places.kept)
            .with("log", "level = \"debug\"\nrepeat_interval_ms = 0")
            .start();
        self.fetching(&gateway, platform).await;
        self.telemetry(&gateway).await;
        self.stop(gateway);
        self.sinks.files("inbox that was fetched from", places.kept.path());
    }

    /// A HIS that quotes what it got, and takes nothing, until it does.
    async fn failing_his(&mut self, his: &His, sender: &CallbackSender) {
        let message = format!("no patient {PHONE} {ID_NUMBER} {NAME} {LINK} under {BEARER}");
        for fault in [
            Fault::BusinessCode {
                code: 7,
                message: message.clone(),
            },
            Fault::Status {
                code: 500,
                envelope: true,
            },
            Fault::HtmlPage { status: 200 },
            Fault::HalfBody,
            Fault::BusinessCode {
                code: 13_800_138_000,
                message,
            },
        ] {
            his.push_fault(fault);
        }
        let before = his.delivery_count();
        for study in ["S1", "S2"] {
            let callback = Callback::demo()
                .study(study)
                .with("h5Url", LINK)
                .with("patientName", NAME);
            assert!(sender.send(&callback).await.unwrap().is_received());
        }
        // One attempt for each fault, at the least.
        his.wait_for_deliveries(before + 5).await;
    }

    /// Each value in each part of a callback.
    async fn odd_callbacks(&mut self, gateway: &Gateway, sender: &CallbackSender) {
        let address = gateway.callback.unwrap();
        let demo = Callback::demo();
        for value in VALUES {
            let mut all = vec![
                sender.clone().header("X-Request-Id", value).request_bytes(&demo),
                sender.clone().header(&format!("X-{value}"), value).request_bytes(&demo),
                sender.clone().forge_signature(value).request_bytes(&demo),
                sender.clone().forge_timestamp(value).request_bytes(&demo),
                sender.clone().forge_app_id(value).request_bytes(&demo),
                sender.clone().forge_content_type(value).request_bytes(&demo),
                sender.clone().forge_body(value).request_bytes(&demo),
                sender
                    .clone()
                    .forge_body(format!("{{\"{value}\":\"{value}\""))
                    .request_bytes(&demo),
                sender
                    .clone()
                    .encoding(Encoding::Form)
                    .request_bytes(&demo.clone().with("bodyPart", value)),
                request(
                    "POST",
                    &format!("/callback/{value}/{value}?{value}={value}"),
                    &[],
                    value.as_bytes(),
                ),
                request(value, "/callback/first-hospital", &[], b""),
                format!("{value}\r\n\r\n").into_bytes(),
            ];
            for field in [
                "phoneNum",
                "idNum",
                "hisId",
                "studyId",
                "reportId",
                "status",
                "hospitalId",
                "h5Url",
                "more",
            ] {
                for sent in [json!(value), json!({ value: [value] })] {
                    let callback = demo.clone().with(field, sent);
                    all.push(sender.request_bytes(&callback));
                    all.push(sender.clone().unsigned().request_bytes(&callback));
                }
            }
            for bytes in all {
                // What the HTTP library makes of a header's value that is no ASCII is nobody's.
                if let Some(answer) = client::exchange(address, &bytes).await {
                    self.sinks.answer("callback", &answer);
                }
            }
        }
    }

    /// A callback that never came.
    async fn missed(&mut self, gateway: &Gateway, platform: &Platform) {
        let tomorrow = aimis_core::sign::Timestamp::from_millis(platform.clock().now_ms().unsigned_abs() + 3_600_000);
        let seconds = i64::try_from(tomorrow.as_millis() / 1000).unwrap();
        let date = aimis_core::datetime::DateTime::in_china(seconds).unwrap().to_string();
        assert!(platform.add_study(ID_NUMBER, Study::new("S9001", 0, &date, "H0001", "U0001")));
        self.good_queries(gateway).await;
        let series = "aimis_callbacks_missed_total{tenant=\"first-hospital\"}";
        let found = async { while gateway.metric(series).await != Some(1.0) {} };
        tokio::time::timeout(client::PATIENCE, found)
            .await
            .expect("a missed callback in time");
    }

    /// What an operator sees, unless he asks to be shown persons.
    async fn commands(&mut self, gateway: &Gateway, places: &Places) {
        let config = places.config();
        let inbox = |arguments: &[&str]| -> Output {
            let (name, rest) = arguments.split_first().unwrap();
            run(
                binary::command(&[&["inbox", name, "--config", &config], rest].concat()),
                b"",
            )
        };
        let listed = inbox(&["list", "--json"]);
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let id = text
            .split('"')
            .find(|word| word.starts_with("evt_"))
            .expect("an event")
            .to_owned();
        self.sinks.output("inbox list --json", &listed);
        let export = places.kept.path().join("export.jsonl").display().to_string();
        for arguments in [
            &["list"][..],
            &["list", "--state", PHONE],
            &["show", &id],
            &["show", &id, "--json"],
            &["show", PHONE],
            &["stats"],
            &["stats", "--json"],
            &["export"],
            &["export", "--output", &export],
            &["verify"],
            &["verify", "--json"],
            &["redeliver", "--state", "dead"],
            &["release", "--tenant", NAME, "--yes"],
            &["purge", "--state", "quarantined", "--json"],
        ] {
            self.sinks.output(&format!("inbox {}", arguments[0]), &inbox(arguments));
        }
        assert!(Path::new(&export).exists());
        self.sinks.text("log so far", gateway.log.text());
    }

    /// A HIS that fetches, and reports what it should not.
    async fn fetching(&mut self, gateway: &Gateway, platform: &Platform) {
        let sender = sender(gateway, platform, "/callback/first-hospital");
        assert!(
            sender
                .send(&Callback::demo().with("h5Url", LINK))
                .await
                .unwrap()
                .is_received()
        );
        let path = "/inbox/v1/first-hospital/events";
        let answer = client::get(gateway.lan, path).await;
        assert!(answer.text().contains(PHONE));
        // The events are the HIS's to have; all else of the answer is looked at.
        let headers: Vec<String> = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        self.sinks.text("headers of a fetch", headers.join("\n"));
        for value in VALUES {
            let query = format!("{path}?limit={value}&{value}=1");
            for bytes in [
                request("GET", &query, &[], b""),
                request("GET", &format!("/inbox/v1/{value}/events"), &[], b""),
                request("POST", path, &[], format!("{{\"ack\":[\"{value}\"]}}").as_bytes()),
                request("POST", path, &[], value.as_bytes()),
            ] {
                if let Some(answer) = client::exchange(gateway.lan, &bytes).await {
                    self.keep_fetched(&answer, value);
                }
            }
        }
    }

    /// What a HIS reported of leases is told back to it, and to nobody else.
    fn keep_fetched(&mut self, answer: &client::Answer, value: &str) {
        if answer.status == 200 && answer.text().contains(value) {
            return;
        }
        self.keep("fetch", answer);
    }
}

/// A gateway with everything that the road can have.
fn called(platform: &Platform, places: &Places, his: &His) -> Settings {
    let of_tenant = format!(
        "callback = {{ target = \"{}\", target_secret_file = \"{}\", target_bearer_file = \"{}\", secret_file = \"{}\", reconcile = true }}",
        his.url(),
        places.secret("webhook"),
        places.secret("bearer"),
        places.secret("path"),
    );
    Settings::calling(platform)
        .callbacks(&places.kept)
        .with(
            "callback",
            "link_hosts = \"imaging.example.com\"\nmax_per_source_per_s = 0",
        )
        .with(
            "log",
            "level = \"debug\"\nrepeat_interval_ms = 0\nclient_address = true",
        )
        .with(
            "delivery",
            "schedule_ms = [1, 1]\nsuspend_after = 1000\njitter_percent = 0",
        )
        .with("reconcile", "polls_per_hour = 3600\ngrace_s = 0")
        .with("drain", "delay_ms = 0")
        .of_tenant(&of_tenant)
}

fn sender(gateway: &Gateway, platform: &Platform, path: &str) -> CallbackSender {
    let url = format!("http://{}{path}", gateway.callback.unwrap());
    let account = aimis_simulator::Account::demo();
    CallbackSender::new(&url, &account)
        .unwrap()
        .clock(platform.clock())
        .switches(Switches::default())
}
