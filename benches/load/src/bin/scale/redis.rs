//! A Redis or Valkey of the bench's own, and what it counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use aimis_bench::clock;
use aimis_bench::place::{Place, free_port};
use aimis_bench::processes::{Program, exact_cpu_us};
use anyhow::{Context, Result, ensure};

/// The server; gone when dropped.
pub(crate) struct Redis {
    pub(crate) port: u16,
    program: Program,
}

/// What it counted so far.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// CPU time in microseconds.
    pub(crate) cpu_us: f64,
    /// Calls of scripts: each is a round trip, and what gateways do is nothing else.
    pub(crate) calls: f64,
    /// Commands that the scripts gave.
    pub(crate) commands: f64,
    /// Bytes that came and went.
    pub(crate) bytes: f64,
}

impl Redis {
    /// Without persistence, with room for all that is kept here.
    pub(crate) fn start(program: &Path, place: &Place) -> Result<Self> {
        let port = free_port()?;
        let mut command = vec![program.display().to_string()];
        let port_text = port.to_string();
        let directory = place.directory.display().to_string();
        let words = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory",
            "1gb",
            "--maxmemory-policy",
            "volatile-ttl",
            "--dir",
            &directory,
        ];
        command.extend(words.map(str::to_owned));
        // It stands for another machine, so it is where the load is.
        let program = Program::start(&place.cores(1).1, &command, &place.file("redis.log"))?;
        let redis = Self { port, program };
        for _ in 0..500 {
            if redis.info("server").is_ok() {
                return Ok(redis);
            }
            clock::wait(Duration::from_millis(10));
        }
        redis.info("server").context("Redis does not answer")?;
        Ok(redis)
    }

    /// Its counts.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let (commands, stats) = (self.info("commandstats")?, self.info("stats")?);
        let mut counts = Counts {
            cpu_us: exact_cpu_us(&self.program.processes()),
            calls: 0.0,
            commands: 0.0,
            bytes: 0.0,
        };
        for (name, calls) in commands.lines().filter_map(command) {
            match name {
                "eval" | "evalsha" => counts.calls += calls,
                _ => counts.commands += calls,
            }
        }
        for line in stats.lines() {
            let value = ["total_net_input_bytes:", "total_net_output_bytes:"]
                .iter()
                .find_map(|name| line.strip_prefix(name));
            counts.bytes += value.map_or(Ok(0.0), str::parse)?;
        }
        Ok(counts)
    }

    fn info(&self, section: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "INFO {section}\r\n")?;
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        answer.read_line(&mut head)?;
        let length = head.strip_prefix('$').context("no text")?.trim().parse()?;
        let mut text = vec![0; length];
        answer.read_exact(&mut text)?;
        ensure!(text.starts_with(b"#"), "no section {section}");
        Ok(String::from_utf8(text)?)
    }
}

/// A line of `INFO commandstats`: `cmdstat_get:calls=7,usec=...`.
fn command(line: &str) -> Option<(&str, f64)> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    Some((name, rest.split(',').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_command_statistics_is_read() {
        let line = "cmdstat_evalsha:calls=120,usec=3080,usec_per_call=25.67,rejected_calls=0,failed_calls=0";
        assert_eq!(command(line), Some(("evalsha", 120.0)));
        assert_eq!(command("# Commandstats"), None);
    }
}
