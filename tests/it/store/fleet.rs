//! Several gateways before one platform, asked more than one quota lets through.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aimis_simulator::{Platform, PlatformOptions};

use crate::support::binary;
use crate::support::client::{self, Answer};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};
use crate::support::process::Serve;

/// The quota of every test here: divisible by the number of gateways, slow enough that a flood meets it.
pub const RATE: f64 = 20.0;
/// See [`RATE`].
pub const BURST: f64 = 12.0;
pub const QUOTA: &str = "rate_per_s = 20\nburst = 12\nin_flight = 0";

/// Where a gateway is.
#[derive(Clone, Copy)]
pub struct Place {
    pub lan: SocketAddr,
    pub telemetry: SocketAddr,
}

/// What came of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Questions that reached the platform.
    pub passed: f64,
    /// From before the first question to behind the last answer.
    pub took: Duration,
    /// Questions asked.
    pub asked: usize,
    /// Answers that tell that a gateway went by its own part.
    pub local: usize,
}

impl Flood {
    /// Nobody got more than so many quotas, each with so many bursts, could let through in that time. Whatever the machine
    /// is busy with makes the time longer, never shorter.
    #[track_caller]
    pub fn assert_within(&self, quotas: f64, bursts: f64) {
        let bound = quotas * RATE * self.took.as_secs_f64() + bursts * BURST;
        assert!(self.passed <= bound, "{self:?}: more than {bound}");
    }
}

pub async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// Settings that share the store at `redis_url`, in TOML.
pub fn sharing(platform: &Platform, redis_url: &str) -> Settings {
    Settings::calling(platform)
        .with("store", &format!("redis_url = {redis_url}"))
        // Nothing to be waited for by a busy machine, and soon noticed where it is really away.
        .with("store", "timeout_ms = 1000")
        .with("store", "retry_ms = 100")
        .with("store", "heartbeat_ms = 200")
        .with("store", "replicas_min = 4")
        .with("limits", "max_wait_ms = 0")
        .with("limits.tenant", QUOTA)
}

pub fn place(gateway: &Gateway) -> Place {
    Place {
        lan: gateway.lan,
        telemetry: gateway.telemetry,
    }
}

/// `serve` as a process of its own.
pub fn process(platform: &Platform, redis_url: &str, directory: &Directory) -> Command {
    let file = sharing(platform, redis_url).write(directory);
    let mut command = binary::command(&["serve", "--config"]);
    command.arg(file);
    command
}

pub fn place_of(serve: &Serve) -> Place {
    Place {
        lan: serve.lan,
        telemetry: serve.telemetry,
    }
}

/// Asks every gateway so often, several questions at a time, and on until one has passed: a quick machine is through before
/// a bucket that the last flood emptied holds the next turn.
#[expect(
    clippy::disallowed_methods,
    reason = "the bound is one of real time, by the store's clock"
)]
pub async fn flood(platform: &Platform, places: &[Place], each: usize) -> Flood {
    let before = platform.request_count();
    let begin = Instant::now();
    let passed = Arc::new(AtomicBool::new(false));
    let asking = places.iter().map(|place| {
        let tasks = (0..4).map(|_| tokio::spawn(many(place.lan, each / 4, passed.clone())));
        futures_util::future::join_all(tasks)
    });
    let told = tokio::time::timeout(client::PATIENCE, futures_util::future::join_all(asking)).await;
    let took = begin.elapsed();
    let told: Vec<_> = told
        .expect("none passes")
        .into_iter()
        .flatten()
        .map(Result::unwrap)
        .collect();
    Flood {
        passed: (platform.request_count() - before) as f64,
        took,
        asked: told.iter().map(|told| told.0).sum(),
        local: told.iter().map(|told| told.1).sum(),
    }
}

/// How many were asked, and how many of them answered by a gateway's own part.
async fn many(lan: SocketAddr, count: usize, passed: Arc<AtomicBool>) -> (usize, usize) {
    let (mut asked, mut local) = (0, 0);
    while asked < count || !passed.load(Ordering::Relaxed) {
        let answer = ask(lan).await;
        assert!(
            matches!(answer.status, 200 | 429),
            "{}: {}",
            answer.status,
            answer.text()
        );
        if answer.status == 200 {
            passed.store(true, Ordering::Relaxed);
        }
        asked += 1;
        local += usize::from(is_local(&answer));
    }
    (asked, local)
}

pub async fn ask(lan: SocketAddr) -> Answer {
    client::post(
        lan,
        "/thirdparty/patientStudies/900001",
        &[],
        studies_query().as_bytes(),
    )
    .await
}

pub fn is_local(answer: &Answer) -> bool {
    let warnings = answer.header("x-aimis-warnings");
    warnings.is_some_and(|warnings| warnings.contains("limits=local"))
}

pub async fn metric(place: Place, series: &str) -> f64 {
    let text = client::get(place.telemetry, "/metrics").await.text();
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value).unwrap_or_else(|| panic!("no {series}"))
}

/// Waits until each of them shows this.
pub async fn shown(places: &[Place], series: &str, wanted: f64) {
    for place in places {
        let there = async { while metric(*place, series).await != wanted {} };
        let waited = tokio::time::timeout(client::PATIENCE, there).await;
        waited.unwrap_or_else(|_| panic!("{series} does not become {wanted}"));
    }
}

/// Waits until all of them have the store, and know of each other.
pub async fn up(places: &[Place]) {
    shown(places, "aimis_ratelimit_store_up", 1.0).await;
    shown(places, "aimis_store_replicas", places.len().max(4) as f64).await;
}

/// Waits until all of them go by themselves. Who is asked nothing notices by its heartbeat.
pub async fn away(places: &[Place]) {
    shown(places, "aimis_ratelimit_store_up", 0.0).await;
}
