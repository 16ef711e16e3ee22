//! `doctor`: each part of the path broken in turn; the verdict, the exit status, and a fix that names the right key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::Arc;

use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::doctor::{self, Surroundings, Verdict};
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::{Account, DEMO_TOKEN, Fault, Platform, PlatformOptions};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE};
use crate::support::process::run;
use crate::support::proxy::{Conduct, Proxy};
use crate::support::tls::{Authority, Pair, Purpose};

const NAME: &str = "first-hospital";
const HEALTHY: [(&str, &str); 10] = [
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

/// A platform that shows this certificate.
async fn secure_platform(pair: &Pair) -> Platform {
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.certificate.clone()], key)
        .unwrap();
    let options = PlatformOptions {
        tls: Some(Arc::new(config)),
        ..PlatformOptions::default()
    };
    Platform::start(options).await.unwrap()
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
async fn a_name_without_an_address_is_told_by_its_key() {
    let behind = ["connect", "tls", "clock", "probe"];
    let rows = [
        ("https://platform.invalid", "", "platform.base_url"),
        (
            "https://platform.invalid",
            "connect_to = \"gap.invalid:8443\"",
            "platform.connect_to",
        ),
        (
            "https://platform.invalid",
            "proxy = \"http://proxy.invalid:3128\"",
            "platform.proxy",
        ),
    ];
    for (base_url, line, key) in rows {
        let examined = Patient::at(base_url).with(line).examined(&[]).await;
        assert_broken(&examined, "dns", &behind, &[key]);
    }
}

#[tokio::test]
async fn a_port_that_refuses_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let examined = Patient::at(&format!("http://{free}")).examined(&[]).await;

    assert_broken(
        &examined,
        "connect",
        &["proxy", "tls", "clock", "probe"],
        &["platform.base_url"],
    );
}

#[tokio::test]
async fn a_peer_that_never_answers_tls_is_told_within_the_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());

    let examined = Patient::at(&url).with("connect_timeout_ms = 200").examined(&[]).await;

    assert_broken(
        &examined,
        "tls",
        &["clock", "probe"],
        &["platform.base_url", "firewall"],
    );
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_own_fix() {
    let (known, strange) = (Authority::new("hospital-ca"), Authority::new("inspecting-ca"));
    let rows = [
        (known.certify(Purpose::Server, 2021), "expired", vec!["date", "renew"]),
        (
            known.certify_for("other.example", Purpose::Server, 2090),
            "other.example",
            vec!["platform.base_url", "platform.connect_to"],
        ),
        (
            strange.server(),
            "inspecting-ca",
            vec!["platform.extra_ca_file", "inspecting-ca"],
        ),
    ];
    for (pair, told, keys) in rows {
        let platform = secure_platform(&pair).await;
        let examined = Patient::of(&platform).trusting(&known).examined(&[]).await;

        assert_broken(&examined, "tls", &["clock", "probe"], &keys);
        let found = finding(&examined.1, "tls")["found"].as_str().unwrap();
        assert!(found.contains(told), "{found}");
        assert_eq!(platform.request_count(), 0);
    }
}

