//! More is asked than the platform can answer: what of it is answered all the same, and how soon the rest is refused.
//!
//! Gateway and simulated platform run in this process, as the tests run them. The platform takes 20 ms for an answer and
//! is asked 16 questions at a time, which is 800 a second. Questions come at a fixed rate, whether earlier ones are
//! answered or not, as patients do: at that rate, then at two and five times as many. The aim is that at least 90 % of
//! the first round's answers come in the others, and that the memory stays where it was.
//!
//! `cargo bench --package aimis --bench overload [-- --seconds N]`
#![allow(clippy::print_stdout, reason = "it prints its table")]
#![allow(clippy::unwrap_used, reason = "in a bench a failed unwrap is the failure")]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use aimis_gateway::app::{Gateway, Surroundings};
use aimis_gateway::clock::{self, Clock};
use aimis_gateway::config::{self, Sources};
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

const LATENCY: Duration = Duration::from_millis(20);
const AT_A_TIME: u32 = 16;
/// What the platform can answer in a second.
const CAPACITY: u32 = 16 * 1000 / 20;
const AIM: f64 = 0.9;
/// Whoever asked has turned away by then.
const USEFUL: Duration = Duration::from_secs(2);

/// What became of a round's questions: status, and how long each took from when it was due.
type Seen = Rc<RefCell<Vec<(u16, Duration)>>>;

fn main() -> ExitCode {
    let clock = Clock::system();
    let seconds = seconds();
    let platform_runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let options = PlatformOptions {
        record: false,
        ..PlatformOptions::default()
    };
    let platform = platform_runtime.block_on(Platform::start(options)).unwrap();
    platform.set_fault(Fault::Latency {
        ms: u64::try_from(LATENCY.as_millis()).unwrap(),
    });
    let gateway = start(&platform.base_url(), &clock);
    let callers = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();

    println!("platform: {AT_A_TIME} at a time, 20 ms each: {CAPACITY}/s; {seconds} s a round\n");
    println!("| offered | asked/s |  200/s |  429/s |  503/s | p99 of 200 | p99 of refusals | memory |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let goods = [1, 2, 5].map(|times| {
        let seen = Seen::default();
        let round = ask(gateway.lan()[0], times * CAPACITY, seconds, &clock, &seen);
        LocalSet::new().block_on(&callers, round);
        row(times, seconds, &seen.borrow())
    });
    let best = goods.into_iter().fold(0.0, f64::max);
    // A platform that answers hardly anything would show nothing.
    let fine = best >= AIM / 2.0 * f64::from(CAPACITY) && goods.into_iter().all(|good| good >= AIM * best);
    println!("\nat least {AIM} of the best: {}", if fine { "kept" } else { "MISSED" });
    drop(gateway);
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds() -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--seconds").skip(1);
    arguments.next().and_then(|count| count.parse().ok()).unwrap_or(5)
}

fn start(base_url: &str, clock: &Clock) -> Gateway {
    let account = Account::demo();
    let text = format!(
        "[runtime]\nworkers = 1\n[lan]\nlisten = \"127.0.0.1:0\"\nmax_connections = 10000\n\
         max_connections_per_source = 0\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[platform]\nbase_url = \"{base_url}\"\n\
         [limits]\ntenant = {{ rate_per_s = 100000, burst = 100000, in_flight = {AT_A_TIME} }}\n\
         [log]\nlevel = \"error\"\n[[tenants]]\nname = \"clinic\"\n\
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

/// Asks at the rate for so many seconds, and waits for the last answer. Who finds no kept connection opens one.
async fn ask(address: SocketAddr, rate: u32, seconds: u32, clock: &Clock, seen: &Seen) {
    let kept: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    let (begin, start) = (clock.moment(), clock::timer_now());
    let mut running = tokio::task::JoinSet::new();
    for number in 0..rate * seconds {
        let due = Duration::from_secs(1) * number / rate;
        tokio::time::sleep_until(start + due).await;
        let (kept, seen, clock) = (Rc::clone(&kept), Rc::clone(seen), clock.clone());
        running.spawn_local(async move {
            let idle = kept.borrow_mut().pop();
            let mut stream = match idle {
                Some(stream) => stream,
                None => TcpStream::connect(address).await.unwrap(),
            };
            stream.write_all(&request(number)).await.unwrap();
            let status = answer(&mut stream).await;
            seen.borrow_mut().push((status, clock.moment().since(begin.after(due))));
            kept.borrow_mut().push(stream);
        });
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}

/// About another patient each time; past the cache, as each has to be asked.
fn request(number: u32) -> Vec<u8> {
    let body = format!(
        r#"{{"phoneNum":"138{number:08}","idNum":"11010119000101009X","studyType":0,"dataFlag":1,"usage":2,"studyDateBegin":"2024-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}}"#
    );
    let head = "POST /thirdparty/patientStudies/900001 HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n";
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

/// Prints a row of the table, and gives how many were answered a second in useful time.
fn row(times: u32, seconds: u32, seen: &[(u16, Duration)]) -> f64 {
    let per_s = |wanted: &dyn Fn(&(u16, Duration)) -> bool| {
        seen.iter().filter(|one| wanted(one)).count() as f64 / f64::from(seconds)
    };
    let p99 = |wanted: &dyn Fn(u16) -> bool| {
        let mut times: Vec<Duration> = seen.iter().filter(|(s, _)| wanted(*s)).map(|(_, took)| *took).collect();
        times.sort_unstable();
        times
            .get(times.len() * 99 / 100)
            .map_or_else(String::new, |took| format!("{:.0} ms", took.as_secs_f64() * 1e3))
    };
    let good = per_s(&|(status, took)| *status == 200 && *took <= USEFUL);
    println!(
        "| {times} x | {:.0} | {good:.0} | {:.0} | {:.0} | {} | {} | {} MiB |",
        per_s(&|_| true),
        per_s(&|(status, _)| *status == 429),
        per_s(&|(status, _)| *status == 503),
        p99(&|status| status == 200),
        p99(&|status| status != 200),
        memory_mib(),
    );
    good
}

/// Memory of gateway, platform and callers together.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
