//! What single functions of the road cost: allocations and instructions, which are held to a budget, and time, which is
//! told and hangs on the machine.
//!
//! Each is called with what it gets from a plain question. Instructions are counted by callgrind while [`counted`] runs, so
//! neither start nor preparation shows. That is one thread's: where others have a part in it, all of them are counted in two
//! runs of which one calls it more often, and the difference is the calls'.

mod callbacks;

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use aimis_core::contract::Contract;
use aimis_core::datetime::Date;
use aimis_core::identity::{classify_id, classify_phone, normalize_id, normalize_phone};
use aimis_core::order::{Order, OrderBuilder};
use aimis_core::sign::Timestamp;
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::edge::peer::Peer;
use aimis_gateway::edge::request_id::RequestIds;
use aimis_gateway::forward::decode;
use aimis_gateway::prepare::prepare;
use aimis_gateway::snapshot::Snapshot;
use aimis_gateway::telemetry::event::Event;
use aimis_gateway::telemetry::exchange::Exchange;
use aimis_gateway::telemetry::labels::{CodeClass, Origin};
use aimis_gateway::telemetry::log::{Level, Log, LogGuard};
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_gateway::tenant::Tenant;
use aimis_gateway::upstream::envelope::Envelope;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

/// A function, and what a call of it may take.
struct Piece {
    name: &'static str,
    /// Those of all threads, whosever instructions are counted.
    allocations: f64,
    instructions: f64,
    threads: Threads,
    make: fn(&'static Bed) -> Box<dyn FnMut()>,
}

/// Whose instructions are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// Those of the one that calls.
    Own,
    /// Also of those that work for it.
    All,
}

/// A change that needs more says in its commit what it is for; one that needs less lowers the number.
const PIECES: &[Piece] = &[
    piece("sign", 0.0, 8_400.0, |bed| {
        let key = bed.tenant.keyring.current();
        Box::new(|| {
            black_box(key.sign(&bed.tenant.app_id, bed.at));
        })
    }),
    piece("protect: encrypt and write the body", 1.0, 5_400.0, |bed| {
        let key = bed.tenant.keyring.current();
        Box::new(|| drop(black_box(bed.order.protected_body(key.cipher()))))
    }),
    piece("decode: plain JSON", 2.0, 6_800.0, |bed| {
        bed.decode("application/json; charset=utf-8", bed.plain.clone().into_bytes())
    }),
    piece("decode: JSON to be repaired", 3.0, 14_200.0, |bed| {
        bed.decode(
            "text/plain",
            bed.plain.replace("\"usage\":2", "\"Usage\":\"2\"").into_bytes(),
        )
    }),
    piece("decode: GB18030", 6.0, 19_400.0, |bed| {
        let text = encoding_rs::GB18030.encode(&bed.plain).0.into_owned();
        bed.decode("application/json; charset=gb18030", text)
    }),
    piece("decode: a form", 28.0, 43_500.0, |bed| {
        let form = "phoneNum=13800138000&idNum=11010119000101009X&hisId=P0001234&patientName=%E5%BC%A0%E4%B8%89&\
                    hospitalId=H0001&unionId=U0001&studyType=0&dataFlag=1&usage=2&\
                    studyDateBegin=2025-01-01+00%3A00%3A00&studyDateEnd=2025-12-31+23%3A59%3A59";
        bed.decode("application/x-www-form-urlencoded", form.as_bytes().to_vec())
    }),
    piece("decode and judge", 2.0, 10_900.0, |bed| {
        Box::new(|| drop(black_box(bed.draft().finish(&bed.tenant.rules))))
    }),
    piece("identity: both numbers", 0.0, 970.0, |_| {
        Box::new(|| {
            let today = Some(Date::in_china(Timestamp::from_millis(NOW)));
            black_box(classify_id(
                normalize_id(black_box("11010119000101009X")).as_str(),
                today,
            ));
            black_box(classify_phone(normalize_phone(black_box("13800138000")).as_str()));
        })
    }),
    piece("cache key", 1.0, 19_800.0, |bed| {
        Box::new(|| {
            black_box(bed.snapshot.cache_keys.key(&bed.tenant, &bed.order));
        })
    }),
    piece("patient's tags", 0.0, 16_100.0, |bed| {
        Box::new(|| {
            black_box(bed.snapshot.cache_keys.patient(&bed.tenant, &bed.order));
        })
    }),
    piece("envelope of 4 KB", 0.0, 1_150.0, |_| {
        let answer = format!(
            r#"{{"code":0,"message":"success","data":[{{"text":"{}"}}]}}"#,
            "x".repeat(4040)
        );
        Box::new(move || {
            black_box(Envelope::inspect(black_box(answer.as_bytes())).is_ok());
        })
    }),
    piece("metrics of a request", 0.0, 340.0, |bed| {
        let metrics = Metrics::new(&["bench"], &bed.snapshot.apis.names(), &bed.snapshot.codes);
        let exchange = bed.exchange();
        Box::new(move || exchange.count(&metrics))
    }),
    piece("log line of a request", 0.0, 9_100.0, |bed| {
        let exchange = bed.exchange();
        Box::new(move || bed.log.write(&Event::Request(&exchange)))
    }),
    piece("client of a key, one of 1,000", 0.0, 8_450.0, |_| one_of_many_clients()),
    piece("callback: verify", 0.0, 10_700.0, callbacks::verification),
    piece(
        "callback: seal 1 KB and hand it over",
        26.0,
        12_100.0,
        callbacks::arrival,
    ),
    piece("callback: append, all threads", 26.0, 365_000.0, callbacks::arrival).of_all_threads(),
];

