//! `config`: what is in force, and what could be.

use clap::Subcommand;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::config::{self, Format};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the effective configuration: every key, its value, where the value comes from. Secrets are left out.
    Print {
        #[command(flatten)]
        source: ConfigArguments,
        /// Print JSON instead of TOML.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the configuration file, for editors and templating tools.
    Schema {
        /// Accepted for symmetry: a schema is JSON in any case.
        #[arg(long)]
        json: bool,
    },
    /// Print a file with every key, its unit, default and meaning.
    Full,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Print { source, json } => {
            let format = if *json { Format::Json } else { Format::Toml };
            output::print(&source.load()?.print(format))
        }
        Command::Schema { json: _ } => output::json(&config::schema()),
        Command::Full => output::print(&config::full_toml()),
    }
}
