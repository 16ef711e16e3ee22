//! A machine whose clock is wrong, by faketime: the whole process is ten minutes ahead of its platform.

use std::process::Command;

use aimis_simulator::{Platform, PlatformOptions};

use crate::support::binary;
use crate::support::client::{get, post};
use crate::support::directory::Directory;
use crate::support::gateway::{Settings, studies_query};
use crate::support::process::Serve;

const PATH: &str = "/thirdparty/patientStudies/900001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_ten_minutes_fast_is_told_so_and_its_questions_are_answered() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let config = Settings::calling(&platform)
        .with("clock", "max_correction_ms = 3600000")
        .with("drain", "delay_ms = 0")
        .write(&directory);
    // Without the program faketime itself, which would stand between us and the process.
    let library = Command::new("faketime")
        .args(["-f", "+10m", "printenv", "LD_PRELOAD"])
        .output();
    let library = library
        .expect("no faketime; install it: apt-get install faketime")
        .stdout;
    let mut ahead = binary::command(&["serve", "--config", &config.display().to_string()]);
    ahead.env("LD_PRELOAD", String::from_utf8(library).unwrap().trim());
    // Its own waits are as long as ever, as on a machine whose clock is wrong.
    ahead.envs([("FAKETIME", "+10m"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    let serve = Serve::start(ahead);

    let query = studies_query();
    let answer = post(serve.lan, PATH, &[], query.as_bytes()).await;

    assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
    let warning = answer.header("x-aimis-warnings").unwrap();
    assert!(
        warning.starts_with("clock=") && warning.ends_with("s-fast"),
        "{warning}"
    );
    // Several answers, a second apart, are believed; one is not.
    let mut asked = 0;
    while !serve.process.stdout().contains("\"event.name\":\"clock_offset\"") {
        let answer = post(serve.lan, PATH, &[], query.as_bytes()).await;
        asked += 1;
        assert!(answer.code() == 0 && asked < 100_000, "{}", answer.text());
    }
    let offset = serve.process.event("clock_offset")["offset_ms"].as_i64().unwrap();
    assert!((595_000..=605_000).contains(&offset), "{offset}");
    let metrics = get(serve.telemetry, "/metrics").await.text();
    let gauge = "aimis_upstream_clock_offset_seconds ";
    let offset: f64 = metrics
        .lines()
        .find_map(|line| line.strip_prefix(gauge))
        .unwrap()
        .parse()
        .unwrap();
    assert!((595.0..=605.0).contains(&offset), "{offset}");
}
