//! `inbox verify`: whether the inbox is sound, and every event in it opens.

use serde_json::json;

use super::store::Store;
use crate::callback::inbox::Verdict;
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let store = match Store::try_open(&arguments.source)? {
        Ok(store) => store,
        // Just what this command is asked for.
        Err(error) if error.is_unsound() => {
            if arguments.json {
                output::json(&json!({ "ok": false, "faults": [error.to_string()] }))?;
            }
            return Err(Failure::Problem(error.to_string()));
        }
        Err(error) if error.is_outside() => return Err(Failure::Problem(error.to_string())),
        Err(error) => return Err(Failure::Config(error.to_string())),
    };
    let verdict = store.ask(|inbox| inbox.verify())?;
    let sound = verdict.broken.is_empty() && verdict.faults.is_empty();
    if arguments.json {
        output::json(&as_json(&verdict, sound))?;
    } else {
        output::print(&as_text(&verdict))?;
    }
    if sound {
        return Ok(());
    }
    Err(Failure::Problem(
        "the inbox is damaged: keep a copy of its files, and restore a backup or drop the events named above"
            .to_owned(),
    ))
}

fn as_json(verdict: &Verdict, sound: bool) -> serde_json::Value {
    let broken: Vec<String> = verdict.broken.iter().map(ToString::to_string).collect();
    json!({
        "ok": sound,
        "events": verdict.events,
        "opened": verdict.opened,
        "broken": broken,
        "faults": verdict.faults,
    })
}

fn as_text(verdict: &Verdict) -> String {
    let wiped = verdict.events - verdict.opened.min(verdict.events);
    let mut text = format!("{} event(s) read, {} opened", verdict.events, verdict.opened);
    match (verdict.broken.is_empty(), wiped) {
        (true, 1..) => text += &format!(", {wiped} without content any more\n"),
        _ => text.push('\n'),
    }
    for id in &verdict.broken {
        text += &format!("{id} does not open: its content was damaged\n");
    }
    for fault in &verdict.faults {
        text += &format!("fault: {fault}\n");
    }
    text
}
