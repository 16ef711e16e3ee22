//! One measurement of one peer: CPU time, latency, memory, system calls, start.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aimis_bench::clock;
use aimis_bench::held::Held;
use aimis_bench::place::{Place, free_port, run};
use aimis_bench::processes::Program;
use aimis_bench::question::{Form, Patients, Questions};
use aimis_bench::wire;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::peers::{Peer, Setting};

/// A peer that runs, and how it is asked.
pub(crate) struct Subject<'a> {
    pub(crate) peer: &'static Peer,
    /// What it prints.
    log: PathBuf,
    program: Program,
    port: u16,
    place: &'a Place,
    load_cores: String,
    answer: usize,
    same: bool,
    /// The next patient nobody has asked for.
    next: u32,
}

/// How long a peer may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests on one connection under which system calls are counted.
const TRACED: u32 = 2_000;

impl<'a> Subject<'a> {
    /// Starts a peer, waits until it answers, and tells how long that took from its start.
    pub(crate) fn start(
        peer: &'static Peer,
        setting: &Setting,
        answer: usize,
        place: &'a Place,
    ) -> Result<(Self, Duration)> {
        let setting = Setting {
            port: free_port()?,
            ..*setting
        };
        let command = peer.prepare(&setting, place)?;
        let (cores, load_cores) = place.cores(setting.workers);
        let log = place.file(&format!("{}-{}.log", setting.port, peer.name));
        let begin = clock::moment();
        let mut subject = Self {
            peer,
            log: log.clone(),
            program: Program::start(&cores, &command, &log)?,
            port: setting.port,
            place,
            load_cores,
            answer,
            same: setting.cache,
            next: 0,
        };
        while subject.ask_once().is_err() {
            if !subject.program.runs() || begin.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{} does not answer\n{said}", peer.name);
            }
            clock::wait(Duration::from_micros(200));
        }
        let took = begin.elapsed();
        Ok((subject, took))
    }

    fn form(&self) -> Form {
        if self.peer.does_the_job {
            Form::Clear
        } else {
            Form::Protected
        }
    }

    fn ask_once(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut request = Vec::new();
        Questions::new(self.form(), Patients::Same, u32::MAX, 0, 1).write(&mut request);
        stream.write_all(&request)?;
        let (mut answer, mut part) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = stream.read(&mut part)?;
            ensure!(read > 0, "closed");
            answer.extend_from_slice(&part[..read]);
            if let Some(message) = wire::message(&answer).map_err(anyhow::Error::msg)? {
                ensure!(message.body.starts_with(br#"{"code":0,"#), "no success");
                return Ok(());
            }
        }
    }

    /// Waits until so many have been written.
    pub(crate) fn has_written(&self, what: &str, many: usize, count: fn(&Self) -> Result<usize>) -> Result<()> {
        let begin = clock::moment();
        while count(self)? < many {
            ensure!(begin.elapsed() < PATIENCE, "fewer than {many} {what} were written");
            clock::wait(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Lines about requests that it has printed.
    pub(crate) fn lines(&self) -> Result<usize> {
        lines_with(&self.log, "\"event.name\":\"request\"")
    }

    fn trail(&self) -> PathBuf {
        self.place.file(&format!("{}-audit", self.port))
    }

    /// Ends it, and removes what it has recorded.
    pub(crate) fn end(self) -> Result<()> {
        let trail = self.trail();
        drop(self);
        if trail.exists() {
            std::fs::remove_dir_all(trail)?;
        }
        Ok(())
    }

    /// Records in its audit trail.
    pub(crate) fn records(&self) -> Result<usize> {
        let mut records = 0;
        for file in std::fs::read_dir(self.trail())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                records += lines_with(&path, "\"kind\":\"lookup\"")?;
            }
        }
        Ok(records)
    }

    /// CPU time a request in microseconds, over so many of them.
    pub(crate) fn cpu(&mut self, requests: u32) -> Result<f64> {
        let before = self.program.cpu_us();
        self.load(&["--requests", &requests.to_string()], requests)?;
        let us = self.program.cpu_us() - before;
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
        Ok(us as f64 / f64::from(requests))
    }

    /// What a caller waits at a fixed rate, in microseconds: at the median, and at the 99th of 100.
    pub(crate) fn latency(&mut self, requests: u32) -> Result<(f64, f64)> {
        let seen = self.load(&["--requests", &requests.to_string(), "--rate", "1000"], requests)?;
        let at = |name: &str| seen[name].as_f64().context("a latency");
        Ok((at("p50_us")?, at("p99_us")?))
    }

    /// Memory in MiB.
    pub(crate) fn memory(&self) -> f64 {
        self.program.memory_mib()
    }

    /// Memory in MiB while so many connections are open.
    pub(crate) fn memory_with(&mut self, connections: u32) -> Result<f64> {
        let mut command = self.load_command(&["--hold", "--connections", &connections.to_string()], connections);
        let failed = || format!("{}: {connections} connections cannot be held", self.peer.name);
        let held = Held::start(&mut command).with_context(failed)?;
        let memory = self.memory();
        held.end().with_context(failed)?;
        Ok(memory)
    }

    /// System calls a request on one connection.
    pub(crate) fn system_calls(&mut self) -> Result<f64> {
        let report = self.place.file("strace.txt");
        let mut strace = Command::new("strace");
        strace.args(["-c", "-f", "-o"]).arg(&report);
        for pid in self.program.processes() {
            strace.args(["-p", &pid.to_string()]);
        }
        let mut strace = strace
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("strace")?;
        // It tells when it is attached, one line a process; then the requests can begin.
        let mut line = String::new();
        let mut told = BufReader::new(strace.stderr.take().context("a pipe")?);
        for _ in self.program.processes() {
            told.read_line(&mut line)?;
        }
        self.load(&["--requests", &TRACED.to_string(), "--connections", "1"], TRACED)?;
        run(Command::new("kill").args(["-INT", &strace.id().to_string()]))?;
        // Read on, so that it is not held up telling that it let go.
        told.read_to_string(&mut line)?;
        strace.wait()?;
        let text = std::fs::read_to_string(&report)?;
        Ok(f64::from(total_calls(&text).context("strace counted nothing")?) / f64::from(TRACED))
    }

    fn load(&mut self, more: &[&str], requests: u32) -> Result<Value> {
        let printed = run(&mut self.load_command(more, requests)).with_context(|| self.peer.name)?;
        serde_json::from_str(&printed).context("what the load prints")
    }

    fn load_command(&mut self, more: &[&str], requests: u32) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.load_cores]).arg(self.place.companion("load"));
        let numbers = [
            ("--port", u64::from(self.port)),
            ("--answer", self.answer as u64),
            ("--first", self.next.into()),
        ];
        for (name, number) in numbers {
            command.args([name, &number.to_string()]);
        }
        if !self.peer.does_the_job {
            command.arg("--protected");
        }
        if self.same {
            command.arg("--same");
        } else {
            self.next += requests;
        }
        command.args(more);
        command
    }
}

fn lines_with(file: &Path, what: &str) -> Result<usize> {
    let mut count = 0;
    for line in BufReader::new(File::open(file)?).lines() {
        count += usize::from(line?.contains(what));
    }
    Ok(count)
}

/// The calls in the last line of `strace -c`: `100.00 0.123 5 12000 3 total`.
fn total_calls(report: &str) -> Option<u32> {
    let line = report.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_strace_is_read() {
        let report = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 60.00    0.030000           5      6000           read
------ ----------- ----------- --------- --------- ------------------
100.00    0.050000           4     12034        21 total
";
        assert_eq!(total_calls(report), Some(12034));
        assert_eq!(total_calls(""), None);
    }
}
