//! Several gateways before one platform, asked more than one quota lets through.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aimis_simulator::{Clock, Platform, PlatformOptions};

use crate::support::binary;
use crate::support::client::{self, Answer};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query, studies_query_with};
use crate::support::process::Serve;

/// The quota of every test here: divisible by the number of gateways, slow enough that a flood meets it.
pub const RATE: f64 = 20.0;
/// See [`RATE`].
pub const BURST: f64 = 12.0;
pub const QUOTA: &str = "rate_per_s = 20\nburst = 12\nin_flight = 0";

const STUDIES: &str = "/thirdparty/patientStudies/900001";

/// Where a gateway is.
#[derive(Clone, Copy)]
pub struct Place {
    pub lan: SocketAddr,
    pub telemetry: SocketAddr,
}

/// What came of a flood.
#[derive(Clone)]
pub struct Flood {
    passed: Vec<Passed>,
    /// From before the first question to behind the last answer.
    pub took: Duration,
    /// Questions asked.
    pub asked: usize,
    /// Answers that tell that a gateway went by its own part.
    pub local: usize,
}

/// A question that reached the platform: it was let through somewhen between these two, by the platform's clock.
#[derive(Clone, Copy)]
struct Passed {
    asked_ms: i64,
    arrived_ms: i64,
}

impl Flood {
    /// In no window of time did more get through than so many quotas, each with so many bursts, let through in it.
    ///
    /// A window begins when a question was asked and ends when one arrived at the platform, and has those that were asked and
    /// arrived within it: they were let through within it, however long a busy machine had them on their way.
    #[track_caller]
    pub fn assert_within(&self, quotas: f64, bursts: f64) {
        for first in &self.passed {
            let within = self.passed.iter().filter(|passed| passed.asked_ms >= first.asked_ms);
            let mut arrived: Vec<i64> = within.map(|passed| passed.arrived_ms).collect();
            arrived.sort_unstable();
            for (others, last) in arrived.into_iter().enumerate() {
                // Both times are whole milliseconds, rounded down.
                let seconds = (last - first.asked_ms + 1) as f64 / 1000.0;
                let (count, bound) = (others + 1, quotas * RATE * seconds + bursts * BURST);
                assert!(
                    count as f64 <= bound,
                    "{count} within {seconds} s, more than {bound}: {self:?}"
                );
            }
        }
    }

    /// Only what was asked and arrived between these times of the platform's clock.
    pub fn between(&self, from_ms: i64, to_ms: i64) -> Self {
        let is_within = |passed: &&Passed| passed.asked_ms >= from_ms && passed.arrived_ms < to_ms;
        Self {
            passed: self.passed.iter().filter(is_within).copied().collect(),
            ..self.clone()
        }
    }

    /// How many questions reached the platform.
    pub fn passed(&self) -> usize {
        self.passed.len()
    }
}

impl std::fmt::Debug for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flood")
            .field("passed", &self.passed.len())
            .field("took", &self.took)
            .field("asked", &self.asked)
            .field("local", &self.local)
            .finish()
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

/// Gateways, each of them a process of its own.
pub struct Processes {
    pub serving: Vec<Serve>,
    _homes: Vec<Directory>,
}

impl Processes {
    /// Starts so many and waits until they are ready.
    #[track_caller]
    pub fn start(count: usize, settings: &Settings) -> Self {
        let homes: Vec<Directory> = (0..count).map(|_| Directory::new()).collect();
        let start = |home: &Directory| {
            let mut command = binary::command(&["serve", "--config"]);
            command.arg(settings.write(home));
            Serve::start(command)
        };
        Self {
            serving: homes.iter().map(start).collect(),
            _homes: homes,
        }
    }

    pub fn places(&self) -> Vec<Place> {
        let place = |serve: &Serve| Place {
            lan: serve.lan,
            telemetry: serve.telemetry,
        };
        self.serving.iter().map(place).collect()
    }
}

/// Asks every gateway so often, several questions at a time, and on until one has passed: a quick machine is through before
/// a bucket that the last flood emptied holds the next turn.
pub async fn flood(platform: &Platform, places: &[Place], each: usize) -> Flood {
    flood_while(platform, places, each, async {}).await.0
}

