//! How much room there is: what arrivals may fill of `inbox.max_bytes`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::session::{Fault, Session};

/// Bytes that an event takes beside its payload: its rows, and its places in nine indexes.
const EVENT_BYTES: u64 = 2048;

/// A count of what is used, looked up every so often and counted on in between. Files of the database do not become
/// smaller when rows go, and take new ones in their stead: so rows are counted and not files.
pub(super) struct Room {
    limit: u64,
    used: AtomicU64,
}

impl Room {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            // The rest is for noting what became of events.
            limit: max_bytes - max_bytes / 16,
            used: AtomicU64::new(0),
        }
    }

    /// Whether a payload of so many bytes has room; if so, it is taken.
    pub(super) fn take(&self, payload: u64) -> bool {
        let needed = payload + EVENT_BYTES;
        let fits = self.used.load(Ordering::Relaxed) + needed <= self.limit;
        if fits {
            self.used.fetch_add(needed, Ordering::Relaxed);
        }
        fits
    }

    /// Looks how much is used, by all gateways together.
    pub(super) async fn look(&self, session: &mut Session) -> Result<(), Fault> {
        let sql = "SELECT coalesce(sum(items), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM tally";
        let row = session.one(sql, &[]).await?;
        let (items, bytes) = (row.get::<_, i64>(0).unsigned_abs(), row.get::<_, i64>(1).unsigned_abs());
        self.used.store(items * EVENT_BYTES + bytes, Ordering::Relaxed);
        Ok(())
    }
}
