//! A crowd at the door: 10,000 connections that do nothing and 1,000 clients that do it slowly, beside callers that
//! ask and are answered as if they were alone.
//!
//! The gateway is the built binary, so that its memory, descriptors and processor time are its own. The figures of one
//! run are printed (`--nocapture`); docs/operations.md, "Capacity of the LAN listener", tells how to repeat them.
//! Nothing is asserted about times.

mod figures;
mod slow;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aimis_simulator::{Platform, PlatformOptions, Study};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::{JoinHandle, JoinSet};

use self::figures::{Figures, Latencies, Usage};
use crate::support::binary;
use crate::support::client::{self, Connection, PATIENCE, request};
use crate::support::directory::Directory;
use crate::support::gateway::{ID_NUMBER, PHONE};
use crate::support::process::Serve;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const IDLE: usize = 10_000;
/// Callers that go on asking, each over a connection that it keeps.
const CALLERS: usize = 4;
/// Of the idle connections, how many have asked before.
const ASKED: usize = 2_500;
/// And how many are used again at the end, half of which have.
const SAMPLE: usize = 200;
/// Connections that are opened or asked over at a time.
const AT_A_TIME: usize = 64;
/// The figure of an idle connection, and what everything else may take.
const BYTES_EACH: u64 = 16 << 10;
const BYTES_BESIDE: u64 = 64 << 20;
/// Descriptors of what comes and goes by itself, as a scrape's.
const SPARE: u64 = 4;

/// Room for both ends: this process holds the clients, the gateway their counterparts and inherits the limit.
fn make_room() {
    let needed = (IDLE + slow::CLIENTS + 1_000) as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|soft| soft >= needed) {
        return;
    }
    let (maximum, raised) = (limit.maximum, Some(needed));
    assert!(
        maximum.is_none_or(|hard| hard >= needed),
        "this test opens {IDLE} connections and needs {needed} descriptors, but the hard limit is {maximum:?}: raise it \
         with `ulimit -Hn {needed}` as root, LimitNOFILE= in systemd, or --ulimit nofile={needed} of a container"
    );
    let limit = Rlimit {
        current: raised,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).expect("a soft limit below the hard one can be set");
}

/// A report that nobody else has: its number tells its answer from all others.
fn study_id(number: usize) -> String {
    format!("S{number:06}")
}

fn report_query(number: usize) -> Vec<u8> {
    let body = format!(
        r#"{{"reportId":"R{}","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001"}}"#,
        study_id(number)
    );
    request("POST", "/thirdparty/patientReportUrl/900001", &[], body.as_bytes())
}

/// A platform with a report for each caller and each connection of the sample, and one large answer.
async fn platform() -> Platform {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    platform.set_recording(false);
    for number in 0..CALLERS + SAMPLE {
        let study = Study::new(&study_id(number), 0, "2024-12-05 09:30:00", "H0001", "U0001");
        assert!(platform.add_study(ID_NUMBER, study));
    }
    platform.set_reply(slow::LARGE_API, slow::large_answer());
    platform
}

/// The gateway: patient with the idle, strict with the slow.
fn serve(platform: &Platform, directory: &Directory, socket: &Path) -> Serve {
    let mut command = binary::command(&["serve"]);
    command
        .env("AIMIS_APP_ID", "900001")
        .env("AIMIS_TOKEN_FILE", directory.file("a.token", TOKEN))
        .env("AIMIS_LAN__LISTEN", format!("127.0.0.1:0,unix:{}", socket.display()))
        .env("AIMIS_LAN__MAX_CONNECTIONS", "20000")
        .env("AIMIS_LAN__MAX_CONNECTIONS_PER_SOURCE", "0")
        .env("AIMIS_LIMITS__TENANT__RATE_PER_S", "0")
        .env("AIMIS_LIMITS__TENANT__IN_FLIGHT", "0")
        .env("AIMIS_LAN__IDLE_TIMEOUT_MS", "3600000")
        .env("AIMIS_LAN__HEADER_TIMEOUT_MS", "3000")
        .env("AIMIS_LAN__BODY_TIMEOUT_MS", "3000")
        .env("AIMIS_LAN__WRITE_TIMEOUT_MS", "3000")
        // The platform shares the machine with the crowd; how long it takes is not what is tried here.
        .env("AIMIS_PLATFORM__CONNECT_TIMEOUT_MS", "60000")
        .env("AIMIS_PLATFORM__DEADLINE_MS", "60000")
        // Descriptors of connections that wait for the next question would hide those that leak.
        .env("AIMIS_PLATFORM__IDLE_TIMEOUT_MS", "1000")
        .env("AIMIS_TELEMETRY__LISTEN", "127.0.0.1:0")
        .env("AIMIS_PLATFORM__BASE_URL", platform.base_url());
    Serve::start(command)
}

/// Opens connections that say nothing.
async fn open(lan: SocketAddr, count: usize) -> Vec<Connection> {
    let mut opened = Vec::with_capacity(count);
    while opened.len() < count {
        let mut some = JoinSet::new();
        for _ in 0..AT_A_TIME.min(count - opened.len()) {
            some.spawn(Connection::open(lan));
        }
        opened.extend(some.join_all().await);
    }
    opened
}

