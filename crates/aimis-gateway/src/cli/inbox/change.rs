//! `inbox redeliver`, `release`, `drop`, `purge`: first shown, and done only with `--yes`.

use std::num::NonZeroU32;

use aimis_core::sign::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::choice::Choice;
use super::store::Store;
use super::when;
use crate::callback::event::EventId;
use crate::callback::inbox::{Filter, Inbox, InboxError, Pace, Run, State, Summary, Touched};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// Every event that the command is for, where nothing else says which.
    #[arg(long)]
    all: bool,
    /// Do it; without this it is only shown what would be done.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct RedeliverArguments {
    #[command(flatten)]
    common: Arguments,
    /// So many become ready in a minute, so that the HIS is not flooded; without it, all at once.
    #[arg(long, value_name = "N")]
    per_minute: Option<NonZeroU32>,
}

/// One of the four.
struct Change {
    /// Its name, also in the notes.
    name: &'static str,
    /// What becomes of events, for a sentence.
    done: &'static str,
    /// States that it can change.
    can: &'static [State],
    /// States that are meant where neither ids nor states are named.
    meant: &'static [State],
    /// Only events that still have their content.
    needs_content: bool,
}

const REDELIVER: Change = Change {
    name: "redeliver",
    done: "put into the queue again",
    can: &[State::Dead, State::Delivered],
    // Delivered ones only where it is said: the HIS has them.
    meant: &[State::Dead],
    needs_content: true,
};

const RELEASE: Change = Change {
    name: "release",
    done: "let out of quarantine",
    can: &[State::Quarantined],
    meant: &[State::Quarantined],
    needs_content: false,
};

const DROP: Change = Change {
    name: "drop",
    done: "removed for good, never to be delivered",
    can: &[State::Quarantined, State::Dead],
    meant: &[State::Quarantined, State::Dead],
    needs_content: false,
};

const PURGE: Change = Change {
    name: "purge",
    done: "forgotten",
    can: &[State::Delivered],
    meant: &[State::Delivered],
    needs_content: false,
};

pub(super) fn redeliver(arguments: &RedeliverArguments) -> Result<(), Failure> {
    let pace = Pace {
        per_minute: arguments.per_minute,
    };
    run(&arguments.common, &REDELIVER, pace, |inbox, filter, run| {
        inbox.redeliver(filter, pace, run)
    })
}

pub(super) fn release(arguments: &Arguments) -> Result<(), Failure> {
    run(arguments, &RELEASE, Pace::default(), |inbox, filter, run| {
        inbox.release(filter, run)
    })
}

pub(super) fn drop(arguments: &Arguments) -> Result<(), Failure> {
    run(arguments, &DROP, Pace::default(), |inbox, filter, run| {
        inbox.remove(filter, run)
    })
}

pub(super) fn purge(arguments: &Arguments) -> Result<(), Failure> {
    run(arguments, &PURGE, Pace::default(), |inbox, filter, run| {
        let (removed, given_back) = (inbox.remove(filter, run), inbox.retain());
        Box::pin(async move {
            let removed = removed.await?;
            if run == Run::Real {
                // Whoever purges wants room on the disk, and now. What is not given back now the gateway gives back.
                let _ = given_back.await;
            }
            Ok(removed)
        })
    })
}

