//! `audit`: whether the audit trail is as it was written, and who looked at a patient; beside a running gateway or
//! without one.
//!
//! | file | is about |
//! |---|---|
//! | `verify` | every file, every line, and the end |
//! | `find` | records by a number on standard input, which is kept nowhere |

mod find;
mod verify;

use super::output::Failure;
use super::sources::ConfigArguments;
use crate::audit::Keys;
use crate::config;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Read all files: finds records that were changed, added, removed, moved or cut off, and says where.
    Verify(verify::Arguments),
    /// Show who looked at a patient, whose identity number or telephone is read from standard input.
    Find(find::Arguments),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Verify(arguments) => verify::run(arguments),
        Command::Find(arguments) => find::run(arguments),
    }
}

/// The trail of a configuration, to be read.
fn opened(source: &ConfigArguments) -> Result<(config::Audit, Keys), Failure> {
    let none = "there is no audit trail: the configuration has no [audit] table";
    let settings = source
        .load()?
        .config
        .audit
        .ok_or_else(|| Failure::Config(none.to_owned()))?;
    if !settings.path.is_dir() {
        let path = crate::secrets::in_full(&settings.path);
        let path = path.display();
        return Err(Failure::Problem(format!(
            "audit.path: {path}: no such directory; nothing has been recorded"
        )));
    }
    let keys = Keys::read(&settings, false).map_err(|error| Failure::Config(format!("audit: {error}")))?;
    Ok((settings, keys))
}
