//! What a request costs the gateway in allocations and instructions, and that it costs no more than its budget.
//!
//! Both are the same on every machine and whatever else it does, so they can be held in CI; time cannot. Gateway, a
//! platform that always says the same, and a caller who checks it run in this process. What the two say stands ready in
//! fixed buffers, so whatever is allocated is the gateway's; of the instructions about 2,000 a request are theirs.
//! Instructions are counted by callgrind, in two runs of which one asks more: the difference is the requests'. Its
//! processor has no instructions for SHA-256, which is why hashing looks dear.
//!
//! Single functions of it have budgets of their own: `micro.rs`.
//!
//! `cargo bench --package aimis --bench road`; with `telling` behind `--` also what log lines and traces add to it, by
//! which docs/operations.md says what they cost.
#![allow(clippy::print_stdout, reason = "it prints its table")]
#![allow(clippy::unwrap_used, reason = "in a bench a failed unwrap is the failure")]

mod micro;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};

use aimis_gateway::app::{Gateway, Surroundings};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::upstream::addresses::Resolver;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What is measured: whether all ask for one patient, how many allocations and instructions a request may take.
///
/// A change that needs more says in its commit what it is for; one that needs less lowers the number.
const BUDGETS: [(&str, bool, f64, f64); 2] = [
    ("asked of the platform", false, 30.0, 159_000.0),
    ("answered from the cache", true, 13.0, 78_000.0),
];

/// Requests that fill caches, pools and tables first.
const WARM: u32 = 200;
const COUNTED: u32 = 500;
/// Under callgrind, in the second run beyond the first.
const TRACED: u32 = 1_000;

const ANSWER: usize = 4 << 10;
const PHONE: &str = "13800000000";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [ask, count, same, telling] = &arguments[..]
        && ask == "ask"
    {
        let telling = TELLING.iter().find(|(name, _)| name == telling).unwrap();
        ask_only(count.parse().unwrap(), same == "same", telling.1);
        return ExitCode::SUCCESS;
    }
    if let [micro, piece, times] = &arguments[..]
        && micro == "micro"
    {
        micro::run_only(piece, times);
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "telling") {
        tell_of_telling();
        return ExitCode::SUCCESS;
    }
    let mut fine = true;
    println!("| a request | allocations | budget | instructions | budget |\n|---|---:|---:|---:|---:|");
    for (name, same, most_allocations, most_instructions) in BUDGETS {
        let allocations = allocations(same, SILENT);
        let instructions = instructions(same, "silent");
        println!("| {name} | {allocations:.1} | {most_allocations:.1} | {instructions:.0} | {most_instructions:.0} |");
        fine &= allocations <= most_allocations && instructions <= most_instructions;
    }
    fine &= micro::table();
    if fine {
        return ExitCode::SUCCESS;
    }
    println!("\nOVER BUDGET: see benches/road.rs for what to do about it");
    ExitCode::FAILURE
}

/// What is told of a request, in the words of the configuration. Nobody listens at the collector's port: what is measured
/// is a request's share, and the exporter works on another thread, after it.
const TELLING: [(&str, &str); 4] = [
    ("silent", SILENT),
    ("a line of the log", "[log]\nlevel = \"info\"\n"),
    (
        "a trace that is not sampled",
        "[log]\nlevel = \"warn\"\n[traces]\nendpoint = \"http://127.0.0.1:9/v1/traces\"\nsampler = \"always_off\"\n",
    ),
    (
        "a trace that is exported",
        "[log]\nlevel = \"warn\"\n[traces]\nendpoint = \"http://127.0.0.1:9/v1/traces\"\nqueue = 64\nbatch = 1\n",
    ),
];
/// Neither lines nor traces; metrics are counted always.
const SILENT: &str = "[log]\nlevel = \"warn\"\n";

/// What each way of telling adds to a request that is asked of the platform.
fn tell_of_telling() {
    println!("| told of a request | allocations | instructions |\n|---|---:|---:|");
    for (name, telling) in TELLING {
        let (allocations, instructions) = (allocations(false, telling), instructions(false, name));
        println!("| {name} | {allocations:.1} | {instructions:.0} |");
    }
}

fn allocations(same: bool, telling: &str) -> f64 {
    let mut asker = Asker::start(same, telling);
    asker.ask(WARM);
    let _counting = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    asker.ask(COUNTED);
    let after = dhat::HeapStats::get().total_blocks;
    (after - before) as f64 / f64::from(COUNTED)
}