#[tokio::test]
async fn a_certificate_is_told_with_its_authority_and_its_end() {
    let authority = Authority::new("hospital-ca");
    let platform = secure_platform(&authority.server()).await;
    let patient = Patient::of(&platform).trusting(&authority);

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 0, "{document:#}");
    let tls = finding(&document, "tls");
    assert_eq!(tls["verdict"], "ok");
    for part in ["TLS 1.3", "hospital-ca", "platform.extra_ca_file", "days left"] {
        assert!(tls["found"].as_str().unwrap().contains(part), "{part}: {tls:#}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let authority = Authority::new("hospital-ca");
    let platform = secure_platform(&authority.certify(Purpose::Server, 2090)).await;
    let patient = Patient::of(&platform).trusting(&authority);
    // Ten days and a half before 2090, by our clock alone: what verifies has the machine's.
    let ahead = Clock::manual(3_786_004_800_000);

    let report = examined_by(&patient, ahead, Resolver::system()).await;

    let tls = report.findings.iter().find(|found| found.step == "tls").unwrap();
    assert_eq!(tls.verdict, Verdict::Warn, "{tls:?}");
    assert!(
        tls.found.contains("10 days left") && tls.fix.as_ref().unwrap().contains("renew"),
        "{tls:?}"
    );
}

/// The library's doctor, with another clock or resolver than the machine's.
async fn examined_by(patient: &Patient, clock: Clock, resolver: Resolver) -> doctor::Report {
    let told = Rc::new(RefCell::new(0));
    let count = Rc::clone(&told);
    let surroundings = Surroundings {
        clock,
        resolver,
        tell: Box::new(move |_| *count.borrow_mut() += 1),
    };
    let read = || config::load(&Sources::text("gateway.toml", patient.text())).map_err(|error| error.to_string());
    let tasks = tokio::task::LocalSet::new();
    let examined = tasks.run_until(doctor::examine(read, None, surroundings));
    let report = examined.await.unwrap_or_else(|unknown| panic!("{unknown:?}"));
    assert_eq!(*told.borrow(), report.findings.len());
    report
}

#[tokio::test]
async fn one_of_two_addresses_that_is_down_is_a_warning() {
    let platform = platform().await;
    let port = platform.addr().port();
    let patient = Patient::at(&format!("http://platform.example:{port}")).with("allow_plaintext = true");
    let resolver = Resolver::new(|_, port| {
        let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]].map(|ip| SocketAddr::from((ip, port)));
        Box::pin(async move { Ok(addresses.to_vec()) })
    });

    let report = examined_by(&patient, Clock::system(), resolver).await;

    let connect = report.findings.iter().find(|found| found.step == "connect").unwrap();
    assert_eq!(connect.verdict, Verdict::Warn, "{connect:?}");
    assert!(connect.found.contains("127.0.0.2"), "{connect:?}");
    assert!(report.failed().is_empty(), "{:?}", report.findings);
}

#[tokio::test]
async fn a_proxys_failures_are_told_apart() {
    let platform = platform().await;
    let proxy = Proxy::to(platform.addr()).await;
    let patient = Patient::of(&platform)
        .with(&proxy.line())
        .with("connect_timeout_ms = 300");
    let (status, document) = patient.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(finding(&document, "proxy")["verdict"], "ok");

    let rows: [(Conduct, &str, &[&str]); 5] = [
        (
            Conduct::Tunnel(Some("Basic aG9zcGl0YWw6cGFzczpwaHJhc2U=")),
            "407",
            &["platform.proxy_user", "platform.proxy_password_file"],
        ),
        (Conduct::Say("HTTP/1.1 403 Forbidden\r\n\r\n"), "403", &["CONNECT"]),
        (
            Conduct::Say("HTTP/1.1 502 Bad Gateway\r\n\r\n"),
            "502",
            &["way to the platform"],
        ),
        (
            Conduct::Say("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            "not HTTP",
            &["platform.proxy"],
        ),
        (Conduct::Hang, "too long", &["platform.connect_timeout_ms"]),
    ];
    for (conduct, told, keys) in rows {
        proxy.conduct(conduct);
        let examined = patient.examined(&[]).await;
        assert_broken(&examined, "proxy", &["tls", "clock", "probe"], keys);
        let found = finding(&examined.1, "proxy")["found"].as_str().unwrap();
        assert!(found.contains(told), "{told}: {found}");
    }
}

#[tokio::test]
async fn a_wrong_clock_is_the_first_thing_to_set_right() {
    let platform = platform().await;
    platform.set_clock_offset(400_000);
    let patient = Patient::of(&platform);

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 1);
    let clock = finding(&document, "clock");
    assert_eq!(clock["verdict"], "fail");
    let found = clock["found"].as_str().unwrap();
    assert!(
        found.starts_with("your clock is ") && found.ends_with(" s slow"),
        "{found}"
    );
    assert!(
        clock["fix"].as_str().unwrap().contains("clock.auto_correct"),
        "{clock:#}"
    );
    let probe = finding(&document, "probe");
    assert_eq!(probe["verdict"], "fail", "400 s are more than the platform takes");
    assert!(
        probe["fix"].as_str().unwrap().starts_with("Set the clock right first"),
        "{probe:#}"
    );

    let mut corrected = Patient::of(&platform);
    corrected.tenant += "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
                         [clock]\nauto_correct = true\nmax_correction_ms = 600000\n";
    let (status, document) = corrected.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(finding(&document, "clock")["verdict"], "warn");
    assert_eq!(finding(&document, "probe")["verdict"], "ok", "as the gateway would ask");

    platform.set_clock_offset(-10_000);
    let (status, document) = patient.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    let clock = finding(&document, "clock");
    assert_eq!(clock["verdict"], "warn");
    assert!(clock["found"].as_str().unwrap().ends_with(" s fast"), "{clock:#}");
    assert_eq!(finding(&document, "probe")["verdict"], "ok");
}

