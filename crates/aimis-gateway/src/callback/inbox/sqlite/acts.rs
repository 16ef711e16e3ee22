//! What operators did, and what they saw.

use rusqlite::{Connection, params};

use super::read::{millis, timestamp};
use super::writer::Store;
use crate::callback::event::EventId;
use crate::callback::inbox::Act;

/// Bytes of an id.
const ID: usize = 16;

impl Store {
    /// Notes an act.
    pub(super) fn note(&mut self, act: &Act) -> rusqlite::Result<()> {
        let mut events = Vec::with_capacity(act.events.len() * ID);
        for event in &act.events {
            events.extend_from_slice(event.as_bytes());
        }
        self.connection
            .prepare_cached("INSERT INTO acts (at, who, what, events) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![millis(act.at), act.who, act.what, events])?;
        Ok(())
    }
}

/// Acts from behind a number on.
pub(super) fn list(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Vec<(u64, Act)>> {
    connection
        .prepare_cached("SELECT number, at, who, what, events FROM acts WHERE number > ?1 ORDER BY number LIMIT ?2")?
        .query_map(params![after.cast_signed(), limit], |row| {
            let events: Vec<u8> = row.get(4)?;
            let (ids, _) = events.as_chunks::<ID>();
            let act = Act {
                at: timestamp(row.get(1)?),
                who: row.get(2)?,
                what: row.get(3)?,
                events: ids.iter().map(|id| EventId::from_bytes(*id)).collect(),
            };
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), act))
        })?
        .collect()
}
