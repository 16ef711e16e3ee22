//! `inbox`: what is kept of callbacks, and what an operator does about it; beside a running gateway or without one.
//!
//! What is printed names events, tenants and times, never a person. `--reveal` shows contents, and is noted in the
//! inbox with who asked and for which events before anything is shown; so is everything that changes events.
//!
//! | file | is about |
//! |---|---|
//! | `store` | opening the inbox of a configuration, and who asks |
//! | `choice` | which events |
//! | `when` | moments as they are typed and printed |
//! | `shown` | an event as it is printed |
//! | `look` | `list`, `show`, `stats`, `acts` |
//! | `change` | `redeliver`, `release`, `drop`, `purge`: first shown, then done |
//! | `park` | `park`, `resume` |
//! | `export` | everything, line by line |
//! | `copy` | the whole of it from a file into a database, or back |
//! | `verify` | whether all of it is sound |

mod change;
mod choice;
mod copy;
mod export;
mod look;
mod park;
mod shown;
mod store;
mod verify;
pub(super) mod when;

use super::output::Failure;

pub(super) use shown::columns;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List events, oldest first, without what is in them.
    List(look::ListArguments),
    /// Show one event; what is in it only with --reveal.
    Show(look::ShowArguments),
    /// Put dead events, or delivered ones, into the queue again; only shows how many without --yes.
    Redeliver(change::RedeliverArguments),
    /// Let events out of quarantine, to be delivered; only shows how many without --yes.
    Release(change::Arguments),
    /// Remove events from quarantine, or dead ones, for good; only shows how many without --yes.
    Drop(change::Arguments),
    /// Forget delivered events before their time; only shows how many without --yes. A callback that comes again is
    /// then delivered again.
    Purge(change::Arguments),
    /// Suspend the delivery to a tenant; its events wait.
    Park(park::Arguments),
    /// Take up the delivery to a tenant again, also after its HIS answered 410.
    Resume(park::Arguments),
    /// Write events as JSON lines; what is in them only with --reveal.
    Export(export::Arguments),
    /// Show how many events there are, and how much room they take.
    Stats(look::StatsArguments),
    /// Read everything and open every event: finds damage, and keys that are missing.
    Verify(verify::Arguments),
    /// Copy the whole inbox from a file into a database, or back, while no gateway works on either.
    Copy(copy::Arguments),
    /// Show who changed events here, or looked into them.
    Acts(look::ActsArguments),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => look::list(arguments),
        Command::Show(arguments) => look::show(arguments),
        Command::Redeliver(arguments) => change::redeliver(arguments),
        Command::Release(arguments) => change::release(arguments),
        Command::Drop(arguments) => change::drop(arguments),
        Command::Purge(arguments) => change::purge(arguments),
        Command::Park(arguments) => park::park(arguments),
        Command::Resume(arguments) => park::resume(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Stats(arguments) => look::stats(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Copy(arguments) => copy::run(arguments),
        Command::Acts(arguments) => look::acts(arguments),
    }
}