#[tokio::test]
async fn a_token_or_an_id_that_the_platform_does_not_know_is_told_by_its_key() {
    let platform = platform().await;
    let patient = Patient::of(&platform);
    platform.switch_token("900001", "fedcba9876543210fedcba9876543210");
    let keys = ["tenants[0].app_id", "tenants[0].token_file"];
    assert_broken(&patient.examined(&[]).await, "probe", &[], &keys);
    platform.put_account(Account::demo());

    for (ids, key) in [
        ("hospital_id = \"H9\"\nunion_id = \"U0001\"\n", "tenants[0].hospital_id"),
        ("hospital_id = \"H0001\"\nunion_id = \"U9\"\n", "tenants[0].union_id"),
    ] {
        let mut patient = Patient::of(&platform);
        patient.tenant += ids;
        assert_broken(&patient.examined(&[]).await, "probe", &[], &[key]);
    }
}

#[tokio::test]
async fn an_id_that_nobody_configured_is_not_called_wrong() {
    let platform = platform().await;
    for ids in ["# hospital_id\n", "hospital_id = \"H0001\"\n"] {
        let mut patient = Patient::of(&platform);
        patient.tenant += ids;

        let (status, document) = patient.examined(&[]).await;

        assert_eq!(status, 0, "{document:#}");
        let found = finding(&document, "probe")["found"].as_str().unwrap();
        assert!(found.contains("is configured to ask with"), "{found}");
    }
}

#[tokio::test]
async fn any_other_code_means_that_the_signature_is_accepted() {
    let platform = platform().await;
    for (code, verdict) in [
        (10_003, "ok"),
        (100_004, "ok"),
        (30_001, "warn"),
        (20_010, "warn"),
        (77_777, "warn"),
    ] {
        platform.set_fault(Fault::BusinessCode {
            code,
            message: "simulated".to_owned(),
        });

        let (status, document) = Patient::of(&platform).examined(&[]).await;

        let probe = finding(&document, "probe");
        assert_eq!((status, probe["verdict"].as_str().unwrap()), (0, verdict), "{probe:#}");
        assert!(
            probe["found"].as_str().unwrap().contains("the signature is accepted"),
            "{probe:#}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_platforms_is_told() {
    let platform = platform().await;
    for (fault, told) in [
        (Fault::HtmlPage { status: 200 }, "portal"),
        (Fault::ResetBeforeHead, "firewall"),
        (Fault::Hang, "platform.deadline_ms"),
    ] {
        platform.set_fault(fault);
        let examined = Patient::of(&platform).with("deadline_ms = 300").examined(&[]).await;
        assert_broken(&examined, "probe", &[], &[told]);
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
