//! What a process uses, how long its answers take, and the table of both.

use std::fs;
use std::time::{Duration, Instant};

/// What a process uses, as the kernel counts it.
pub(super) struct Usage {
    /// Bytes of memory, now.
    pub(super) resident: u64,
    /// The most it ever was.
    pub(super) most_resident: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    /// Processor time, in its user's part and the system's.
    pub(super) processor: Duration,
}

impl Usage {
    pub(super) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let kibibytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // Behind the name, which may hold anything: state is the third field, user and system time 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Self {
            resident: kibibytes("VmRSS:") << 10,
            most_resident: kibibytes("VmHWM:") << 10,
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as u64,
            // 100 a second on every Linux that we run on.
            processor: Duration::from_millis(ticks * 10),
        }
    }
}

/// How long answers took.
#[derive(Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Awaits `answer`, and takes its time in.
    #[expect(clippy::disallowed_methods, reason = "a figure that is printed, not judged")]
    pub(super) async fn of(&mut self, answer: impl Future<Output = ()>) {
        let begin = Instant::now();
        answer.await;
        self.0.push(begin.elapsed());
    }

    pub(super) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    fn told(&mut self) -> String {
        self.0.sort_unstable();
        let at = |share: usize| {
            let index = (self.0.len() * share / 100).min(self.0.len().saturating_sub(1));
            self.0.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        format!("p50 {:.2} ms, p99 {:.2} ms of {}", at(50), at(99), self.0.len())
    }
}

/// What one run found.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) alone: Latencies,
    pub(super) beside: Latencies,
    /// Bytes that connections took that never sent a byte, all of them together.
    pub(super) silent: u64,
    /// Bytes that they took behind an answer to some of them.
    pub(super) asked: u64,
    /// Bytes, at the worst moment.
    pub(super) most: u64,
    /// Processor time beside the slow clients.
    pub(super) processor: Duration,
}

impl Figures {
    #[expect(clippy::print_stdout, reason = "for whoever repeats the measurement")]
    pub(super) fn print(&mut self) {
        let silent = self.silent / super::IDLE as u64;
        let asked = silent + self.asked.saturating_sub(self.silent) / super::ASKED as u64;
        println!("answers alone:             {}", self.alone.told());
        println!("answers beside the crowd:  {}", self.beside.told());
        println!("idle, never asked:         {silent} bytes each");
        println!("idle, after an answer:     {asked} bytes each");
        println!("most memory:               {} MiB", self.most >> 20);
        println!("processor beside the slow: {:?}", self.processor);
    }
}
