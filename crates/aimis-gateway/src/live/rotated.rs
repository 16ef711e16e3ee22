//! What the log tells of a key that took another's place.

use crate::audit;
use crate::callback::inbox::Rekeyed;

/// A key of the gateway's own took another's place. Keys are named by their ids.
#[derive(Clone, Copy, Debug)]
pub enum Rotated {
    /// That of the audit trail.
    Audit {
        /// The key that was in force.
        before: audit::KeyId,
        /// The key that is.
        now: audit::KeyId,
    },
    /// That of the inbox.
    Inbox(Rekeyed),
}

impl Rotated {
    /// The line of the configuration that names its file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Audit { .. } => "audit.key_file",
            Self::Inbox(_) => "inbox.key_file",
        }
    }
}
