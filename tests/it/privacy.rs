//! P1: no personal value, secret or link is found anywhere but where it belongs.
//!
//! [`canary`] knows the values, their forms and the sinks; [`drive`] sends them down every road and brings
//! back what came out. A new road is a new drive, a new sink a new method of [`canary::Sinks`].

mod callbacks;
pub mod canary;
mod drive;
mod kept;
mod planted;

use std::net::UdpSocket;

use aimis_simulator::{Platform, PlatformOptions};

use crate::support::binary;
use crate::support::client;
use crate::support::collector::{Collector, Manner};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query};
use crate::support::process::{Process, Serve, run};
use canary::{Canaries, Sinks};
use drive::Drive;

/// The patient's name.
pub const NAME: &str = "张三";
/// The hospital's number of the patient.
pub const HIS_ID: &str = "HIS-0000471108";
/// The token of the vectors.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What a caller proves itself with.
pub const CLIENT_KEY: &str = "caller-key-6f1d2c3b4a59";
/// What the configuration holds of it.
const CLIENT_KEY_SHA256: &str = "fcf33c50f124fbb8270676ea05ab9dc1b95b300a8a191a5941d139fbe5ca1acb";

/// What must not be found, as far as it is known before anything is sent.
pub fn canaries() -> Canaries {
    let mut canaries = Canaries::default();
    canaries.add("telephone", PHONE);
    canaries.add("telephone, spaced", "138 0013 8000");
    canaries.add("telephone, dashed", "138-0013-8000");
    canaries.add("telephone, full-width", "１３８００１３８０００");
    canaries.add("identity number", ID_NUMBER);
    canaries.add("name", NAME);
    canaries.add("name, GB18030 in hex", "d5c5c8fd");
    canaries.add("hisId", HIS_ID);
    canaries.add("token", TOKEN);
    canaries.add("client key", CLIENT_KEY);
    canaries.add("ciphertext of the telephone", "554fb5befba4daabdb8169e45db64485");
    let ciphertext = "a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7";
    canaries.add("ciphertext of the identity number", ciphertext);
    canaries
}

#[tokio::test]
async fn p1_no_sink_holds_a_value_after_every_road_was_driven() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let mut drive = Drive::new();
    let strict = Settings::calling(&platform)
        .with("lan", "unknown_fields = \"reject\"")
        .with("identity", "mode = \"strict\"");
    let forward = Settings::calling(&platform).with("lan", "unknown_fields = \"forward\"");

    let dialect =
        "strict = true\nstatus = \"always_200\"\nascii_json = true\ncors_origins = \"https://his.hospital.example\"";
    let old_client = Settings::calling(&platform).with("lan", dialect);
    let by_address = Settings::calling(&platform).client("name = \"his\"\nnetworks = \"127.0.0.1\"\ncharset = \"gbk\"");

    for settings in [Settings::calling(&platform), strict, forward, old_client, by_address] {
        // Asked on, whatever the platform says.
        let settings = settings.with("limits", "closed_ms = 0");
        let (directory, syslog) = (Directory::new(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let settings = settings
            .audited(&directory)
            .with("audit", &format!("syslog = \"udp://{}\"", syslog.local_addr().unwrap()));
        let collector = Collector::start(Manner::Takes);
        let settings = settings.with("traces", &format!("endpoint = \"{}\"", collector.endpoint()));
        let gateway = settings.with("log", "level = \"debug\"").start();
        drive.good_queries(&gateway).await;
        drive.odd_places(&gateway).await;
        drive.cut_bodies(&gateway).await;
        drive.platform_failures(&gateway, &platform).await;
        drive.operators(&gateway).await;
        drive.telemetry(&gateway).await;
        drive.stop(gateway);
        drive.trail(&directory, &syslog);
        drive.spans(&collector);
    }
    let by_key = Settings::calling(&platform).client(&format!("name = \"his\"\nkey_sha256 = \"{CLIENT_KEY_SHA256}\""));
    let gateway = by_key.with("log", "level = \"debug\"\nclient_address = true").start();
    drive.sign_ins(&gateway).await;
    drive.odd_places(&gateway).await;
    drive.telemetry(&gateway).await;
    drive.stop(gateway);
    drive.merged_lists(&platform).await;
    drive.unreachable_platforms(&platform).await;
    drive.draining(&platform).await;
    drive.kept_answers(&platform).await;

    let mut canaries = canaries();
    drive.callbacks(&platform, &mut canaries).await;
    canaries.learn(&platform);
    let asked_about: Vec<_> = platform
        .requests()
        .into_iter()
        .filter_map(|request| request.decrypted)
        .collect();
    assert!(
        asked_about
            .iter()
            .any(|who| who["phoneNum"] == PHONE && who["idNum"] == ID_NUMBER)
    );
    drive.assert_complete();
    canaries.assert_absent(&drive.sinks);
}

#[tokio::test]
async fn p1_a_process_keeps_nothing_in_its_output_files_and_arguments() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let config = configuration(&directory, &platform);
    let mut command = binary::command(&["serve", "--config", &config]);
    command.current_dir(directory.path());

    let serve = Serve::start(command);
    let mut sinks = Sinks::default();
    sinks.arguments("serve", serve.process.id());
    let path = "/thirdparty/patientStudies/900001";
    let headers = [
        ("X-Api-Key", CLIENT_KEY),
        ("X-Request-Id", PHONE),
        ("X-Operator-Id", ID_NUMBER),
    ];
    for body in [
        studies_query(),
        format!("{{\"phoneNum\":\"{PHONE}"),
        format!("{{\"{PHONE}\":\"{NAME}\"}}"),
    ] {
        sinks.answer(
            "answer",
            &client::post(serve.lan, path, &headers, body.as_bytes()).await,
        );
    }
    for page in ["/metrics", "/healthz", "/readyz", "/livez", "/startupz"] {
        sinks.answer(page, &client::get(serve.telemetry, page).await);
    }
    serve.process.signal("TERM");
    let ended = tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();

    assert!(ended.status.success());
    let audit = |name: &str, input: &str| {
        let mut command = binary::command(&["audit", name, "--config", &config]);
        command.current_dir(directory.path());
        run(command, input.as_bytes())
    };
    for number in [PHONE, ID_NUMBER] {
        let found = audit("find", number);
        assert!(
            String::from_utf8_lossy(&found.stdout).contains("lookup patientStudies"),
            "{found:?}"
        );
        sinks.output("audit find", &found);
    }
    sinks.output("audit find, wrong", &audit("find", NAME));
    sinks.output("audit verify", &audit("verify", ""));
    sinks.ended("serve", &ended);
    sinks.files("work directory", directory.path());
    let mut canaries = canaries();
    canaries.learn(&platform);
    canaries.assert_absent(&sinks);
}

