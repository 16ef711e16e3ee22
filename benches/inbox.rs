//! What the inbox costs: durable acknowledgements a second, and the time of one beside a sync of the same disk.
//!
//! `cargo bench --package aimis --bench inbox [-- DIRECTORY]`; the directory decides which disk is measured (default: the target's).
//! Behind it the same in PostgreSQL, if it is installed: a server of the bench's own, on the disk of the temporary directory.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::Codes;
use aimis_gateway::callback::event::{NewEvent, Origin, Payload, Signed};
use aimis_gateway::callback::inbox::sqlite::{KeyFiles, Parts, Role, Settings};
use aimis_gateway::callback::inbox::{Inbox, Kind, Outcome, Sharing, Sqlite};
use aimis_gateway::clock::Clock;
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_gateway::tenant::TenantName;
use zeroize::Zeroizing;

#[path = "../tests/it/support/postgres.rs"]
mod server;

/// Bytes of a callback's fields, as the platform's examples have them.
const PAYLOAD: usize = 1024;
const IN_FLIGHT: usize = 256;
const APPENDS: usize = 60_000;
const SINGLE: usize = 500;

fn main() {
    // `cargo bench` passes `--bench`.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let parent = named.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let directory = parent.join(format!("bench-inbox-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the bench");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let clock = Clock::system();
    let inbox: Arc<dyn Inbox> = Arc::new(open(&directory, &clock));

    let sync = syncs(&directory, &clock);
    let fresh = runtime.block_on(singles(&inbox, &clock, 0));
    let (rate, crowd) = runtime.block_on(crowd(&inbox, &clock));
    let single = runtime.block_on(singles(&inbox, &clock, SINGLE + APPENDS));
    let sync_after = syncs(&directory, &clock);
    let drained = runtime.block_on(drain(&inbox, &clock));

    println!(
        "one sync of {PAYLOAD} bytes appended:  {}  (again at the end: {})",
        told(&sync),
        told(&sync_after)
    );
    println!(
        "one append alone:                {}  (while the log is new: {})",
        told(&single),
        told(&fresh)
    );
    println!(
        "{IN_FLIGHT} appends in flight:         {}  {rate:.0} acknowledged/s",
        told(&crowd)
    );
    println!("leased and settled, 64 at a time: {drained:.0}/s");
    drop(inbox);
    if std::path::Path::new("/usr/lib/postgresql").exists() {
        in_postgresql(&runtime, &directory, &clock);
    } else {
        println!("PostgreSQL is not installed: not measured");
    }
    std::fs::remove_dir_all(&directory).expect("the bench's own directory");
}

/// The same against a server on this machine.
fn in_postgresql(runtime: &tokio::runtime::Runtime, directory: &Path, clock: &Clock) {
    let server = server::Server::new("", &[]);
    let (_, url) = server.database();
    let lines = format!(
        "[callback]\n[inbox]\ndatabase_url = \"{url}\"\nkey_file = \"{}\"\nmax_bytes = \"4GiB\"\n\
         [[tenants]]\nname = \"north\"\napp_id = \"900001\"\ntoken_file = \"none\"\n",
        directory.join("inbox.key").display()
    );
    let sources = aimis_gateway::config::Sources::text("bench.toml", lines);
    let config = aimis_gateway::config::load(&sources).expect("a configuration").config;
    let parts = aimis_gateway::callback::inbox::Parts::of_command(
        clock.clone(),
        Arc::clone(&Metrics::new(&["north"], &[], &Codes::builtin()).inbox),
    );
    let inbox =
        aimis_gateway::callback::inbox::open(&config.inbox, Role::Gateway, parts).expect("an inbox in a database");
    let single = runtime.block_on(singles(&inbox, clock, 0));
    let (rate, crowd) = runtime.block_on(crowd(&inbox, clock));
    let drained = runtime.block_on(drain(&inbox, clock));
    println!("PostgreSQL: one append alone:    {}", told(&single));
    println!(
        "{IN_FLIGHT} appends in flight:         {}  {rate:.0} acknowledged/s",
        told(&crowd)
    );
    println!("leased and settled, 64 at a time: {drained:.0}/s");
}

fn open(directory: &Path, clock: &Clock) -> Sqlite {
    let settings = Settings {
        path: directory.join("inbox.db"),
        max_bytes: 4 << 30,
        quarantine_max_bytes: 1 << 30,
        delivered_body: Duration::from_secs(24 * 3600),
        delivered_record: Duration::from_secs(7 * 24 * 3600),
        acts: Duration::from_secs(180 * 24 * 3600),
        queue: 1024,
        batch: 256,
        wal_target_bytes: 16 << 20,
        wal_max_bytes: 64 << 20,
        busy_timeout: Duration::from_secs(5),
        sharing: Sharing {
            late: Duration::from_secs(60),
            bodies: 16,
        },
        allow_network_disk: false,
    };
    let keys = KeyFiles {
        current: directory.join("inbox.key"),
        previous: Vec::new(),
    };
    let parts = Parts {
        clock: clock.clone(),
        metrics: Arc::clone(&Metrics::new(&["north"], &[], &Codes::builtin()).inbox),
        abort: Arc::new(|what| panic!("{what}")),
    };
    Sqlite::open(settings, &keys, Role::Gateway, parts).expect("an inbox")
}