const fn piece(
    name: &'static str,
    allocations: f64,
    instructions: f64,
    make: fn(&'static Bed) -> Box<dyn FnMut()>,
) -> Piece {
    Piece {
        name,
        allocations,
        instructions,
        threads: Threads::Own,
        make,
    }
}

impl Piece {
    const fn of_all_threads(self) -> Self {
        Self {
            threads: Threads::All,
            ..self
        }
    }
}

/// 2025-06-01 in China.
const NOW: u64 = 1_748_707_200_000;
const WARM: u32 = 50;
const COUNTED: u32 = 200;
/// Calls that are timed at once, and how often: the median counts. So few, that the log has room for all lines.
const TIMED: u32 = 20;
const TRIES: usize = 51;

/// What the functions work on.
struct Bed {
    snapshot: Snapshot,
    tenant: Arc<Tenant>,
    contract: Arc<Contract>,
    plain: String,
    order: Order,
    at: Timestamp,
    log: Log,
    _log: LogGuard,
}

impl Bed {
    fn make() -> &'static Self {
        let text = "[[tenants]]\nname = \"bench\"\napp_id = \"900001\"\n";
        let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
        let loaded = config::load(&Sources::text("bench.toml", text).with_env(token)).unwrap();
        let snapshot = prepare(&loaded.config).unwrap().snapshot;
        let tenant = Arc::clone(&snapshot.tenants.all()[0]);
        let plain = r#"{"phoneNum":"13800138000","idNum":"11010119000101009X","hisId":"P0001234","patientName":"张三","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":2,"studyDateBegin":"2025-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}"#;
        let contract = Arc::clone(snapshot.apis.contract(0));
        let clock = Clock::manual(NOW);
        let (log, guard) = Log::start(clock, Level::Info, "bench", Box::new(std::io::sink())).unwrap();
        let mut draft = OrderBuilder::new(&contract, plain.len());
        let label = HeaderValue::from_static("application/json; charset=utf-8");
        let dialects = &snapshot.clients.anybody().dialects;
        decode::read(plain.as_bytes(), Some(&label), dialects, &mut draft).unwrap();
        Box::leak(Box::new(Self {
            order: draft.finish(&tenant.rules).unwrap(),
            snapshot,
            tenant,
            contract,
            plain: plain.to_owned(),
            at: Timestamp::from_millis(NOW),
            log,
            _log: guard,
        }))
    }

    fn decode(&'static self, label: &'static str, body: Vec<u8>) -> Box<dyn FnMut()> {
        let label = HeaderValue::from_static(label);
        let dialects = &self.snapshot.clients.anybody().dialects;
        Box::new(move || {
            let mut draft = OrderBuilder::new(&self.contract, body.len());
            decode::read(black_box(&body), Some(&label), dialects, &mut draft).unwrap();
            drop(black_box(draft));
        })
    }

    fn draft(&self) -> OrderBuilder {
        let mut draft = OrderBuilder::new(&self.contract, self.plain.len());
        let label = HeaderValue::from_static("application/json; charset=utf-8");
        let dialects = &self.snapshot.clients.anybody().dialects;
        decode::read(self.plain.as_bytes(), Some(&label), dialects, &mut draft).unwrap();
        draft
    }

    fn exchange(&self) -> Exchange {
        let clock = Clock::manual(NOW);
        let id = RequestIds::new(clock.clone()).unwrap().make();
        let mut exchange = Exchange::new(id, "POST", clock.moment());
        exchange.api = Some((0, self.snapshot.apis.name(0)));
        exchange.tenant = Some((0, self.tenant.name.clone()));
        exchange.patient = Some(self.snapshot.tagger.tag(&self.order));
        exchange.status = 200;
        exchange.code = Some(0);
        exchange.class = CodeClass::Ok;
        exchange.origin = Origin::Platform;
        exchange.attempts = 1;
        exchange
    }
}