#[tokio::test]
async fn p1_commands_about_the_configuration_tell_no_secret() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let config = configuration(&directory, &platform);
    let pasted = directory.file(
        "pasted.toml",
        format!("[[tenants]]\nname = \"a\"\napp_id = \"900001\"\ntoken = \"{TOKEN}\"\n"),
    );
    let misplaced = directory.file(
        "misplaced.toml",
        format!("[[tenants]]\nname = \"a\"\napp_id = \"900001\"\ntoken_file = \"{TOKEN}\"\n"),
    );
    let long = directory.file("long.token", format!("{TOKEN}\n"));
    let bad_token = format!("[[tenants]]\nname = \"a\"\napp_id = \"900001\"\ntoken_file = \"{long}\"\n");
    let bad_token = directory.file("bad.toml", bad_token);

    let mut sinks = Sinks::default();
    for file in [&config, &pasted, &misplaced, &bad_token] {
        for arguments in [
            &["check"][..],
            &["check", "--json"],
            &["config", "print"],
            &["config", "print", "--json"],
        ] {
            let command = binary::command(&[arguments, &["--config", file]].concat());
            sinks.output(&format!("{arguments:?}"), &run(command, b""));
        }
    }
    for arguments in [
        &["check"][..],
        &["config", "print"],
        &["config", "print", "--json"],
        &["selftest", "--json"],
    ] {
        let mut command = binary::command(arguments);
        command.env("AIMIS_APP_ID", "900001").env("AIMIS_TOKEN", TOKEN);
        let output = run(command, b"");
        assert!(output.status.success(), "{arguments:?}");
        if arguments[0] != "selftest" {
            sinks.output(&format!("{arguments:?} from variables"), &output);
        }
        // `selftest` is asked for a signature and a ciphertext of a sample; the token is no part of that.
        let mut token_only = Canaries::default();
        token_only.add("token", TOKEN);
        let mut selftest = Sinks::default();
        selftest.output("selftest", &output);
        token_only.assert_absent(&selftest);
    }

    canaries().assert_absent(&sinks);
}

