//! Whether the database owes a commit: so whoever has waited too long learns what for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::session::Fault;

/// Whether a commit is under way at a database that takes connections, or was given up and none was confirmed since. Such a
/// database may answer all else, as while its synchronous standby is away.
#[derive(Clone, Debug, Default)]
pub(super) struct Committing(Arc<AtomicBool>);

impl Committing {
    pub(super) fn set(&self, owed: bool) {
        self.0.store(owed, Ordering::Release);
    }

    /// What it is that took too long.
    pub(super) fn late(&self) -> Fault {
        if self.0.load(Ordering::Acquire) {
            Fault::Unconfirmed
        } else {
            Fault::Late
        }
    }
}
