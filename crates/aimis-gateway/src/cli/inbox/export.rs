//! `inbox export`: events as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::choice::Choice;
use super::shown;
use super::store::Store;
use crate::callback::event::{EventId, Payload};
use crate::callback::inbox::{InboxError, Shown, Summary};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// File to write, which must not be there yet; readable for its owner alone. Standard output without it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write what is in the events, names and numbers of patients; needs --output. That is noted, with your user, in the
    /// inbox.
    #[arg(long, requires = "output")]
    reveal: bool,
    /// Print how many were written as JSON; only with --output, since the lines are JSON already.
    #[arg(long, requires = "output")]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let store = Store::open(&arguments.source)?;
    let filter = arguments.choice.filter(&store)?;
    let mut file = arguments.output.as_deref().map(create).transpose()?;
    let (mut written, mut unreadable) = (0_u64, 0_u64);
    store.each(&filter, |page| {
        if arguments.reveal {
            let ids: Vec<EventId> = page.iter().map(|event| event.id).collect();
            store.note("export --reveal", &ids)?;
        }
        for event in page {
            let line = if arguments.reveal {
                let Some(line) = revealed(&store, event, &mut unreadable)? else {
                    continue;
                };
                line
            } else {
                zeroize::Zeroizing::new(shown::json(event).to_string().into_bytes())
            };
            written += 1;
            match &mut file {
                Some(file) => write(file, &line)?,
                None => output::line(std::str::from_utf8(&line).expect("JSON is text"))?,
            }
        }
        Ok(())
    })?;
    if let Some(file) = file {
        let file = file.into_inner().map_err(|error| Failure::Problem(error.to_string()))?;
        file.sync_all()?;
    }
    match &arguments.output {
        Some(_) if arguments.json => output::json(&json!({ "events": written, "unreadable": unreadable }))?,
        Some(path) => output::line(&format!("{written} event(s) written to {}", path.display()))?,
        None => {}
    }
    if unreadable > 0 {
        return Err(Failure::Problem(format!(
            "{unreadable} event(s) do not open: see `inbox verify`"
        )));
    }
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Usage(format!(
            "--output: {} is there already, and is left as it is",
            path.display()
        )),
        kind => Failure::Usage(format!("--output: {}: {kind}", path.display())),
    })?;
    Ok(BufWriter::new(file))
}

fn write(file: &mut BufWriter<File>, line: &[u8]) -> Result<(), Failure> {
    file.write_all(line)?;
    file.write_all(b"\n")?;
    Ok(())
}

/// The line of an event with its content; `None` when it is gone by now.
fn revealed(
    store: &Store,
    event: &Summary,
    unreadable: &mut u64,
) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, Failure> {
    let (summary, payload, error) = match store.try_ask(|inbox| inbox.show(event.id)) {
        Ok(Some(Shown { summary, payload })) => (summary, payload, ""),
        Ok(None) => return Ok(None),
        Err(InboxError::Unreadable) => {
            *unreadable += 1;
            (event.clone(), None, ",\"error\":\"unreadable\"")
        }
        Err(error) => return Err(Failure::Problem(format!("inbox: {error}"))),
    };
    if let Some(payload) = &payload {
        store.audit_reveal(&summary, payload)?;
    }
    let head = shown::json(&summary).to_string();
    let payload = payload.as_ref().map_or(&b"null"[..], Payload::as_bytes);
    let members = head.strip_suffix('}').expect("an object ends with a brace");
    let line = [members.as_bytes(), error.as_bytes(), b",\"payload\":", payload, b"}"].concat();
    Ok(Some(zeroize::Zeroizing::new(line)))
}
