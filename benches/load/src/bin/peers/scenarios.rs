//! The parts of a run, each with the rows it gives the table.

use aimis_bench::machine;
use aimis_bench::place::Place;
use aimis_bench::results::{Results, Row};
use aimis_bench::upstream::Upstream;
use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::measure::Subject;
use crate::peers::{MEASURE, PEERS, Peer, Setting};
use crate::{Arguments, tell};

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// 4 KB answers from a plain upstream: the row that counts most.
    Plain,
    /// The same from a TLS 1.3 upstream.
    Tls,
    /// The same question again and again, answered from a cache.
    Hit,
    /// 64 KB answers.
    Large,
    /// The first again with a line a request.
    Log,
    /// What the gateway's line a request and its record in the audit trail cost beside none.
    Records,
    /// The first again with two workers.
    Workers,
    /// Latency at 1,000 requests a second.
    Latency,
    /// Memory: idle, after load, with 5,000 idle connections.
    Memory,
    /// System calls a request on one connection.
    Calls,
    /// From the start of the process to its first answer.
    Start,
}

/// What `--quick` measures.
pub(crate) const QUICK: &[Part] = &[Part::Plain, Part::Tls, Part::Hit, Part::Large];

/// A run of all parts that are asked for.
pub(crate) struct Run {
    arguments: Arguments,
    place: Place,
    results: Results,
}

const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;
const CPU: &str = "us of CPU a request";
/// Connections that do nothing.
const IDLE: u32 = 5_000;
/// Questions that may still reach the platform where all are answered from a cache: those that met in its first moment.
const FIRST: u64 = 64;

const PLAIN: Setting = Setting {
    port: 0,
    upstream: 0,
    workers: 1,
    tls: false,
    cache: false,
    log: false,
    audit: false,
};

impl Run {
    pub(crate) fn new(arguments: Arguments, place: Place) -> Result<Self> {
        let results = Results {
            machine: machine::facts(crate::peers::versions(&place)?)?,
            requests: arguments.requests,
            rounds: arguments.rounds,
            rows: Vec::new(),
            left_out: Vec::new(),
        };
        Ok(Self {
            arguments,
            place,
            results,
        })
    }

    /// Measures it all.
    pub(crate) fn all(mut self) -> Result<Results> {
        for peer in PEERS {
            if !peer.is_here(&self.place) {
                self.leave_out(format!("{}: not installed", peer.name))?;
            }
        }
        for part in Part::value_variants() {
            if self.arguments.parts.is_empty() || self.arguments.parts.contains(part) {
                // An error leaves no row, and takes no other row along.
                if let Err(error) = self.part(*part) {
                    self.leave_out(format!("{part:?}: {error:#}"))?;
                }
            }
        }
        Ok(self.results)
    }

