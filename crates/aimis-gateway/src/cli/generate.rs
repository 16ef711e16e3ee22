//! `gen`: files made from the command line's own description.

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::output::{self, Failure};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Shell completions: aimis-gateway gen completions bash > /etc/bash_completion.d/aimis-gateway
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// The reference of every setting, in Markdown (docs/configuration.md).
    ConfigurationReference,
    /// The platform's business codes and their classes (config/codes.toml).
    Codes,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut super::Arguments::command(), "aimis-gateway", &mut text);
            output::print(&String::from_utf8_lossy(&text))
        }
        Command::ConfigurationReference => output::print(&crate::config::markdown()),
        Command::Codes => output::print(&aimis_core::codes::to_toml()),
    }
}