/// Asks over each connection; the number of a question is its connection's place.
async fn ask_over(connections: Vec<Connection>, first: usize, distinct: usize) -> Vec<Connection> {
    let mut asked = Vec::with_capacity(connections.len());
    let mut left = connections.into_iter().enumerate();
    loop {
        let mut some = JoinSet::new();
        for (index, mut connection) in left.by_ref().take(AT_A_TIME) {
            some.spawn(async move {
                ask(&mut connection, first + index % distinct).await;
                connection
            });
        }
        if some.is_empty() {
            return asked;
        }
        asked.extend(some.join_all().await);
    }
}

/// One question and its own answer.
async fn ask(connection: &mut Connection, number: usize) {
    connection
        .send(&report_query(number))
        .await
        .expect("an open connection");
    let answer = connection.answer().await.expect("an answer");
    assert_eq!((answer.status, answer.code()), (200, 0), "{answer:?}");
    assert_eq!(answer.json()["data"]["studyId"], study_id(number), "a foreign answer");
}

/// Callers that ask until told to stop.
struct Callers {
    stop: Arc<AtomicBool>,
    all: Vec<JoinHandle<Latencies>>,
}

impl Callers {
    fn start(lan: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let all = (0..CALLERS).map(|number| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut kept, mut latencies) = (Connection::open(lan).await, Latencies::default());
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // Now and then over a new connection, which is accepted beside the crowd.
                    if round % 16 == 0 {
                        kept = Connection::open(lan).await;
                    }
                    latencies.of(ask(&mut kept, number)).await;
                }
                latencies
            })
        });
        let all = all.collect();
        Self { stop, all }
    }

    /// Every answer was right, or this panics.
    async fn finish(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Latencies::default();
        for caller in self.all {
            sum.add(caller.await.unwrap());
        }
        sum
    }
}

/// So many questions with nobody else about.
async fn ask_alone(lan: SocketAddr) -> Latencies {
    let callers = Callers::start(lan);
    let mut meanwhile = Connection::open(lan).await;
    for _ in 0..500 {
        ask(&mut meanwhile, 0).await;
    }
    callers.finish().await
}

/// The value of a series of the gateway's metrics.
async fn metric(telemetry: SocketAddr, series: &str) -> u64 {
    let metrics = client::get(telemetry, "/metrics").await.text();
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

/// Waits until the gauge of callers' connections has fallen, or risen, to `wanted`.
async fn connections_become(telemetry: SocketAddr, wanted: usize) {
    let reached = async { while metric(telemetry, "aimis_lan_connections").await != wanted as u64 {} };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "the gauge never was {wanted}");
}

/// Waits until the process has no more descriptors than before the crowd.
async fn descriptors_fall_to(process: u32, wanted: u64) {
    let fallen = async {
        while Usage::of(process).descriptors > wanted {
            tokio::task::yield_now().await;
        }
    };
    let fallen = tokio::time::timeout(PATIENCE, fallen).await;
    let open = Usage::of(process).descriptors;
    assert!(
        fallen.is_ok(),
        "{open} descriptors are open, {wanted} were before the crowd"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_and_a_thousand_slow_clients_disturb_nobody() {
    make_room();
    let (platform, directory) = (platform().await, Directory::new());
    let socket = directory.path().join("lan.sock");
    let serve = serve(&platform, &directory, &socket);
    let process = serve.process.id();
    let mut figures = Figures {
        alone: ask_alone(serve.lan).await,
        ..Figures::default()
    };
    connections_become(serve.telemetry, 0).await;
    let before = Usage::of(process);

    let mut idle = open(serve.lan, IDLE).await;
    connections_become(serve.telemetry, IDLE).await;
    figures.silent = Usage::of(process).resident.saturating_sub(before.resident);
    let asked = idle.split_off(IDLE - ASKED);
    idle.extend(ask_over(asked, 0, CALLERS).await);
    figures.asked = Usage::of(process).resident.saturating_sub(before.resident);
    let begin = Usage::of(process);
    let callers = Callers::start(serve.lan);
    // Returns when the gateway has cut every one of them.
    slow::all(serve.lan, &socket).await;
    figures.beside = callers.finish().await;
    figures.processor = Usage::of(process).processor - begin.processor;
    figures.most = Usage::of(process).most_resident;
    figures.print();

    let bound = IDLE as u64 * BYTES_EACH + BYTES_BESIDE;
    assert!(
        figures.most <= bound,
        "{} bytes of memory, more than {bound}",
        figures.most
    );
    connections_become(serve.telemetry, IDLE).await;
    let dropped = idle.iter().filter(|connection| connection.is_closed()).count();
    assert_eq!(dropped, 0, "idle connections were closed before their time");
    // Those around the border between the two kinds.
    let sample = idle.drain(IDLE - ASKED - SAMPLE / 2..).take(SAMPLE).collect();
    let used = ask_over(sample, CALLERS, SAMPLE).await;
    assert_eq!(used.len(), SAMPLE);
    drop((used, idle));
    connections_become(serve.telemetry, 0).await;
    descriptors_fall_to(process, before.descriptors + SPARE).await;
}
