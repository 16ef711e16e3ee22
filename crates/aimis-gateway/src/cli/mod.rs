//! The command line: one file a command.
//!
//! Results go to standard output, complaints to standard error. Exit status: 0 fine, 1 a problem found,
//! 2 wrong usage, 69 cannot bind, 78 bad configuration.

mod admin_client;
mod audit;
mod cache;
mod check;
mod check_security;
mod client_key;
mod config;
mod crypto;
mod demo;
mod doctor;
mod explain;
mod generate;
mod healthcheck;
mod inbox;
mod output;
mod selftest;
mod serve;
mod simulate;
mod sources;
mod switches;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::hardening;

/// Gateway between a hospital information system and the imaging platform.
///
/// The HIS sends plaintext JSON to this gateway on its LAN; the gateway encrypts the personal fields, signs,
/// forwards to the platform and relays the answer byte for byte.
#[derive(Parser)]
#[command(name = "aimis-gateway", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start with: aimis-gateway demo\n\
Exit status: 0 fine, 1 a problem found, 2 wrong usage, 69 cannot bind, 78 bad configuration.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C.
    Serve(serve::Arguments),
    /// Check configuration and the files it names; sends nothing, opens no listener.
    Check(check::Arguments),
    /// Show the effective configuration, or its schema.
    #[command(subcommand)]
    Config(config::Command),
    /// Walk the way to the platform step by step, and say what to do; asks one question about a made-up person.
    Doctor(doctor::Arguments),
    /// Show what would be sent for a body, masked; sends nothing.
    Explain(explain::Arguments),
    /// Sign an appId and a timestamp, to compare with what the platform expects.
    Sign(crypto::SignArguments),
    /// Encrypt the value on standard input as a personal field.
    Encrypt(crypto::FieldArguments),
    /// Decrypt the field on standard input.
    Decrypt(crypto::FieldArguments),
    /// Look into the inbox of callbacks, and act on what is in it; also while the gateway runs.
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Verify the audit trail, and find who looked at a patient; also while the gateway runs.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Keys of the clients that may ask.
    #[command(subcommand)]
    ClientKey(client_key::Command),
    /// Compute the golden vectors, and show each tenant's under its switches.
    Selftest(selftest::Arguments),
    /// What a running gateway keeps of the platform's answers, and dropping it.
    #[command(subcommand)]
    Cache(cache::Command),
    /// Run a platform and a HIS of made-up patients, to test against.
    Simulate(simulate::Arguments),
    /// Run simulator and gateway, and show a query and a callback step by step.
    Demo(demo::Arguments),
    /// Ask a running gateway whether it lives (for containers without curl).
    Healthcheck(healthcheck::Arguments),
    /// Write files made from the program itself: shell completions, references.
    #[command(subcommand)]
    Gen(generate::Command),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is the reader's choice. Help and version are no error: clap's code says so.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // Every command may hold a token or a patient's data. `serve` tells if it failed.
    let private = hardening::keep_private();
    hardening::quiet_panics();
    let result = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, private),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Sign(arguments) => crypto::sign(&arguments),
        Command::Encrypt(arguments) => crypto::encrypt(&arguments),
        Command::Decrypt(arguments) => crypto::decrypt(&arguments),
        Command::Inbox(command) => inbox::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::ClientKey(command) => client_key::run(&command),
        Command::Selftest(arguments) => selftest::run(&arguments),
        Command::Cache(command) => cache::run(&command),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Gen(command) => generate::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Clap looks at a command only when it is run, and then only in debug builds.
    #[test]
    fn every_command_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
