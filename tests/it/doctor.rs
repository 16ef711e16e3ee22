//! `doctor`: each part of the path broken in turn; the verdict, the exit status, and a fix that names the right key.

mod database;
mod events;
mod platform;
mod store;
mod way;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use aimis_simulator::{DEMO_TOKEN, Platform, PlatformOptions};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE};
use crate::support::process::run;
use crate::support::tls::Authority;

const NAME: &str = "first-hospital";
const HEALTHY: [(&str, &str); 13] = [
    ("configuration", "ok"),
    ("secrets", "ok"),
    ("dns", "skipped"),
    ("connect", "ok"),
    ("proxy", "skipped"),
    ("tls", "skipped"),
    ("clock", "ok"),
    ("probe", "ok"),
    ("listen", "ok"),
    ("listen", "ok"),
    ("store", "skipped"),
    ("inbox", "skipped"),
    ("his", "skipped"),
];

/// A configuration with one tenant, and its directory.
struct Patient {
    directory: Directory,
    platform: String,
    tenant: String,
    listen: String,
    telemetry: String,
}

impl Patient {
    fn of(platform: &Platform) -> Self {
        Self::at(&platform.base_url())
    }

    fn at(base_url: &str) -> Self {
        let directory = Directory::new();
        let token = directory.file("token", DEMO_TOKEN);
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self {
            directory,
            platform: format!("base_url = \"{base_url}\"\n"),
            tenant: format!("name = \"{NAME}\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n"),
            listen: "127.0.0.1:0".to_owned(),
            telemetry: "127.0.0.1:0".to_owned(),
        }
    }

    fn with(mut self, line: &str) -> Self {
        self.platform += &format!("{line}\n");
        self
    }

    fn trusting(self, authority: &Authority) -> Self {
        let file = self.directory.file("ca.pem", authority.pem());
        self.with(&format!("extra_ca_file = \"{file}\""))
    }

    fn text(&self) -> String {
        let ids = if self.tenant.contains("hospital_id") {
            ""
        } else {
            "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n"
        };
        format!(
            "[lan]\nlisten = \"{}\"\n[telemetry]\nlisten = \"{}\"\n[platform]\n{}[[tenants]]\n{}{ids}",
            self.listen, self.telemetry, self.platform, self.tenant
        )
    }

    /// Exit status and the document of `doctor --json`.
    async fn examined(&self, arguments: &[&str]) -> (i32, Value) {
        let (status, out, errors) = self.told(&[&["--json"], arguments].concat()).await;
        let document = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{errors}"));
        (status, document)
    }

    /// Exit status, standard output and standard error.
    async fn told(&self, arguments: &[&str]) -> (i32, String, String) {
        let file = self.directory.file("gateway.toml", self.text());
        let mut doctor = command(&["doctor", "--config", &file]);
        doctor.args(arguments);
        // On a thread of its own, since the platform lives on this one.
        let output = tokio::task::spawn_blocking(move || run(doctor, b"")).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// Each step with its verdict.
fn verdicts(document: &Value) -> Vec<(&str, &str)> {
    let steps = document["steps"].as_array().unwrap();
    let both = steps
        .iter()
        .map(|step| (step["step"].as_str(), step["verdict"].as_str()));
    both.map(|(step, verdict)| (step.unwrap(), verdict.unwrap())).collect()
}

/// The first finding of a step.
#[track_caller]
fn finding<'d>(document: &'d Value, step: &str) -> &'d Value {
    let mut steps = document["steps"].as_array().unwrap().iter();
    let found = steps.find(|found| found["step"] == step);
    found.unwrap_or_else(|| panic!("no step {step}: {document:#}"))
}

/// A step that failed, and alone; those behind it that need it were skipped. Its fix names `keys`.
#[track_caller]
fn assert_broken((status, document): &(i32, Value), step: &str, skipped: &[&str], keys: &[&str]) {
    let found = finding(document, step);
    assert_eq!(*status, 1, "{document:#}");
    assert_eq!(document["ok"], false);
    assert_eq!(found["verdict"], "fail", "{document:#}");
    for key in keys {
        assert!(found["fix"].as_str().unwrap().contains(key), "{key}: {found:#}");
    }
    for (name, verdict) in verdicts(document) {
        assert!(verdict != "fail" || name == step, "{name}: {document:#}");
        if skipped.contains(&name) {
            assert_eq!(verdict, "skipped", "{name}: {document:#}");
        }
    }
}

#[tokio::test]
async fn a_good_path_is_called_good_step_by_step() {
    let platform = platform().await;
    let patient = Patient::of(&platform);

    let (status, document) = patient.examined(&[]).await;

    assert_eq!((status, &document["ok"]), (0, &Value::Bool(true)), "{document:#}");
    assert_eq!(verdicts(&document), HEALTHY, "{document:#}");
    let probe = finding(&document, "probe");
    assert_eq!(probe["tenant"], NAME);
    assert!(
        probe["took_ms"].as_f64().is_some() && probe.get("fix").is_none(),
        "{probe:#}"
    );
    let fingerprint = finding(&document, "secrets")["found"].as_str().unwrap();
    assert!(
        fingerprint.contains("fingerprint ") && fingerprint.contains("900001"),
        "{fingerprint}"
    );

    let (status, text, errors) = patient.told(&[]).await;
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
    assert!(text.ends_with("the path works\n"), "{text}");
    assert_eq!(text.lines().count(), HEALTHY.len() + 1, "{text}");
}

