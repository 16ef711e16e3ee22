//! Values as the database has them.

use aimis_core::sign::Timestamp;
use tokio_postgres::Row;

use super::session::Fault;
use crate::callback::event::Verified;
use crate::callback::inbox::State;

/// A state as the store has it.
pub(super) fn state(number: i16) -> Result<State, Fault> {
    let state = usize::try_from(number).ok().and_then(|number| State::ALL.get(number));
    state.copied().ok_or(Fault::Row)
}

/// What is known of a signature, as the store has it; of an unknown number, nothing good.
pub(super) fn verified(number: i16) -> Verified {
    let known = usize::try_from(number)
        .ok()
        .and_then(|number| Verified::ALL.get(number));
    known.copied().unwrap_or(Verified::Unsigned)
}

/// A moment as the store has it.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A moment for the store.
pub(super) fn millis(timestamp: Timestamp) -> i64 {
    i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX)
}

/// Sixteen bytes: a tag, or an id.
pub(super) fn tag(row: &Row, column: usize) -> Result<[u8; 16], Fault> {
    row.get::<_, &[u8]>(column).try_into().map_err(|_| Fault::Row)
}

/// The number of the lock on a study, or on a signature: half a tag. Two that share it wait for each other, and no more.
pub(super) fn lock_key(tag: &[u8; 16]) -> i64 {
    let [half, _] = tag.as_chunks::<8>().0 else { return 0 };
    i64::from_be_bytes(*half)
}
