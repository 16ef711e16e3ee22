//! A batch of ten times the tenant's quota beside doctors: what the doctors feel of it.
//!
//! Gateway and simulated platform run in this process, as the tests run them; the platform takes 30 ms for an answer.
//! Rounds without and with the batch alternate, so that whatever else the machine does falls on both. The aim is that
//! the doctors' 99th percentile beside the batch is at most 1.2 times that without it.
//!
//! `cargo bench --package aimis --bench noisy_neighbour [-- --rounds N]`
#![allow(clippy::print_stdout, reason = "it prints its table")]
#![allow(clippy::unwrap_used, reason = "in a bench a failed unwrap is the failure")]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use aimis_gateway::app::{Gateway, Surroundings};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

/// The tenant's quota, 30 % of which is the doctors'.
const RATE: u64 = 100;
/// Doctors ask below their share, on as many connections as a HIS keeps.
const DOCTORS: Asker = Asker {
    usage: 2,
    per_s: 20,
    connections: 4,
};
const BATCH: Asker = Asker {
    usage: 0,
    per_s: 10 * RATE,
    connections: 64,
};
const LATENCY_MS: u64 = 30;
const ROUND: Duration = Duration::from_secs(5);
const AIM: f64 = 1.2;

/// Who asks how often.
#[derive(Clone, Copy)]
struct Asker {
    usage: i64,
    per_s: u64,
    connections: u64,
}

/// What became of questions: status, and milliseconds.
type Seen = Rc<RefCell<Vec<(u16, f64)>>>;

fn main() {
    // The machine's own clock, as the gateway reads it.
    let clock = Clock::system();
    let rounds = rounds();
    let platform_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let platform = platform_runtime
        .block_on(Platform::start(PlatformOptions {
            record: false,
            ..PlatformOptions::default()
        }))
        .unwrap();
    platform.set_fault(Fault::Latency { ms: LATENCY_MS });
    let gateway = start(&platform.base_url(), &clock);
    let address = gateway.lan()[0];

    let callers = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let [quiet, beside, batch] = [(); 3].map(|()| Seen::default());
    for _ in 0..rounds {
        LocalSet::new().block_on(&callers, ask(address, DOCTORS, &clock, &quiet));
        LocalSet::new().block_on(&callers, async {
            tokio::join!(
                ask(address, DOCTORS, &clock, &beside),
                ask(address, BATCH, &clock, &batch)
            )
        });
    }

    println!(
        "quota {RATE}/s, of it 30 % for doctors; platform {LATENCY_MS} ms; {rounds} rounds of {} s each way\n",
        ROUND.as_secs()
    );
    println!("|                         |  asked |    200 |    429 |    503 |    p50 |    p90 |    p99 |    max |");
    println!("|-------------------------|--------|--------|--------|--------|--------|--------|--------|--------|");
    let before = row("doctors alone", &quiet);
    let after = row("doctors beside a batch", &beside);
    row("the batch", &batch);
    let ratio = after / before;
    let verdict = if ratio <= AIM { "kept" } else { "MISSED" };
    println!("\ndoctors' p99 beside the batch: {ratio:.2} times that alone, aim {AIM}: {verdict}");
    drop(gateway);
}

fn rounds() -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds").skip(1);
    arguments.next().and_then(|count| count.parse().ok()).unwrap_or(4)
}

fn start(base_url: &str, clock: &Clock) -> Gateway {
    let account = Account::demo();
    let text = format!(
        "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[platform]\nbase_url = \"{base_url}\"\n\
         [limits.tenant]\nrate_per_s = {RATE}\nburst = {RATE}\n[log]\nlevel = \"error\"\n[[tenants]]\nname = \"clinic\"\n\
         app_id = \"{}\"\nhospital_id = \"{}\"\nunion_id = \"{}\"\n",
        account.app_id, account.hospital_id, account.union_id
    );
    let token = [("AIMIS_TENANTS__0__TOKEN", account.token.clone())];
    let loaded = config::load(&Sources::text("bench.toml", text).with_env(token)).unwrap();
    let surroundings = Surroundings {
        clock: clock.clone(),
        resolver: Resolver::system(),
        log_output: Box::new(std::io::sink()),
        instance: "bench",
        inherited: aimis_gateway::inherited::Inherited::default(),
        sources: None,
    };
    Gateway::start(&loaded.config, surroundings).unwrap()
}

/// Asks for one round, each connection at its share of the pace, whatever the answers.
async fn ask(address: SocketAddr, asker: Asker, clock: &Clock, seen: &Seen) {
    let pause =
        Duration::from_secs(1) * u32::try_from(asker.connections).unwrap() / u32::try_from(asker.per_s).unwrap();
    let connections = (0..asker.connections).map(|index| {
        let (clock, seen) = (clock.clone(), Rc::clone(seen));
        tokio::task::spawn_local(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let request = request(asker.usage);
            let begin = clock.moment();
            // Spread over the pause, as people do.
            tokio::time::sleep(pause * u32::try_from(index).unwrap() / u32::try_from(asker.connections).unwrap()).await;
            let mut pace = tokio::time::interval(pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while clock.moment().since(begin) < ROUND {
                pace.tick().await;
                let asked = clock.moment();
                stream.write_all(&request).await.unwrap();
                let status = answer(&mut stream).await;
                let took = clock.moment().since(asked).as_secs_f64() * 1_000.0;
                seen.borrow_mut().push((status, took));
            }
        })
    });
    for connection in connections.collect::<Vec<_>>() {
        connection.await.unwrap();
    }
}

fn request(usage: i64) -> Vec<u8> {
    let body = format!(
        r#"{{"phoneNum":"13800138000","idNum":"11010119000101009X","studyType":0,"dataFlag":1,"usage":{usage},"studyDateBegin":"2024-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}}"#
    );
    let head = "POST /thirdparty/patientStudies/900001 HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n";
    // Each question goes to the platform, also where answers are kept.
    format!(
        "{head}Cache-Control: no-store\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer, and gives its status.
async fn answer(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "an answer");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().trim().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

/// Prints a row of the table, and gives the 99th percentile of what was answered.
fn row(name: &str, seen: &Seen) -> f64 {
    let seen = seen.borrow();
    let count = |status: u16| seen.iter().filter(|(known, _)| *known == status).count();
    let mut times: Vec<f64> = seen.iter().filter(|(s, _)| *s == 200).map(|(_, took)| *took).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "| {name:<23} | {:>6} | {:>6} | {:>6} | {:>6} | {:>6.1} | {:>6.1} | {:>6.1} | {:>6.1} |",
        seen.len(),
        count(200),
        count(429),
        count(503),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    at(99)
}
