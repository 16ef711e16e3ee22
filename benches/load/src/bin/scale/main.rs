//! `cargo xtask bench scale`: what it costs that gateways share, beside one by itself, and what it costs that there is much of
//! something, measured in turn.
//!
//! The method is in docs/scaling.md. A run prints its table and writes `benches/results/<name>.json`; with `--write` it
//! puts the table into the document as well.

mod callbacks;
mod gateways;
#[path = "../../../../../tests/it/support/postgres.rs"]
mod postgres;
mod questions;
mod redis;
mod size;
mod table;

use std::path::PathBuf;
use std::process::Command;

use aimis_bench::machine::{self, first_line};
use aimis_bench::place::{Place, installed, run};
use aimis_bench::results::{Results, Row};
use anyhow::{Context, Result};
use clap::Parser;

/// What `cargo xtask bench scale` takes.
#[derive(Clone, Parser)]
#[command(name = "cargo xtask bench scale")]
pub(crate) struct Arguments {
    /// Questions of a measurement, four times as many where it is as fast as it goes, five times those again where few are compared with many; half as many callbacks. Fewer than
    /// 1000 are for trying only.
    #[arg(long, default_value_t = 1_000)]
    requests: u32,
    /// Rounds; in each all that is compared has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What the results file is called.
    #[arg(long, default_value = "scale")]
    name: String,
    /// The gateway to measure.
    #[arg(long, default_value = "target/release/aimis-gateway")]
    gateway: PathBuf,
    /// The Redis or Valkey to measure with.
    #[arg(long)]
    redis: Option<PathBuf>,
    /// Measure nothing: take the results file as it is.
    #[arg(long)]
    table: bool,
    /// Write the table into docs/scaling.md.
    #[arg(long)]
    write: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let path = PathBuf::from(format!("benches/results/{}.json", arguments.name));
    let results = if arguments.table {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)?
    } else {
        let results = measure(&arguments)?;
        std::fs::create_dir_all("benches/results")?;
        std::fs::write(&path, serde_json::to_string_pretty(&results)? + "\n")?;
        tell(&format!("written to {}", path.display()));
        results
    };
    let table = table::of(&results);
    tell(&table);
    if arguments.write {
        table::write(&table)?;
    }
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Results> {
    let place = Place::new(&arguments.gateway)?;
    let named = arguments.redis.clone().or_else(|| installed("redis-server"));
    let redis = named.context("redis-server is not installed")?;
    let gateway = run(Command::new(&place.gateway).arg("--version"))?;
    let version = run(Command::new(&redis).arg("--version"))?;
    let database = postgres::Server::new("", &[]);
    let postgresql = database.sql("postgres", "SHOW server_version");
    let versions = vec![
        first_line(&gateway),
        first_line(&version),
        format!("PostgreSQL {postgresql}"),
    ];
    // Read before there is a load of our own.
    let machine = machine::facts(versions)?;
    let mut rows = questions::measure(arguments, &place, &redis)?;
    rows.extend(callbacks::measure(arguments, &place, &database)?);
    rows.extend(size::measure(arguments, &place)?);
    Ok(Results {
        machine,
        requests: arguments.requests,
        rounds: arguments.rounds,
        rows,
        left_out: Vec::new(),
    })
}

/// Adds a sample to the row of this title, which is made if there is none.
fn note(rows: &mut Vec<Row>, title: &str, unit: &str, of: &str, sample: f64) {
    if !rows.iter().any(|row| row.title == title) {
        rows.push(Row::new(title, unit));
    }
    for row in rows.iter_mut().filter(|row| row.title == title) {
        row.add(of, sample);
    }
}

#[expect(clippy::print_stdout, reason = "a command line tool")]
fn tell(text: &str) {
    println!("{text}");
}
