//! `inbox list`, `show`, `stats`, `acts`: looking, without changing anything.

use serde_json::{Value, json};

use super::choice::Choice;
use super::store::Store;
use super::{shown, when};
use crate::callback::event::EventId;
use crate::callback::inbox::{Act, Filter, InboxError, Shown, Stats};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct ListArguments {
    #[command(flatten)]
    source: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// Most events to list.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Begin behind this event: the last one of the list before.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let after = arguments.after.as_deref().map(|text| id(text, "--after")).transpose()?;
    let store = Store::open(&arguments.source)?;
    let filter = arguments.choice.filter(&store)?;
    let limit = arguments.limit as usize;
    let mut events = store.ask(|inbox| inbox.list(filter, after, limit + 1))?;
    let more = events.len() > limit;
    events.truncate(limit);
    if arguments.json {
        let events: Vec<Value> = events.iter().map(shown::json).collect();
        return output::json(&json!({ "events": events, "more": more }));
    }
    if events.is_empty() {
        return output::line("no events");
    }
    output::print(&shown::table(&events))?;
    match events.last().filter(|_| more) {
        Some(last) => output::line(&format!("there are more: --after {}", last.id)),
        None => Ok(()),
    }
}

#[derive(clap::Args)]
pub(in crate::cli) struct ShowArguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Show what is in it, names and numbers of a patient. That is noted, with your user, in the inbox.
    #[arg(long)]
    reveal: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Id of the event (evt_…).
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let id = id(&arguments.id, "ID")?;
    let store = Store::open(&arguments.source)?;
    let filter = Filter {
        ids: Some(vec![id]),
        ..Filter::default()
    };
    let found = store.ask(|inbox| inbox.list(filter, None, 1))?;
    let gone = || Failure::Problem(format!("{id}: no such event; it may have been removed since"));
    let summary = found.first().ok_or_else(gone)?;
    if !arguments.reveal {
        return if arguments.json {
            output::json(&shown::json(summary))
        } else {
            output::print(&shown::lines(summary))
        };
    }
    store.note("show --reveal", &[id])?;
    let opened = store.try_ask(|inbox| inbox.show(id)).map_err(|error| match error {
        InboxError::Unreadable => Failure::Problem(format!("{id}: the payload does not open: it was damaged")),
        other => Failure::Problem(format!("inbox: {other}")),
    })?;
    let Shown { summary, payload } = opened.ok_or_else(gone)?;
    if let Some(payload) = &payload {
        store.audit_reveal(&summary, payload)?;
    }
    let text = match &payload {
        Some(payload) => std::str::from_utf8(payload.as_bytes())
            .map_err(|_| Failure::Problem(format!("{id}: what is kept is no text")))?,
        None => "null",
    };
    if arguments.json {
        let mut line = shown::json(&summary).to_string();
        line.pop();
        return output::line(&format!("{line},\"payload\":{text}}}"));
    }
    output::print(&shown::lines(&summary))?;
    output::line(match payload {
        Some(_) => text,
        None => "the content was wiped: it was delivered, and is kept for inbox.delivered_body_hours",
    })
}

#[derive(clap::Args)]
pub(in crate::cli) struct StatsArguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn stats(arguments: &StatsArguments) -> Result<(), Failure> {
    let store = Store::open(&arguments.source)?;
    let stats = store.ask(|inbox| inbox.stats())?;
    if arguments.json {
        output::json(&stats_json(&stats))
    } else {
        output::print(&stats_text(&stats))
    }
}

fn stats_json(stats: &Stats) -> Value {
    let items = stats.items.iter();
    let items: Vec<Value> = items
        .map(|(tenant, state, count)| json!({ "tenant": tenant.as_str(), "state": state.as_str(), "events": count }))
        .collect();
    let keys = stats.keys.iter();
    let keys: Vec<Value> = keys.map(|(id, events)| json!({ "id": id, "events": events })).collect();
    let parked: Vec<&str> = stats.parked.iter().map(|tenant| tenant.as_str()).collect();
    json!({
        "items": items,
        "oldest": stats.oldest.map(when::shown),
        "disk_bytes": stats.disk_bytes,
        "disk_limit": stats.disk_limit,
        "quarantine_bytes": stats.quarantine_bytes,
        "keys": keys,
        "parked": parked,
    })
}

fn stats_text(stats: &Stats) -> String {
    let mut rows = vec![["tenant", "state", "events"].map(str::to_owned)];
    let counted = stats.items.iter().filter(|(.., count)| *count > 0);
    rows.extend(
        counted
            .map(|(tenant, state, count)| [tenant.as_str().to_owned(), state.as_str().to_owned(), count.to_string()]),
    );
    let mut text = if rows.len() == 1 {
        "no events\n".to_owned()
    } else {
        shown::columns(rows)
    };
    if let Some(oldest) = stats.oldest {
        text += &format!("oldest still to be delivered: {}\n", when::shown(oldest));
    }
    let share = stats.disk_bytes.saturating_mul(100) / stats.disk_limit.max(1);
    text += &format!("disk: {} of {} bytes ({share} %)\n", stats.disk_bytes, stats.disk_limit);
    if stats.quarantine_bytes > 0 {
        text += &format!("quarantine: {} bytes\n", stats.quarantine_bytes);
    }
    for (id, events) in &stats.keys {
        text += &format!("key {id}: {events} event(s)\n");
    }
    for tenant in &stats.parked {
        text += &format!("parked: {} (aimis-gateway inbox resume {0})\n", tenant.as_str());
    }
    text
}

#[derive(clap::Args)]
pub(in crate::cli) struct ActsArguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Most acts to show, from the oldest on.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Begin behind this act: the last number of the list before.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// Print JSON, which names every event.
    #[arg(long)]
    json: bool,
}

pub(super) fn acts(arguments: &ActsArguments) -> Result<(), Failure> {
    let store = Store::open(&arguments.source)?;
    let acts = store.ask(|inbox| inbox.acts(arguments.after, arguments.limit as usize))?;
    if arguments.json {
        let acts: Vec<Value> = acts.iter().map(act_json).collect();
        return output::json(&json!({ "acts": acts }));
    }
    if acts.is_empty() {
        return output::line("no acts");
    }
    let mut rows = vec![["number", "at", "who", "what", "events"].map(str::to_owned)];
    rows.extend(acts.into_iter().map(|(number, act)| {
        let events = match act.events.as_slice() {
            [] => "-".to_owned(),
            [only] => only.to_string(),
            many => many.len().to_string(),
        };
        [number.to_string(), when::shown(act.at), act.who, act.what, events]
    }));
    output::print(&shown::columns(rows))
}

fn act_json((number, act): &(u64, Act)) -> Value {
    let events: Vec<String> = act.events.iter().map(ToString::to_string).collect();
    json!({ "number": number, "at": when::shown(act.at), "who": act.who, "what": act.what, "events": events })
}

fn id(text: &str, option: &str) -> Result<EventId, Failure> {
    // What it is instead is not repeated: it could be a person's number.
    EventId::parse(text)
        .ok_or_else(|| Failure::Usage(format!("{option}: not an event's id, which is evt_ and 32 hex digits")))
}
