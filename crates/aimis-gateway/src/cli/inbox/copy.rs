//! `inbox copy`: the whole inbox from a file into the database, or back.

use std::path::PathBuf;
use std::sync::Arc;

use aimis_core::codes::Codes;
use serde_json::json;

use crate::callback::inbox::sqlite::KeyFiles;
use crate::callback::inbox::{Copied, CopyError, Parts, Way, copy, postgres};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Copy from this file into the database that the configuration names.
    #[arg(long, value_name = "FILE", conflicts_with = "to", required_unless_present = "to")]
    from: Option<PathBuf>,
    /// Copy from that database into this file, which is made.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.source.load()?.config.inbox;
    let Some(database) = postgres::Settings::of(&config) else {
        return Err(Failure::Config(
            "inbox.database_url is not set: an inbox is copied between a file and the database of the configuration"
                .to_owned(),
        ));
    };
    let way = match (&arguments.from, &arguments.to) {
        (Some(file), _) => Way::FromFile(file.clone()),
        (None, Some(file)) => Way::ToFile(file.clone()),
        (None, None) => return Err(Failure::Usage("say --from FILE or --to FILE".to_owned())),
    };
    let parts = || {
        let metrics = Arc::clone(&Metrics::new(&[], &[], &Codes::builtin()).inbox);
        Parts::of_command(Clock::system(), metrics)
    };
    let copied = copy(way, (&config).into(), database, &KeyFiles::from(&config), parts);
    let copied = copied.map_err(|error| match error {
        CopyError::File(_) | CopyError::Database(_) => Failure::Config(error.to_string()),
        _ => Failure::Problem(error.to_string()),
    })?;
    if arguments.json {
        output::json(&json!({
            "events": copied.events,
            "with_content": copied.payloads,
            "bytes": copied.bytes,
            "signatures": copied.signatures,
            "acts": copied.acts,
        }))
    } else {
        output::print(&text(&copied))
    }
}

fn text(copied: &Copied) -> String {
    format!(
        "{} event(s) copied, {} of them with their content ({} bytes, sealed), {} remembered signature(s), {} note(s) of \
         what operators did; all of it was read again and compared\nthe source is as it was: keep it until the copy has \
         been in use, and never let gateways work on both\n",
        copied.events, copied.payloads, copied.bytes, copied.signatures, copied.acts
    )
}
