//! What a reader of results has to know about the machine; nothing that names it.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::place::{Place, installed, run};

/// The facts.
#[derive(Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// The load over the last minute when the run began: what else was going on.
    pub(crate) load: String,
    pub(crate) day: String,
    /// Versions of the peers, as they tell them.
    pub(crate) versions: Vec<String>,
}

/// Reads them.
pub(crate) fn facts(place: &Place) -> Result<Machine> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let gateway = run(Command::new(&place.gateway).arg("--version"))?;
    let mut versions = vec![first_line(&gateway)];
    for (program, argument) in [("nginx", "-v"), ("haproxy", "-v")] {
        let Some(path) = installed(program) else { continue };
        let output = Command::new(path).arg(argument).output()?;
        // nginx tells its version on standard error.
        let text = [output.stdout, output.stderr].concat();
        versions.push(first_line(&String::from_utf8_lossy(&text)));
    }
    if let Some(envoy) = crate::peers::envoy(place) {
        let text = run(Command::new(envoy).arg("--version"))?;
        let version = text
            .trim()
            .rsplit_once("version: ")
            .map_or(text.trim(), |(_, version)| version);
        versions.push(format!("envoy {version}"));
    }
    Ok(Machine {
        processor: processor.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        kernel: first_line(&run(Command::new("uname").arg("-sr"))?),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        day: first_line(&run(Command::new("date").arg("+%Y-%m-%d"))?),
        versions,
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
