//! A process that runs out of descriptors: it does not spin, says so seldom, and serves as soon as it can.

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::Value;

use crate::support::binary;
use crate::support::client::{self, Connection};
use crate::support::directory::Directory;
use crate::support::gateway::studies_query;
use crate::support::process::Serve;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PATH: &str = "/thirdparty/patientStudies/900001";
/// More than there are descriptors for.
const FLOOD: usize = 200;
/// Failed accepts in the two seconds between two log lines, with half a second between them. A slow machine makes
/// fewer, a loop without its pause thousands.
const MOST_LEFT_OUT: u64 = 4;

#[tokio::test]
async fn a_flood_beyond_the_descriptors_is_waited_out() {
    let (platform, directory) = (
        Platform::start(PlatformOptions::default()).await.unwrap(),
        Directory::new(),
    );
    let mut command = binary::command(&["serve"]);
    command
        .env("AIMIS_APP_ID", "900001")
        .env("AIMIS_TOKEN_FILE", directory.file("a.token", TOKEN))
        .env("AIMIS_LAN__LISTEN", "127.0.0.1:0")
        .env("AIMIS_TELEMETRY__LISTEN", "127.0.0.1:0")
        .env("AIMIS_PLATFORM__BASE_URL", platform.base_url());
    let serve = Serve::start(binary::with_descriptors(&command, 64));
    let mut held = Vec::new();
    for _ in 0..FLOOD {
        held.push(Connection::open(serve.lan).await);
    }

    // The second line tells what became of all accepts since the first.
    let process = serve.process;
    let (process, told) = tokio::task::spawn_blocking(|| {
        let told: Vec<Value> = (0..2).map(|_| process.event("accept_failed")).collect();
        (process, told)
    })
    .await
    .unwrap();
    let left_out = told[1]["suppressed"].as_u64().unwrap();
    assert!(
        (1..=MOST_LEFT_OUT).contains(&left_out),
        "{left_out} accepts failed between two lines"
    );

    drop(held);
    let answer = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!(
        (answer.status, answer.code()),
        (200, 0),
        "{answer:?}\n{}",
        process.stdout()
    );
}
