//! `cargo xtask bench peers`: what a request costs, here and with others, measured in turn.
//!
//! The method is in docs/performance.md. A run prints its table and writes `benches/results/<name>.json`; `--write`
//! puts the table of such a file into the document.

mod measure;
mod peers;
mod scenarios;
mod table;
mod template;

use std::path::PathBuf;

use aimis_bench::place::Place;
use anyhow::{Context, Result};
use clap::Parser;

use scenarios::Run;

/// What `cargo xtask bench peers` takes.
#[derive(Clone, Parser)]
#[command(name = "cargo xtask bench peers")]
pub(crate) struct Arguments {
    /// Counted requests of each peer in each round; fewer than 40000 are for trying only.
    #[arg(long, default_value_t = 40_000)]
    requests: u32,
    /// Rounds; in each every peer has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Peers, by name; all that are installed if none is named. nginx always runs, ratios are to it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only the rows that count most, beside nginx, nginx doing the job and bare hyper: eight minutes.
    #[arg(long)]
    quick: bool,
    /// Parts to measure; all if none is named.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<scenarios::Part>,
    /// What the results file is called.
    #[arg(long, default_value = "latest")]
    name: String,
    /// The gateway to measure.
    #[arg(long, default_value = "target/release/aimis-gateway")]
    gateway: PathBuf,
    /// Measure nothing: print the table of the results file.
    #[arg(long)]
    table: bool,
    /// Measure nothing: write the table of the results file into docs/performance.md.
    #[arg(long)]
    write: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse().expanded();
    let path = PathBuf::from(format!("benches/results/{}.json", arguments.name));
    if arguments.table || arguments.write {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = table::of(&serde_json::from_str(&text)?);
        return if arguments.write {
            table::write(&table)
        } else {
            tell(&table)
        };
    }
    let place = Place::new(&arguments.gateway)?;
    let results = Run::new(arguments, place)?.all()?;
    std::fs::create_dir_all("benches/results")?;
    std::fs::write(&path, serde_json::to_string_pretty(&results)? + "\n")?;
    tell(&table::of(&results))?;
    tell(&format!("written to {}", path.display()))
}

impl Arguments {
    /// With what `--quick` stands for; what is named beside it holds.
    fn expanded(mut self) -> Self {
        if self.quick && self.parts.is_empty() {
            self.parts = scenarios::QUICK.to_vec();
        }
        if self.quick && self.only.is_empty() {
            self.only = peers::QUICK.map(str::to_owned).to_vec();
        }
        self
    }
}

#[expect(clippy::print_stdout, reason = "a command line tool")]
#[expect(clippy::unnecessary_wraps, reason = "the last thing that main does")]
fn tell(text: &str) -> Result<()> {
    println!("{text}");
    Ok(())
}