fn instructions(same: bool, telling: &str) -> f64 {
    let collected_by = |requests: u32| {
        let this = std::env::current_exe().unwrap();
        let patients = if same { "same" } else { "others" };
        collected(
            Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
                .arg(this)
                .args(["ask", &requests.to_string(), patients, telling])
                .stdin(Stdio::null()),
        )
    };
    (collected_by(WARM + TRACED) - collected_by(WARM)) as f64 / f64::from(TRACED)
}

/// What callgrind says that it collected.
fn collected(valgrind: &mut Command) -> u64 {
    let output = valgrind.output().expect("valgrind, which `cargo xtask ci` installs");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let line = told.lines().find(|line| line.contains("Collected :")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn ask_only(requests: u32, same: bool, telling: &str) {
    Asker::start(same, telling).ask(requests);
}

/// A caller with one connection to a gateway of his own.
struct Asker {
    stream: TcpStream,
    request: Vec<u8>,
    /// Where in it the telephone number stands.
    phone: usize,
    same: bool,
    number: u32,
    _gateway: Gateway,
}

impl Asker {
    fn start(same: bool, telling: &str) -> Self {
        let gateway = start(platform(), telling);
        let stream = TcpStream::connect(gateway.lan()[0]).unwrap();
        stream.set_nodelay(true).unwrap();
        let body = format!(
            r#"{{"phoneNum":"{PHONE}","idNum":"11010119000101009X","hisId":"P0001234","patientName":"测试患者","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":2,"studyDateBegin":"2025-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}}"#
        );
        let request = format!(
            "POST /thirdparty/patientStudies/900001 HTTP/1.1\r\nHost: gateway.hospital\r\n\
             Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            stream,
            phone: request.find(PHONE).unwrap(),
            request: request.into_bytes(),
            same,
            number: 0,
            _gateway: gateway,
        }
    }

    fn ask(&mut self, requests: u32) {
        let mut buffer = [0; 2 * ANSWER];
        for _ in 0..requests {
            if !self.same {
                self.number += 1;
                let digits = &mut self.request[self.phone + 3..self.phone + PHONE.len()];
                write!(&mut *digits, "{:08}", self.number).unwrap();
            }
            self.stream.write_all(&self.request).unwrap();
            let mut length = 0;
            while !is_whole(&buffer[..length]) {
                let read = self.stream.read(&mut buffer[length..]).unwrap();
                assert!(read > 0, "the gateway closed the connection");
                length += read;
            }
            assert!(
                buffer.starts_with(b"HTTP/1.1 200 "),
                "{}",
                buffer[..length].escape_ascii()
            );
        }
    }
}

/// Whether a head and as much body as it announces are there.
fn is_whole(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = &message[..end];
    let name = b"content-length: ";
    let at = head
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name))
        .unwrap();
    let digits = head[at + name.len()..].iter().take_while(|b| b.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    message.len() >= end + 4 + length
}

fn start(platform: SocketAddr, telling: &str) -> Gateway {
    let text = format!(
        "[runtime]\nworkers = 1\n[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n\
         [platform]\nbase_url = \"http://localhost:{}\"\n\
         [limits]\ntenant = {{ rate_per_s = 100000, burst = 100000, in_flight = 1000 }}\n\
         {telling}[[tenants]]\nname = \"bench\"\napp_id = \"900001\"\n\
         hospital_id = \"H0001\"\nunion_id = \"U0001\"\n",
        platform.port()
    );
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    let loaded = config::load(&Sources::text("bench.toml", text).with_env(token)).unwrap();
    let surroundings = Surroundings {
        clock: Clock::system(),
        resolver: Resolver::system(),
        log_output: Box::new(std::io::sink()),
        instance: "bench",
        inherited: aimis_gateway::inherited::Inherited::default(),
        sources: None,
    };
    Gateway::start(&loaded.config, surroundings).unwrap()
}

/// A platform that gives every question the same answer; it ends with the process.
fn platform() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let frame = r#"{"code":0,"message":"success","data":[{"text":""}]}"#;
    let body = frame.replace("\"\"", &format!("\"{}\"", "x".repeat(ANSWER - frame.len())));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: {ANSWER}\r\n\r\n{body}"
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream.unwrap(), answer.as_bytes()));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    let mut length = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[length..]) {
        length += read;
        if is_whole(&buffer[..length]) {
            length = 0;
            stream.write_all(answer).unwrap();
        }
    }
}