/// The last of the clients asks, by its key.
fn one_of_many_clients() -> Box<dyn FnMut()> {
    const CLIENTS: u32 = 1_000;
    let key = |number: u32| format!("aimis_{number:064}");
    let client = |number: u32| {
        let digest = hex::encode(Sha256::digest(key(number)));
        format!("[[clients]]\nname = \"his-{number}\"\nkey_sha256 = \"{digest}\"\n")
    };
    let mut text: String = (1..=CLIENTS).map(client).collect();
    text += "[[tenants]]\nname = \"bench\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\n";
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    let loaded = config::load(&Sources::text("bench.toml", text).with_env(token)).unwrap();
    let snapshot = prepare(&loaded.config).unwrap().snapshot;
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", key(CLIENTS));
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&bearer).unwrap());
    Box::new(move || {
        let found = snapshot.clients.identify(black_box(&headers), &Peer::default());
        assert!(found.is_ok_and(|found| found.client.index == CLIENTS as usize - 1));
    })
}

/// Prints the table; false if something is over its budget.
pub(super) fn table() -> bool {
    let bed = Bed::make();
    let mut fine = true;
    println!("\n| a call | allocations | budget | instructions | budget | time |\n|---|---:|---:|---:|---:|---:|");
    for (at, piece) in PIECES.iter().enumerate() {
        let allocations = allocations(&mut *(piece.make)(bed));
        let instructions = instructions(at, piece.threads);
        let nanoseconds = nanoseconds(&mut *(piece.make)(bed));
        println!(
            "| {} | {allocations:.1} | {:.1} | {instructions:.0} | {:.0} | {nanoseconds} ns |",
            piece.name, piece.allocations, piece.instructions
        );
        // Another thread may allocate once meanwhile.
        fine &= allocations < piece.allocations + 0.05 && instructions <= piece.instructions;
    }
    fine
}

/// What runs under callgrind.
pub(super) fn run_only(at: &str, times: &str) {
    let mut call = (PIECES[at.parse::<usize>().unwrap()].make)(Bed::make());
    (0..WARM).for_each(|_| call());
    counted(&mut *call, times.parse().unwrap());
}

/// Callgrind collects while this runs, so it keeps its name.
#[inline(never)]
fn counted(call: &mut dyn FnMut(), times: u32) {
    for _ in 0..times {
        call();
    }
}

fn allocations(call: &mut dyn FnMut()) -> f64 {
    (0..WARM).for_each(|_| call());
    let _counting = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    (0..COUNTED).for_each(|_| call());
    let after = dhat::HeapStats::get().total_blocks;
    (after - before) as f64 / f64::from(COUNTED)
}

fn instructions(at: usize, threads: Threads) -> f64 {
    let collected_by = |times: u32| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        if threads == Threads::Own {
            valgrind.arg("--toggle-collect=*micro*counted*");
        }
        let this = std::env::current_exe().unwrap();
        let piece = ["micro", &at.to_string(), &times.to_string()];
        super::collected(valgrind.arg(this).args(piece).stdin(Stdio::null()))
    };
    let collected = match threads {
        Threads::Own => collected_by(COUNTED),
        Threads::All => collected_by(COUNTED) - collected_by(0),
    };
    collected as f64 / f64::from(COUNTED)
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the machine's clock")]
fn nanoseconds(call: &mut dyn FnMut()) -> u128 {
    let batch = || {
        let begin = Instant::now();
        (0..TIMED).for_each(|_| call());
        begin.elapsed().as_nanos() / u128::from(TIMED)
    };
    let mut times: Vec<u128> = std::iter::repeat_with(batch).take(TRIES).collect();
    times.sort_unstable();
    times[TRIES / 2]
}
