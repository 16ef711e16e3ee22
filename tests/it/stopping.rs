//! The binary stops: nothing is left unanswered, nothing hangs, and the exit status is 0.

use std::io::{PipeWriter, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aimis_simulator::{Fault, Platform, PlatformOptions};

use crate::support::binary;
use crate::support::client::{self, Connection, request};
use crate::support::directory::Directory;
use crate::support::gateway::studies_query;
use crate::support::process::{Ended, Process, Serve};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Numbers of signals.
const HANGUP: u32 = 1;
const TERMINATE: u32 = 15;
const PATH: &str = "/thirdparty/patientStudies/900001";

/// `serve` in front of `platform`, with further variables.
fn serve(platform: &Platform, directory: &Directory, variables: &[(&str, &str)]) -> Command {
    let mut command = binary::command(&["serve"]);
    command
        .env("AIMIS_APP_ID", "900001")
        .env("AIMIS_TOKEN_FILE", directory.file("a.token", TOKEN))
        .env("AIMIS_LAN__LISTEN", "127.0.0.1:0")
        .env("AIMIS_TELEMETRY__LISTEN", "127.0.0.1:0")
        .env("AIMIS_PLATFORM__BASE_URL", platform.base_url())
        .envs(variables.iter().copied());
    command
}

fn query() -> Vec<u8> {
    request("POST", PATH, &[], studies_query().as_bytes())
}

async fn ended(process: Process) -> Ended {
    tokio::task::spawn_blocking(|| process.ended()).await.unwrap()
}

/// Waits until readiness says no.
async fn not_ready(telemetry: SocketAddr) {
    while client::get(telemetry, "/readyz").await.status == 200 {}
}

#[tokio::test]
async fn a_signal_ends_an_idle_gateway_with_0() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    for signal in ["TERM", "INT"] {
        let serve = Serve::start(serve(&platform, &directory, &[]));
        let mut idle = Connection::open(serve.lan).await;
        idle.send(&query()).await.unwrap();
        assert_eq!(idle.answer().await.unwrap().code(), 0);

        serve.process.signal(signal);

        assert!(idle.closed().await);
        let ended = ended(serve.process).await;
        assert_eq!(ended.status.code(), Some(0), "{signal}: {}", ended.stderr);
        assert!(
            ended
                .stdout
                .lines()
                .last()
                .unwrap()
                .contains("\"event.name\":\"stopped\"")
        );
        assert!(ended.stdout.contains("\"event.name\":\"draining\""));
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test]
async fn a_request_that_runs_is_finished_and_no_other_taken() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let serve = Serve::start(serve(&platform, &directory, &[]));
    platform.push_fault(Fault::Latency { ms: 1500 });
    let mut slow = Connection::open(serve.lan).await;
    slow.send(&query()).await.unwrap();
    platform.wait_for_requests(1).await;

    serve.process.signal("TERM");
    not_ready(serve.telemetry).await;
    // As long as the slow one runs probes are answered, and the listener closes well before its end.
    while tokio::net::TcpStream::connect(serve.lan).await.is_ok() {}
    let ready = client::get(serve.telemetry, "/readyz").await;

    assert_eq!(ready.text(), "not ready: draining\n");
    let answer = slow.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (200, 0));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(ended(serve.process).await.status.code(), Some(0));
}

#[tokio::test]
async fn while_the_delay_runs_everything_is_served_but_readiness() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let serve = Serve::start(serve(&platform, &directory, &[("AIMIS_DRAIN__DELAY_MS", "2000")]));
    let mut kept = Connection::open(serve.lan).await;
    kept.send(&query()).await.unwrap();
    assert!(kept.answer().await.unwrap().header("connection").is_none());

    serve.process.signal("TERM");
    not_ready(serve.telemetry).await;

    kept.send(&query()).await.unwrap();
    let answer = kept.answer().await.unwrap();
    assert_eq!((answer.code(), answer.header("connection")), (0, Some("close")));
    assert!(kept.closed().await);
    let fresh = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!((fresh.code(), fresh.header("connection")), (0, Some("close")));
    assert_eq!(ended(serve.process).await.status.code(), Some(0));
}

/// What the clients of the load saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    unanswered: Mutex<Vec<String>>,
}