/// A panic's text can quote a value. Panics are for the whole process, so a process of its own panics here:
/// this test binary, told by a variable to be the one.
#[test]
fn p1_a_panic_tells_its_place_and_not_its_text() {
    const CHILD: &str = "IT_PRIVACY_PANICS";
    if std::env::vars_os().any(|(name, _)| name == CHILD) {
        let gateway = Settings::calling_url("http://127.0.0.1:9").start();
        let log = gateway.log.clone();
        let running = gateway.into_running();
        running.log_panics();
        std::thread::spawn(|| panic!("cannot handle {PHONE} of {NAME} under {TOKEN}"))
            .join()
            .unwrap_err();
        running.drain();
        let _ = std::panic::take_hook();
        std::io::Write::write_all(&mut std::io::stdout(), log.text().as_bytes()).unwrap();
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "privacy::p1_a_panic_tells_its_place_and_not_its_text",
            "--nocapture",
        ])
        .env(CHILD, "1");

    let output = run(command, b"");

    let stdout = String::from_utf8_lossy(&output.stdout);
    let panicked = stdout
        .lines()
        .find(|line| line.contains("\"event.name\":\"panicked\""))
        .unwrap();
    assert!(panicked.contains("privacy.rs"), "{panicked}");
    let mut sinks = Sinks::default();
    sinks.output("panicking process", &output);
    canaries().assert_absent(&sinks);
}

#[test]
fn p1_values_on_standard_input_stay_off_the_complaints() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let mut sinks = Sinks::default();
    for input in ["554fb5befba4daabdb8169e45db64486", PHONE, NAME, TOKEN] {
        let output = run(binary::command(&["decrypt", "--token-file", &token]), input.as_bytes());
        assert_eq!(output.status.code(), Some(1));
        sinks.output("decrypt", &output);
    }
    let mut invalid = PHONE.as_bytes().to_vec();
    invalid.push(0xff);
    sinks.output(
        "encrypt",
        &run(binary::command(&["encrypt", "--token-file", &token]), &invalid),
    );

    canaries().assert_absent(&sinks);
}

#[test]
fn p1_explain_masks_whoever_is_asked_about() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let config = format!("[[tenants]]\nname = \"a\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n");
    let config = directory.file("gateway.toml", config);
    let who = format!("\"phoneNum\":\"{PHONE}\",\"idNum\":\"{ID_NUMBER}\",\"patientName\":\"{NAME}\"");
    let mut sinks = Sinks::default();
    for body in [
        studies_query(),
        format!("{{{who},\"hisId\":\"{HIS_ID}\",\"hospitalId\":\"H\",\"unionId\":\"U\"}}"),
        format!("{{{who},\"studyType\":\"{PHONE}\",\"{PHONE}\":\"{NAME}\",\"studyDateBegin\":\"{ID_NUMBER}\"}}"),
        format!("{{{who},\"phoneNum\":\"{PHONE}\"}}"),
        format!("{{\"phoneNum\":\"{PHONE}"),
    ] {
        for path in [
            "/thirdparty/patientStudies",
            "/thirdparty/patientConsultations",
            &format!("/{PHONE}?idNum={ID_NUMBER}"),
        ] {
            for json in [&[][..], &["--json"]] {
                let command = binary::command(&[&["explain", "--config", &config, "--path", path], json].concat());
                sinks.output("explain", &run(command, body.as_bytes()));
            }
        }
    }

    canaries().assert_absent(&sinks);
}

#[test]
fn p1_the_simulator_shows_no_value_either() {
    // The one command that runs long without a configuration.
    let process = Process::start(binary::command(&[
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--his",
        "127.0.0.1:0",
    ]));
    process.line(|line| line.contains("Ctrl-C"));
    let mut sinks = Sinks::default();
    sinks.arguments("simulate", process.id());
    sinks.text("simulate: stdout", process.stdout());
    canaries().assert_absent(&sinks);
}

/// A good configuration in `directory`, its token in a file of its own.
fn configuration(directory: &Directory, platform: &Platform) -> String {
    let token = directory.file("secrets/first-hospital.token", TOKEN);
    let text = format!(
        "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[runtime]\nworkers = 1\n\
         [log]\nlevel = \"debug\"\n[audit]\n[platform]\nbase_url = \"{}\"\n[[tenants]]\nname = \"first-hospital\"\n\
         app_id = \"900001\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\ntoken_file = \"{token}\"\n",
        platform.base_url()
    );
    directory.file("gateway.toml", text)
}