/// A callback of its own study; its signature is its own, too.
fn event(inbox: &dyn Inbox, clock: &Clock, number: usize) -> NewEvent {
    let (tenant, tags, now) = (TenantName::new("north"), inbox.tags(), clock.now());
    let study = format!("S{number}");
    let mut json = format!("{{\"studyId\":\"{study}\",\"fill\":\"");
    json.extend(std::iter::repeat_n('x', PAYLOAD.saturating_sub(json.len() + 2)));
    json.push_str("\"}");
    let json = json.into_bytes();
    NewEvent {
        study: tags.study(&tenant, "H1", &study),
        identity: tags.identity(&tenant, "H1", &study, "R1", 3),
        body: tags.body(&tenant, &json),
        origin: Origin::Callback {
            gist: tags.body(&tenant, &json),
        },
        payload: Payload::new(Zeroizing::new(json)),
        signed: Some(Signed {
            triple: tags.triple(&tenant, "900001", now, study.as_bytes()),
            signed_at: now,
            valid_until: now,
        }),
        quarantine: None,
        received_at: now,
        tenant,
    }
}

/// Appends to a file, each followed by a sync: what the disk can do.
fn syncs(directory: &Path, clock: &Clock) -> Vec<Duration> {
    let path = directory.join("sync");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(&vec![0; 8 << 20]).expect("room");
    file.sync_all().expect("a sync");
    let mut times: Vec<Duration> = (0..SINGLE)
        .map(|number| {
            let start = clock.moment();
            file.write_all_at(&[1; PAYLOAD], (number * PAYLOAD) as u64)
                .expect("a write");
            file.sync_all().expect("a sync");
            clock.moment().since(start)
        })
        .collect();
    times.sort_unstable();
    times
}

async fn singles(inbox: &Arc<dyn Inbox>, clock: &Clock, first: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(SINGLE);
    for number in first..first + SINGLE {
        let event = event(&**inbox, clock, number);
        let start = clock.moment();
        let appended = inbox.append(event).await.expect("durable");
        times.push(clock.moment().since(start));
        assert_eq!(appended.kind, Kind::Accepted);
    }
    times.sort_unstable();
    times
}

async fn crowd(inbox: &Arc<dyn Inbox>, clock: &Clock) -> (f64, Vec<Duration>) {
    let (before, start) = (used(), clock.moment());
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|task| {
            let (inbox, clock) = (Arc::clone(inbox), clock.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                for number in (SINGLE + task..SINGLE + APPENDS).step_by(IN_FLIGHT) {
                    let start = clock.moment();
                    let event = event(&*inbox, &clock, number);
                    let _ = inbox.append(event).await.expect("durable");
                    times.push(clock.moment().since(start));
                }
                times
            })
        })
        .collect();
    let mut times = Vec::with_capacity(APPENDS);
    for task in tasks {
        times.extend(task.await.expect("no panic"));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of appends")]
    let rate = APPENDS as f64 / clock.moment().since(start).as_secs_f64();
    let after = used();
    for (what, index) in [("us of CPU", 0), ("bytes written", 1), ("writes", 2)] {
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
        let each = (after[index] - before[index]) as f64 / APPENDS as f64;
        println!("{IN_FLIGHT} in flight, {what} for each:  {each:.1}");
    }
    times.sort_unstable();
    (rate, times)
}

/// What this process has used: microseconds of CPU, bytes and calls that write. They depend less than the rate on what else
/// the machine does.
fn used() -> [u64; 3] {
    let io = std::fs::read_to_string("/proc/self/io").expect("figures of this process");
    let of = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse().ok()).expect("a count")
    };
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let micros = cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000;
    [micros.cast_unsigned(), of("wchar:"), of("syscw:")]
}

async fn drain(inbox: &Arc<dyn Inbox>, clock: &Clock) -> f64 {
    let tenant = TenantName::new("north");
    let start = clock.moment();
    let mut settled = 0_u32;
    while settled < 20_000 {
        let leases = inbox.lease(&tenant, 64, Duration::from_secs(60)).await.expect("leases");
        let ends: Vec<_> = leases
            .events
            .into_iter()
            .map(|leased| tokio::spawn(inbox.settle(leased.lease, Outcome::Delivered)))
            .collect();
        assert!(!ends.is_empty());
        for end in ends {
            end.await.expect("no panic").expect("settled");
            settled += 1;
        }
    }
    f64::from(settled) / clock.moment().since(start).as_secs_f64()
}

fn told(times: &[Duration]) -> String {
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms", at(500), at(990), at(1000))
}