fn run(
    arguments: &Arguments,
    change: &Change,
    pace: Pace,
    ask: impl Fn(&dyn Inbox, Filter, Run) -> BoxFuture<'static, Result<Touched, InboxError>>,
) -> Result<(), Failure> {
    let choice = &arguments.choice;
    if choice.is_everything() && !arguments.all {
        return Err(Failure::Usage(format!(
            "{}: say which events: ids, --tenant, --state, --since, --until, or --all",
            change.name
        )));
    }
    let (ids, states) = (choice.ids()?, choice.states()?);
    if let Some(other) = states.iter().flatten().find(|state| !change.can.contains(state)) {
        let can: Vec<_> = change.can.iter().map(|state| state.as_str()).collect();
        return Err(Failure::Usage(format!(
            "--state: {} is for events that are {}, not {}",
            change.name,
            can.join(" or "),
            other.as_str()
        )));
    }
    let store = Store::open(&arguments.source)?;
    let mut filter = choice.filter(&store)?;
    if filter.states.is_none() {
        let meant = if ids.is_some() { change.can } else { change.meant };
        filter.states = Some(meant.to_vec());
    }
    // What comes while this runs is not meant.
    filter.to = filter
        .to
        .or(Some(Timestamp::from_millis(store.clock.now().as_millis() + 1)));

    let found = Found::of(&store, &filter, change)?;
    let changed = if arguments.yes && !found.fitting.is_empty() {
        store.note(change.name, &found.fitting)?;
        store.ask(|inbox| ask(inbox, filter, Run::Real))?.changed
    } else {
        0
    };
    if arguments.json {
        output::json(&found.json(change, arguments.yes, changed))?;
    } else {
        output::print(&found.text(change, arguments.yes, changed, pace))?;
    }
    let missing = ids.map_or(0, |ids| ids.len().saturating_sub(found.fitting.len()));
    if missing > 0 {
        let can: Vec<_> = change.can.iter().map(|state| state.as_str()).collect();
        let content = if change.needs_content { " with its content" } else { "" };
        return Err(Failure::Problem(format!(
            "{missing} of the ids are of no event that is {}{content}",
            can.join(" or ")
        )));
    }
    Ok(())
}

/// What matches.
#[derive(Default)]
struct Found {
    matched: u64,
    by_state: Vec<(State, u64)>,
    /// Without their content.
    wiped: u64,
    received: Option<(Timestamp, Timestamp)>,
    fitting: Vec<EventId>,
}

impl Found {
    fn of(store: &Store, filter: &Filter, change: &Change) -> Result<Self, Failure> {
        let mut found = Self::default();
        store.each(filter, |page| {
            page.iter().for_each(|event| found.add(event, change));
            Ok(())
        })?;
        Ok(found)
    }

    fn add(&mut self, event: &Summary, change: &Change) {
        self.matched += 1;
        match self.by_state.iter_mut().find(|(state, _)| *state == event.state) {
            Some((_, count)) => *count += 1,
            None => self.by_state.push((event.state, 1)),
        }
        let at = event.received_at;
        let (oldest, newest) = self.received.unwrap_or((at, at));
        self.received = Some((oldest.min(at), newest.max(at)));
        if change.needs_content && event.bytes == 0 {
            self.wiped += 1;
        } else {
            self.fitting.push(event.id);
        }
    }

    fn json(&self, change: &Change, done: bool, changed: u64) -> serde_json::Value {
        let states: serde_json::Map<_, _> = self
            .by_state
            .iter()
            .map(|(state, count)| (state.as_str().to_owned(), json!(count)))
            .collect();
        json!({
            "command": change.name,
            "done": done,
            "matched": self.matched,
            "states": states,
            "without_content": self.wiped,
            "would_change": self.fitting.len(),
            "changed": changed,
            "oldest": self.received.map(|(oldest, _)| when::shown(oldest)),
            "newest": self.received.map(|(_, newest)| when::shown(newest)),
        })
    }

    fn text(&self, change: &Change, done: bool, changed: u64, pace: Pace) -> String {
        if self.matched == 0 {
            return format!("{}: no event matches\n", change.name);
        }
        let states: Vec<String> = self
            .by_state
            .iter()
            .map(|(state, count)| format!("{} {count}", state.as_str()))
            .collect();
        let mut text = format!("{} event(s) match: {}\n", self.matched, states.join(", "));
        if let Some((oldest, newest)) = self.received {
            text += &format!("received from {} to {}\n", when::shown(oldest), when::shown(newest));
        }
        if self.wiped > 0 {
            text += &format!(
                "{} of them cannot be delivered again: their content was wiped (inbox.delivered_body_hours)\n",
                self.wiped
            );
        }
        if let Some(rate) = pace.per_minute {
            let minutes = (self.fitting.len() as u64).div_ceil(u64::from(rate.get()));
            text += &format!("{rate} a minute: over about {minutes} minute(s)\n");
        }
        if done {
            text += &format!("{changed} event(s) {}\n", change.done);
        } else {
            text += &format!(
                "{} event(s) would be {}; nothing was done: repeat with --yes\n",
                self.fitting.len(),
                change.done
            );
        }
        text
    }
}