/// Asks over kept connections, as a HIS does, until none can be opened any more.
async fn ask_until_refused(address: SocketAddr, seen: Arc<Seen>) {
    while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
        let mut connection = Connection::over(stream);
        for asked in 0.. {
            let sent = connection.send(&query()).await;
            let answer = if sent.is_ok() { connection.answer().await } else { None };
            match answer {
                Some(answer) if answer.status == 200 && answer.code() == 0 => {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                }
                // Told to come again is an answer too; which it gets is a matter of a moment.
                Some(answer) if answer.code() == 800_203 => break,
                other => {
                    let what = format!("request {asked} of its connection: sent {sent:?}, {other:?}");
                    seen.unanswered.lock().unwrap().push(what);
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stop_under_load_leaves_no_request_unanswered() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    platform.set_recording(false);
    let directory = Directory::new();
    let unlimited = [
        ("AIMIS_LIMITS__TENANT__RATE_PER_S", "0"),
        ("AIMIS_LIMITS__TENANT__IN_FLIGHT", "0"),
    ];
    let serve = Serve::start(serve(&platform, &directory, &unlimited));
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(ask_until_refused(serve.lan, Arc::clone(&seen))))
        .collect();
    while seen.answered.load(Ordering::Relaxed) < 200 {
        tokio::task::yield_now().await;
    }

    let before = seen.answered.load(Ordering::Relaxed);
    serve.process.signal("TERM");
    for client in clients {
        client.await.unwrap();
    }

    let answered = seen.answered.load(Ordering::Relaxed);
    assert_eq!(
        *seen.unanswered.lock().unwrap(),
        Vec::<String>::new(),
        "beside {answered} answered"
    );
    assert!(answered > before, "the load had ended before the signal");
    assert_eq!(ended(serve.process).await.status.code(), Some(0));
}

#[tokio::test]
async fn what_takes_longer_than_the_time_to_finish_is_cut_and_told() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let variables = [("AIMIS_DRAIN__TIMEOUT_MS", "100"), ("AIMIS_CACHE__COALESCE", "false")];
    let serve = Serve::start(serve(&platform, &directory, &variables));
    platform.set_fault(Fault::Hang);
    let mut hanging = Connection::open(serve.lan).await;
    hanging.send(&query()).await.unwrap();
    let mut other = Connection::open(serve.lan).await;
    other.send(&query()).await.unwrap();
    platform.wait_for_requests(2).await;

    serve.process.signal("TERM");

    assert!(hanging.answer().await.is_none() && other.answer().await.is_none());
    let ended = ended(serve.process).await;
    assert_eq!(ended.status.code(), Some(0));
    let line = ended
        .stdout
        .lines()
        .find(|line| line.contains("drain_timed_out"))
        .unwrap();
    assert!(line.contains("\"requests\":2"), "{line}");
}

#[tokio::test]
async fn the_next_gateway_gets_the_port_at_once() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let first = Serve::start(serve(&platform, &directory, &[]));
    let (lan, telemetry) = (first.lan.to_string(), first.telemetry.to_string());
    // Connections that the gateway closes itself leave its side in TIME_WAIT.
    let mut kept = Connection::open(first.lan).await;
    kept.send(&query()).await.unwrap();
    kept.answer().await.unwrap();
    first.process.signal("TERM");
    assert!(kept.closed().await);
    ended(first.process).await;

    let variables = [
        ("AIMIS_LAN__LISTEN", lan.as_str()),
        ("AIMIS_TELEMETRY__LISTEN", &telemetry),
    ];
    let second = Serve::start(serve(&platform, &directory, &variables));

    assert_eq!(second.lan.to_string(), lan);
    assert_eq!(
        client::post(second.lan, PATH, &[], studies_query().as_bytes())
            .await
            .code(),
        0
    );
}

/// The start waits for its token, in a pipe, when the signal comes.
#[tokio::test]
async fn a_signal_during_the_start_is_obeyed_when_it_is_over() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let (process, writer) = waiting(serve(&platform, &directory, &[]), "AIMIS_TOKEN_FILE");

    process.signal("TERM");
    given(writer, TOKEN);
    let ended = ended(process).await;

    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("\"event.name\":\"stopped\""));
}

/// Earlier than it knows its configuration: an operator who reloads right behind a restart ends nothing.
#[tokio::test]
async fn a_reload_at_the_very_start_ends_nothing() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let (process, writer) = waiting(serve(&platform, &directory, &[]), "AIMIS_CONFIG");

    process.signal("HUP");
    given(writer, "[lan]\nlanguage = \"en\"\n");
    let serve = Serve::ready(process);

    // It was remembered. What came by a pipe cannot be read again, which is said, and not waited for.
    let refused = serve.process.event("config_reload_failed");
    assert!(refused.to_string().contains("is no regular file"), "{refused}");
    let answer = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!(answer.code(), 0);
    serve.process.signal("TERM");
    let ended = ended(serve.process).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// `command` with `variable` naming its standard input, as soon as it has taken its signals; and the other end.
fn waiting(mut command: Command, variable: &str) -> (Process, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    command.env(variable, "/dev/stdin");
    let process = Process::start_with(command, reader.into());
    for signal in [HANGUP, TERMINATE] {
        process.catches(signal);
    }
    (process, writer)
}

fn given(mut writer: PipeWriter, text: &str) {
    writer.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_gateway_out_of_descriptors_still_stops() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let limited = binary::with_descriptors(&serve(&platform, &directory, &[]), 40);
    let serve = Serve::start(limited);
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(Connection::open(serve.lan).await);
    }
    serve.process.event("accept_failed");

    serve.process.signal("TERM");

    let ended = ended(serve.process).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    drop(held);
}