/// Asks so, and on until `what` is over.
#[expect(
    clippy::disallowed_methods,
    reason = "a bound against hanging, and a figure beside others"
)]
pub async fn flood_while<T>(
    platform: &Platform,
    places: &[Place],
    each: usize,
    what: impl Future<Output = T>,
) -> (Flood, T) {
    let before = platform.request_count();
    let begin = Instant::now();
    let (passed, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let asking = places.iter().map(|place| {
        let tasks = (0..4).map(|_| {
            let asker = Asker {
                lan: place.lan,
                clock: platform.clock(),
                passed: passed.clone(),
                over: over.clone(),
            };
            tokio::spawn(asker.ask(each / 4))
        });
        futures_util::future::join_all(tasks)
    });
    let what = async {
        let came = what.await;
        over.store(true, Ordering::Relaxed);
        came
    };
    let both = async { tokio::join!(futures_util::future::join_all(asking), what) };
    let (told, came) = tokio::time::timeout(client::PATIENCE, both).await.expect("none passes");
    let took = begin.elapsed();
    let told: Vec<Told> = told.into_iter().flatten().map(Result::unwrap).collect();
    let asked_ms: HashMap<&str, i64> = told
        .iter()
        .flat_map(|told| &told.passed)
        .map(|(mark, asked_ms)| (mark.as_str(), *asked_ms))
        .collect();
    let records = platform.requests();
    let passed = records.iter().filter_map(|record| {
        let asked_ms = *asked_ms.get(record.json()[MARK].as_str()?)?;
        let arrived_ms = record.received_at_ms;
        Some(Passed { asked_ms, arrived_ms })
    });
    let flood = Flood {
        passed: passed.collect(),
        took,
        asked: told.iter().map(|told| told.asked).sum(),
        local: told.iter().map(|told| told.local).sum(),
    };
    let arrived = platform.request_count() - before;
    assert_eq!(
        arrived,
        flood.passed.len() as u64,
        "each that arrived was answered: {flood:?}"
    );
    (flood, came)
}

/// The member of a question by which it is known again at the platform.
const MARK: &str = "studyDateBegin";

/// Questions so far, in all floods; the first is that of [`ask`].
static ASKED: AtomicU32 = AtomicU32::new(1);

/// One of those who ask a gateway.
struct Asker {
    lan: SocketAddr,
    clock: Clock,
    passed: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// What one of them was told.
#[derive(Default)]
struct Told {
    asked: usize,
    local: usize,
    /// Marks of the questions that passed, and when they were asked.
    passed: Vec<(String, i64)>,
}

impl Asker {
    async fn ask(self, count: usize) -> Told {
        let mut told = Told::default();
        while told.asked < count || !self.passed.load(Ordering::Relaxed) || !self.over.load(Ordering::Relaxed) {
            let number = ASKED.fetch_add(1, Ordering::Relaxed);
            let (day, hour, minute, second) = (number / 86_400, number / 3_600 % 24, number / 60 % 60, number % 60);
            let mark = format!("2024-01-{:02} {hour:02}:{minute:02}:{second:02}", day + 1);
            let body = studies_query_with(serde_json::json!({ MARK: &mark }));
            let asked_ms = self.clock.now_ms();
            let answer = client::post(self.lan, STUDIES, &[], body.as_bytes()).await;
            let status = answer.status;
            assert!(matches!(status, 200 | 429), "{status}: {}", answer.text());
            if status == 200 {
                self.passed.store(true, Ordering::Relaxed);
                told.passed.push((mark, asked_ms));
            }
            told.asked += 1;
            told.local += usize::from(is_local(&answer));
        }
        told
    }
}

pub async fn ask(lan: SocketAddr) -> Answer {
    client::post(lan, STUDIES, &[], studies_query().as_bytes()).await
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

#[test]
fn a_flood_is_within_a_quota_if_every_window_of_it_is() {
    let flood = |passed: &[(i64, i64)]| {
        let passed = passed
            .iter()
            .map(|&(asked_ms, arrived_ms)| Passed { asked_ms, arrived_ms });
        let flood = Flood {
            passed: passed.collect(),
            took: Duration::from_secs(10),
            asked: 0,
            local: 0,
        };
        std::panic::catch_unwind(|| flood.assert_within(1.0, 1.0)).is_ok()
    };
    // Twelve at once are the burst, and one more comes each 50 ms.
    let mut passed = vec![(5_000, 5_002); 12];
    assert!(flood(&passed));
    passed.push((5_001, 5_060));
    assert!(flood(&passed));
    // Of ten seconds it is little, and of some milliseconds one too many.
    passed.push((5_001, 5_061));
    assert!(!flood(&passed));
    // Let through before the others, and late on its way: of no window that is shorter.
    *passed.last_mut().unwrap() = (4_000, 5_061);
    assert!(flood(&passed));
}
