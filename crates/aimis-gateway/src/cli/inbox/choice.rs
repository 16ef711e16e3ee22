//! Which events: by id, tenant, state and time of arrival. Never by a person: arguments end up in histories of shells.

use super::store::Store;
use super::when::{self, End};
use crate::callback::event::EventId;
use crate::callback::inbox::{Filter, State};
use crate::cli::output::Failure;

/// Which events.
#[derive(clap::Args)]
pub(super) struct Choice {
    /// Ids of events (evt_…).
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Of this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// In these states: ready, in_flight, retrying, dead, quarantined, delivered.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Received at this moment or later: 2025-01-31, "2025-01-31 08:00:00", or how long ago: 90m, 36h, 3d.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Received before this moment; a day is meant whole.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

impl Choice {
    /// Nothing is said.
    pub(super) fn is_everything(&self) -> bool {
        self.ids.is_empty()
            && self.tenant.is_none()
            && self.state.is_empty()
            && self.since.is_none()
            && self.until.is_none()
    }

    /// Ids that are named, each counted once.
    pub(super) fn ids(&self) -> Result<Option<Vec<EventId>>, Failure> {
        let mut ids = Vec::with_capacity(self.ids.len());
        for text in &self.ids {
            // What it is instead is not repeated: it could be a person's number.
            let id = EventId::parse(text)
                .ok_or_else(|| Failure::Usage("ID: not an event's id, which is evt_ and 32 hex digits".to_owned()))?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.len() > MOST_IDS {
            return Err(Failure::Usage(format!(
                "ID: more than {MOST_IDS}; choose by --since and --until"
            )));
        }
        Ok((!ids.is_empty()).then_some(ids))
    }

    /// States that are named.
    pub(super) fn states(&self) -> Result<Option<Vec<State>>, Failure> {
        let known = |name: &String| {
            let found = State::ALL.iter().copied().find(|state| state.as_str() == name);
            found.ok_or_else(|| {
                let all: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
                Failure::Usage(format!("--state: no such state; there are: {}", all.join(", ")))
            })
        };
        let states = self.state.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        Ok((!states.is_empty()).then_some(states))
    }

    /// All of it together.
    pub(super) fn filter(&self, store: &Store) -> Result<Filter, Failure> {
        let now = store.clock.now();
        let moment = |text: &Option<String>, end| text.as_deref().map(|text| when::read(text, end, now)).transpose();
        Ok(Filter {
            ids: self.ids()?,
            tenant: self.tenant.as_deref().map(|name| store.tenant(name)).transpose()?,
            states: self.states()?,
            from: moment(&self.since, End::Since)?,
            to: moment(&self.until, End::Until)?,
        })
    }
}

/// Ids in one command.
const MOST_IDS: usize = 1_000;
