//! The proof that an event is durable.

/// Only the inbox makes one, after the commit that made the event durable, and only from one is the platform's
/// success answer made: an event that is not safe cannot be acknowledged.
#[derive(Debug)]
#[must_use = "an event that is durable should be acknowledged"]
pub struct Receipt(());

impl Receipt {
    /// For stores, after their commit.
    pub(super) fn after_commit() -> Self {
        Self(())
    }
}
