//! Questions: with quotas and a cache of the gateway's own, and with those that gateways share.

use std::path::Path;

use aimis_bench::place::Place;
use aimis_bench::results::Row;
use aimis_bench::upstream::Upstream;
use anyhow::{Result, ensure};

use crate::gateways::{Gateway, Load, key};
use crate::redis::{Counts, Redis};
use crate::table::{ALONE, SHARED};
use crate::{Arguments, note, tell};

/// Bytes of an answer.
const ANSWER: usize = 4 << 10;
/// Questions that may reach the platform where all are answered from the cache: those that met when the kept answer ended.
const FIRST: u64 = 2 * crate::gateways::MANY as u64;

/// What a question needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Quotas; nothing is kept.
    Quotas,
    /// Quotas and a look-up, and its answer is kept.
    Miss,
    /// The look-up only.
    Hit,
}

impl Case {
    const ALL: [Self; 3] = [Self::Quotas, Self::Miss, Self::Hit];

    fn name(self) -> &'static str {
        match self {
            Self::Quotas => "nothing kept",
            Self::Miss => "asked and kept",
            Self::Hit => "answered from what is kept",
        }
    }
}

/// Measures all cases in turn, round by round.
pub(crate) fn measure(arguments: &Arguments, place: &Place, redis: &Path) -> Result<Vec<Row>> {
    let upstream = Upstream::start(ANSWER, false, 1, place)?;
    let redis = Redis::start(redis, place)?;
    let store_key = key(place, "scale-store.key")?;
    // What is kept goes soon, so that memory stays as it is; heartbeats are not to be among the calls. A stall of the machine
    // shows in latency and does not end the run.
    let cache = |enabled| format!("[cache]\nenabled = {enabled}\nstale_if_error_s = 0\n");
    let store = |prefix| {
        format!(
            "[store]\nredis_url = \"redis://127.0.0.1:{}\"\nprefix = \"{prefix}\"\ntimeout_ms = 10000\nheartbeat_ms = 60000\n",
            redis.port
        )
    };
    let start = |name, sections: String| Gateway::start(name, &sections, upstream.port, false, place);
    let mut gateways = [
        [
            start("scale-quotas-alone", cache(false))?,
            start("scale-quotas-shared", cache(false) + &store("quotas"))?,
        ],
        [
            start("scale-cache-alone", cache(true))?,
            start(
                "scale-cache-shared",
                format!("{}{}key_file = \"{store_key}\"\n", cache(true), store("cache")),
            )?,
        ],
    ];
    // Connections, scripts and the data key are there, and code is warm.
    for gateway in gateways.iter_mut().flatten() {
        gateway.asked(Load::Full, arguments.requests / 10 + 100, false)?;
    }
    let mut rows = Vec::new();
    for round in 0..arguments.rounds {
        for turn in 0..Case::ALL.len() {
            let case = Case::ALL[(round + turn) % Case::ALL.len()];
            let pair = &mut gateways[usize::from(case != Case::Quotas)];
            for turn in 0..2 {
                // Each is the first of two as often as the other.
                let which = (round + turn) % 2;
                let subject = (case, [ALONE, SHARED][which]);
                one(arguments, subject, &mut pair[which], &upstream, &redis, &mut rows)?;
            }
        }
        tell(&format!("questions: round {} of {}", round + 1, arguments.rounds));
    }
    rows.sort_by_key(|row| Case::ALL.iter().position(|case| row.title.starts_with(case.name())));
    Ok(rows)
}

fn one(
    arguments: &Arguments,
    (case, name): (Case, &str),
    gateway: &mut Gateway<'_>,
    upstream: &Upstream,
    redis: &Redis,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let same = case == Case::Hit;
    if same {
        gateway.asked(Load::One, 1, true)?;
    }
    for load in [Load::One, Load::Rate, Load::Full] {
        let (asked, stored) = (upstream.counts()?, redis.counts()?);
        let seen = gateway.asked(load, arguments.requests, same)?;
        let (asked_then, stored_then) = (upstream.counts()?, redis.counts()?);
        let count = u64::from(load.of(arguments.requests));
        let reached = asked_then.answered - asked.answered;
        let expected = if same { 0 } else { count };
        ensure!(asked_then.refused == asked.refused, "the platform refused");
        ensure!(
            (expected..=expected + FIRST).contains(&reached),
            "{name}, {}: {reached} questions reached the platform, not {expected}",
            case.name()
        );
        let mut note = |what: &str, unit, of, sample| note(rows, &format!("{}: {what}", case.name()), unit, of, sample);
        match load {
            Load::One => {
                note("one connection, median", "us", name, seen.p50_us);
                note("one connection, p99", "us", name, seen.p99_us);
            }
            Load::Rate => {
                note("64 connections, 1,000/s, median", "us", name, seen.p50_us);
                note("64 connections, 1,000/s, p99", "us", name, seen.p99_us);
                note("CPU of the gateway at 1,000/s", "us a question", name, seen.gateway_us);
            }
            Load::Full => {
                let what = "CPU of the gateway, 64 connections, as fast as it goes";
                note(what, "us a question", name, seen.gateway_us);
            }
        }
        if name == SHARED {
            let of = |value: fn(&Counts) -> f64| (value(&stored_then) - value(&stored)) / count as f64;
            match load {
                Load::One => {}
                Load::Rate => note("CPU of Redis at 1,000/s", "us a question", name, of(|it| it.cpu_us)),
                Load::Full => {
                    let what = "CPU of Redis, 64 connections, as fast as it goes";
                    note(what, "us a question", name, of(|it| it.cpu_us));
                    note("calls of Redis", "a question", name, of(|it| it.calls));
                    note("commands in them", "a question", name, of(|it| it.commands));
                    note("bytes to and from Redis", "a question", name, of(|it| it.bytes));
                }
            }
        }
    }
    let fallbacks = gateway.metrics()?;
    let fell = fallbacks
        .lines()
        .any(|line| line.starts_with("aimis_store_fallbacks_total{") && !line.ends_with(" 0"));
    ensure!(!fell, "{name}, {}: the store did not answer in time", case.name());
    Ok(())
}