    fn part(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Plain => self.cpu("plain upstream, 4 KB", SMALL, PLAIN),
            Part::Tls => self.cpu("TLS 1.3 upstream, 4 KB", SMALL, Setting { tls: true, ..PLAIN }),
            Part::Hit => self.cpu("cached hit, 4 KB", SMALL, Setting { cache: true, ..PLAIN }),
            Part::Large => self.cpu("plain upstream, 64 KB", LARGE, PLAIN),
            Part::Log => self.cpu(
                "plain upstream, 4 KB, a line a request",
                SMALL,
                Setting { log: true, ..PLAIN },
            ),
            Part::Records => self.records(),
            Part::Workers => self.cpu(
                "plain upstream, 4 KB, 2 workers",
                SMALL,
                Setting { workers: 2, ..PLAIN },
            ),
            Part::Latency => self.latency(),
            Part::Memory => self.memory(),
            Part::Calls => self.calls(),
            Part::Start => self.start(),
        }
    }

    fn cpu(&mut self, title: &str, answer: usize, setting: Setting) -> Result<()> {
        let upstream = Upstream::start(answer, setting.tls, setting.workers, &self.place)?;
        let setting = Setting {
            upstream: upstream.port,
            ..setting
        };
        let mut row = Row::new(title, CPU);
        let place = &self.place;
        let mut subjects = Vec::new();
        for peer in self.peers(|peer| (peer.caches || !setting.cache) && (peer.logs || !setting.log)) {
            subjects.push(Subject::start(peer, &setting, answer, place)?.0);
        }
        let mut without_cache = Vec::new();
        for subject in &mut subjects {
            let before = upstream.counts()?.answered;
            // Caches filled, connections made, code warm.
            subject.cpu(self.arguments.requests / 10 + 100)?;
            if setting.cache && upstream.counts()?.answered - before > FIRST {
                without_cache.push(subject.peer.name);
            }
        }
        subjects.retain(|subject| !without_cache.contains(&subject.peer.name));
        for round in 1..=self.arguments.rounds {
            for subject in &mut subjects {
                let before = upstream.counts()?;
                let us = subject.cpu(self.arguments.requests)?;
                let after = upstream.counts()?;
                let asked = after.answered - before.answered;
                let expected = if setting.cache {
                    0
                } else {
                    u64::from(self.arguments.requests)
                };
                ensure!(
                    after.refused == before.refused,
                    "{}: the platform refused",
                    subject.peer.name
                );
                ensure!(
                    asked >= expected && asked <= expected + FIRST,
                    "{}: {asked} questions reached the platform, not {expected}",
                    subject.peer.name
                );
                row.add(subject.peer.name, us);
                tell(&format!("{title}: round {round}, {}: {us:.1} us", subject.peer.name))?;
            }
        }
        drop(subjects);
        self.results.rows.push(row);
        for name in without_cache {
            self.leave_out(format!("{title}: {name}: does not answer from a cache"))?;
        }
        Ok(())
    }

    fn records(&mut self) -> Result<()> {
        let upstream = Upstream::start(SMALL, false, 1, &self.place)?;
        let requests = self.arguments.requests;
        let warm = requests / 10 + 100;
        let mut row = Row::new("plain upstream, 4 KB, the gateway's lines and records", CPU);
        let mut subjects = Vec::new();
        for (name, log, audit) in [
            ("gateway", false, false),
            ("a line", true, false),
            ("a line and a record", true, true),
        ] {
            let setting = Setting {
                upstream: upstream.port,
                log,
                audit,
                ..PLAIN
            };
            let mut subject = Subject::start(&PEERS[0], &setting, SMALL, &self.place)?.0;
            subject.cpu(warm)?;
            subjects.push((name, subject));
        }
        for round in 1..=self.arguments.rounds {
            for (name, subject) in &mut subjects {
                let us = subject.cpu(requests)?;
                row.add(name, us);
                tell(&format!("lines and records: round {round}, {name}: {us:.1} us"))?;
            }
            // Who comes first is another each time.
            subjects.rotate_left(1);
        }
        // One more is whoever waited for the first answer.
        let asked = self.arguments.rounds * requests as usize + warm as usize + 1;
        for (name, subject) in subjects {
            if name != "gateway" {
                subject.has_written("lines", asked, Subject::lines)?;
            }
            if name == "a line and a record" {
                subject.has_written("records", asked, Subject::records)?;
            }
            subject.end()?;
        }
        ensure!(upstream.counts()?.refused == 0, "the platform refused");
        self.results.rows.push(row);
        Ok(())
    }

    fn latency(&mut self) -> Result<()> {
        let upstream = Upstream::start(SMALL, false, 1, &self.place)?;
        let setting = Setting {
            upstream: upstream.port,
            ..PLAIN
        };
        let mut p50 = Row::new("latency at 1,000/s, p50", "us");
        let mut p99 = Row::new("latency at 1,000/s, p99", "us");
        let requests = self.arguments.requests / 8;
        for round in 1..=self.arguments.rounds {
            for peer in self.peers(|_| true) {
                let (mut subject, _) = Subject::start(peer, &setting, SMALL, &self.place)?;
                subject.cpu(1_000)?;
                let (median, tail) = subject.latency(requests)?;
                p50.add(peer.name, median);
                p99.add(peer.name, tail);
                tell(&format!(
                    "latency: round {round}, {}: p50 {median:.0} us, p99 {tail:.0} us",
                    peer.name
                ))?;
            }
        }
        ensure!(upstream.counts()?.refused == 0, "the platform refused");
        self.results.rows.extend([p50, p99]);
        Ok(())
    }

    fn memory(&mut self) -> Result<()> {
        let upstream = Upstream::start(SMALL, false, 1, &self.place)?;
        let setting = Setting {
            upstream: upstream.port,
            ..PLAIN
        };
        let mut rows = ["memory, idle", "memory, after load", "memory, 5,000 idle connections"]
            .map(|title| Row::new(title, "MiB"));
        for round in 1..=self.arguments.rounds {
            for peer in self.peers(|_| true) {
                let (mut subject, _) = Subject::start(peer, &setting, SMALL, &self.place)?;
                rows[0].add(peer.name, subject.memory());
                subject.cpu(self.arguments.requests)?;
                rows[1].add(peer.name, subject.memory());
                rows[2].add(peer.name, subject.memory_with(IDLE)?);
                tell(&format!("memory: round {round}, {}", peer.name))?;
            }
        }
        self.results.rows.extend(rows);
        Ok(())
    }

    fn calls(&mut self) -> Result<()> {
        let upstream = Upstream::start(SMALL, false, 1, &self.place)?;
        let setting = Setting {
            upstream: upstream.port,
            ..PLAIN
        };
        let mut row = Row::new("system calls a request, one connection", "calls");
        for round in 1..=self.arguments.rounds {
            for peer in self.peers(|_| true) {
                let (mut subject, _) = Subject::start(peer, &setting, SMALL, &self.place)?;
                subject.cpu(500)?;
                row.add(peer.name, subject.system_calls()?);
                tell(&format!("system calls: round {round}, {}", peer.name))?;
            }
        }
        self.results.rows.push(row);
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let upstream = Upstream::start(SMALL, false, 1, &self.place)?;
        let setting = Setting {
            upstream: upstream.port,
            ..PLAIN
        };
        let mut row = Row::new("first answer after start", "ms");
        for _ in 0..self.arguments.rounds {
            for peer in self.peers(|_| true) {
                let (_, took) = Subject::start(peer, &setting, SMALL, &self.place)?;
                row.add(peer.name, took.as_secs_f64() * 1e3);
            }
        }
        tell("first answers")?;
        self.results.rows.push(row);
        Ok(())
    }

    /// Those who take part in a row.
    fn peers(&self, can: impl Fn(&Peer) -> bool) -> Vec<&'static Peer> {
        let only = &self.arguments.only;
        let asked = |peer: &Peer| only.is_empty() || peer.name == MEASURE || only.iter().any(|name| name == peer.name);
        PEERS
            .iter()
            .filter(|peer| asked(peer) && can(peer) && peer.is_here(&self.place))
            .collect()
    }

    fn leave_out(&mut self, what: String) -> Result<()> {
        tell(&format!("left out: {what}"))?;
        self.results.left_out.push(what);
        Ok(())
    }
}
