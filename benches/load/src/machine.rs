//! What a reader of results has to know about the machine; nothing that names it.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::place::run;

/// The facts.
#[derive(Serialize, Deserialize)]
pub struct Machine {
    /// As the kernel calls it.
    pub processor: String,
    /// How many this process may use.
    pub cores: usize,
    /// Its name and version.
    pub kernel: String,
    /// The load over the last minute when the run began: what else was going on.
    pub load: String,
    /// As 2026-01-31.
    pub day: String,
    /// Versions of what was measured, as the programs tell them.
    pub versions: Vec<String>,
}

/// Reads them; `versions` are of the programs that were measured.
///
/// # Errors
/// If a command of the system fails.
pub fn facts(versions: Vec<String>) -> Result<Machine> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(Machine {
        processor: processor.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        kernel: first_line(&run(Command::new("uname").arg("-sr"))?),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        day: first_line(&run(Command::new("date").arg("+%Y-%m-%d"))?),
        versions,
    })
}

/// The first line, without blanks at its ends.
#[must_use]
pub fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
