//! What operators do to events and see of them: kept with the events, for whoever asks later who did.

use aimis_core::sign::Timestamp;

use crate::callback::event::EventId;

/// What somebody did to events, or saw of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who: the user of the system, or of the console.
    pub who: String,
    /// What: `reveal`, `redeliver`, …
    pub what: String,
    /// To which events; none for what is about a tenant as a whole.
    pub events: Vec<EventId>,
}
