//! A program under measurement: all of its processes, and what the process table tells about them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::place::run;

/// A running program; dropping it ends it.
pub struct Program(Child);

impl Program {
    /// Starts `command` on `cores`, with its output in the file `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(cores: &str, command: &[String], log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", cores])
            .args(command)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .with_context(|| format!("cannot start {}", command.join(" ")))?;
        Ok(Self(child))
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Its own number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Itself and all that it started.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        family(self.0.id())
    }

    /// CPU time of all of them so far, user and system, in microseconds. The table counts hundredths of a second: a
    /// hundredth in the half second that even the quickest needs for 40000 requests.
    #[must_use]
    pub fn cpu_us(&self) -> u64 {
        let ticks: u64 = self
            .processes()
            .into_iter()
            .filter_map(stat)
            .flat_map(|fields| [11, 12].map(|at| fields.get(at).and_then(|field| field.parse::<u64>().ok())))
            .flatten()
            .sum();
        ticks * 10_000
    }

    /// Memory of all of them in MiB; a page that several share counts once.
    #[must_use]
    pub fn memory_mib(&self) -> f64 {
        let kib: u32 = self
            .processes()
            .into_iter()
            .filter_map(|pid| {
                let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
                let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
                line.trim().strip_suffix("kB")?.trim().parse::<u32>().ok()
            })
            .sum();
        f64::from(kib) / 1024.0
    }
}

/// A process and all that it started.
#[must_use]
pub fn family(first: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = pid.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![first];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        all.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    all
}

/// CPU time of processes so far, user and system, in microseconds, by the scheduler's own count: exact, without what threads
/// used that have ended.
#[must_use]
pub fn exact_cpu_us(processes: &[u32]) -> f64 {
    let threads = processes.iter().flat_map(|pid| {
        let threads = fs::read_dir(format!("/proc/{pid}/task"));
        threads.into_iter().flatten().flatten()
    });
    let ns = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    ns.sum::<f64>() / 1e3
}

/// The fields of `/proc/PID/stat` behind the program's name, which may hold anything: the state is the first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked first, so that a master takes its workers along; what does not listen is killed below.
        let pids = self.processes();
        let _ = run(Command::new("kill").arg(self.0.id().to_string()));
        for _ in 0..50 {
            if !self.runs() {
                break;
            }
            crate::clock::wait(std::time::Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
        for pid in pids.into_iter().skip(1).filter(|pid| stat(*pid).is_some()) {
            let _ = run(Command::new("kill").args(["-9", &pid.to_string()]));
        }
    }
}