#[tokio::test]
async fn one_question_with_the_contracts_headers_leaves_and_nothing_secret_is_shown() {
    let platform = platform().await;
    let patient = Patient::of(&platform);

    let (_, text, _) = patient.told(&[]).await;
    let request = platform.only_request();
    let (_, json, _) = patient.told(&["--json"]).await;

    let names: BTreeSet<String> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let contract = [
        "accept-encoding",
        "appid",
        "content-length",
        "content-type",
        "host",
        "signature",
        "timestamp",
    ];
    assert_eq!(names, contract.map(str::to_owned).into());
    let body = request.json();
    let personal = ["phoneNum", "idNum"].map(|field| body[field].as_str().unwrap().to_owned());
    let header = |name: &str| {
        let mut headers = request.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .unwrap()
            .1
            .clone()
    };
    let secrets = [
        DEMO_TOKEN.to_owned(),
        PHONE.to_owned(),
        ID_NUMBER.to_owned(),
        header("signature"),
    ];
    for secret in secrets.iter().chain(&personal) {
        assert!(
            !secret.is_empty() && !text.contains(secret) && !json.contains(secret),
            "{secret} in {text}{json}"
        );
    }
}

#[tokio::test]
async fn without_a_configuration_nothing_else_is_looked_at() {
    let platform = platform().await;
    let patient = Patient::of(&platform).with("max_retrys = 1");

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 78);
    let found = finding(&document, "configuration");
    assert!(
        found["found"].as_str().unwrap().contains("platform.max_retries"),
        "{found:#}"
    );
    assert!(
        verdicts(&document)[1..]
            .iter()
            .all(|(_, verdict)| *verdict == "skipped")
    );
    assert_eq!(platform.request_count(), 0);

    let nowhere = tokio::task::spawn_blocking(|| run(command(&["doctor", "--config", "/nowhere.toml"]), b""));
    let told = String::from_utf8(nowhere.await.unwrap().stdout).unwrap();
    assert!(told.contains("/nowhere.toml: cannot be read"), "{told}");
    assert!(
        told.contains("Name a configuration file") && !told.contains("this key"),
        "{told}"
    );

    let missing = Patient::of(&platform).with("extra_ca_file = \"/nowhere/ca.pem\"");
    let (status, document) = missing.examined(&[]).await;
    assert_eq!(status, 78);
    let found = finding(&document, "configuration")["found"].as_str().unwrap();
    assert!(found.contains("platform.extra_ca_file"), "{found}");
}

#[tokio::test]
async fn a_token_that_is_none_stops_its_tenant_alone() {
    let platform = platform().await;
    let mut patient = Patient::of(&platform);
    let bad = patient.directory.file("bad", format!("{DEMO_TOKEN}\n"));
    patient.tenant += &format!(
        "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n[[tenants]]\nname = \"second-hospital\"\napp_id = \"900002\"\ntoken_file = \"{bad}\"\n"
    );

    let examined = patient.examined(&[]).await;

    let (status, document) = &examined;
    assert_eq!(*status, 1);
    let of = |step: &str, tenant: &str| {
        let mut steps = document["steps"].as_array().unwrap().iter();
        let found = steps.find(|found| found["step"] == step && found["tenant"] == tenant);
        found.unwrap_or_else(|| panic!("{document:#}")).clone()
    };
    let secret = of("secrets", "second-hospital");
    assert_eq!(secret["verdict"], "fail");
    assert!(
        secret["fix"].as_str().unwrap().contains("tenants[1].token_file"),
        "{secret:#}"
    );
    assert_eq!(of("probe", "second-hospital")["verdict"], "skipped");
    assert_eq!(of("probe", NAME)["verdict"], "ok");

    let (status, document) = patient.examined(&["--tenant", NAME]).await;
    assert_eq!(status, 0, "{document:#}");
    let (status, _, errors) = patient.told(&["--tenant", "nobody"]).await;
    assert_eq!(status, 2);
    assert!(errors.contains("first-hospital, second-hospital"), "{errors}");
}

#[tokio::test]
async fn a_token_that_everybody_can_read_is_a_warning() {
    let platform = platform().await;
    let patient = Patient::of(&platform);
    let token = patient.directory.path().join("token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();

    let (status, document) = patient.examined(&[]).await;

    assert_eq!((status, &document["warnings"]), (0, &Value::from(1)), "{document:#}");
    let found = finding(&document, "secrets");
    assert_eq!(found["verdict"], "warn");
    assert!(found["fix"].as_str().unwrap().contains("chmod"), "{found:#}");
}

#[tokio::test]
async fn a_token_that_ends_soon_or_has_ended_is_a_warning() {
    let platform = platform().await;
    let of = async |end: &str| {
        let mut patient = Patient::of(&platform);
        patient.tenant += &format!("token_not_after = \"{end}\"\n");
        let (status, document) = patient.examined(&[]).await;
        (
            status,
            finding(&document, "secrets")["verdict"].clone(),
            document.to_string(),
        )
    };
    let (status, verdict, told) = of("2020-01-31").await;
    assert_eq!((status, verdict.as_str()), (0, Some("warn")), "{told}");
    assert!(told.contains("has ended (2020-01-31)"), "{told}");
    for good in ["2999-01-31", "never"] {
        let (status, verdict, told) = of(good).await;
        assert_eq!((status, verdict.as_str()), (0, Some("ok")), "{told}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_no_fault_where_a_gateway_has_it() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let mut patient = Patient::of(&platform);
    (patient.listen, patient.telemetry) = (gateway.lan.to_string(), gateway.telemetry.to_string());
    let (status, document) = patient.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    let found = finding(&document, "listen")["found"].as_str().unwrap();
    assert!(found.contains("runs here"), "{found}");

    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut patient = Patient::of(&platform);
    patient.listen = stranger.local_addr().unwrap().to_string();
    let examined = patient.examined(&[]).await;
    assert_broken(&examined, "listen", &[], &["lan.listen"]);
}
