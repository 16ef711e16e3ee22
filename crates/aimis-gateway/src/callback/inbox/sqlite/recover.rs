//! A start behind a crash: what the gateway before had in its hands.

use rusqlite::{Connection, ErrorCode};

use super::read::millis;
use super::room::reuse_log;
use crate::clock::Clock;

/// Recovers also on a disk that others filled: queries are answered all the same, and what is in the inbox leaves it.
pub(super) fn recover_within_room(connection: &Connection, clock: &Clock) -> rusqlite::Result<()> {
    let is_full = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    match recover(connection, clock) {
        Err(error) if is_full(&error) => {
            // The log can be written anew once it is in the database.
            match reuse_log(connection).and_then(|()| recover(connection, clock)) {
                // Then leases of before run out in their time.
                Err(error) if is_full(&error) => Ok(()),
                recovered => recovered,
            }
        }
        recovered => recovered,
    }
}

/// What the gateway before us had leased is up again, at once.
///
/// If the clock is behind what events know, somebody set it back while nobody looked (a machine that boots with a wrong
/// clock does): then what is due moves with it, as it does while a gateway runs, or it would wait for as long.
fn recover(connection: &Connection, clock: &Clock) -> rusqlite::Result<()> {
    let now = millis(clock.now());
    let last: Option<i64> =
        connection.query_row("SELECT max(since) FROM events WHERE state < 3", [], |row| row.get(0))?;
    if let Some(behind) = last.map(|last| last - now).filter(|behind| *behind > 0) {
        connection.execute(
            "UPDATE events SET due_at = max(due_at - ?1, 0), since = min(since, ?2) WHERE state < 3",
            [behind, now],
        )?;
    }
    connection.execute("UPDATE events SET due_at = ?1 WHERE state = 1 AND due_at > ?1", [now])?;
    // Nor has anything to wait longer than it was told to, if the clock was ahead then.
    connection.execute(
        "UPDATE events SET due_at = ?1 WHERE state < 3 AND due_at > ?1 + 48 * 3600000",
        [now],
    )?;
    Ok(())
}
