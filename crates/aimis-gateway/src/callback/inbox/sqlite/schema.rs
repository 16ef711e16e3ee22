//! The tables, and how a database of an earlier version comes to have them.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{OpenError, Role};

/// One step a version: `MIGRATIONS[n]` makes version `n + 1` of version `n`. A step that was released never changes.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// States are numbers here (`State::index`): 0 ready, 1 in flight, 2 retrying, 3 dead, 4 quarantined, 5 delivered. So
/// `state < 3` means "still to be delivered". Moments are milliseconds since 1970.
const VERSION_1: &str = "
-- The number that the next arrival, or the next event that is queued anew, gets.
CREATE TABLE sequence (next INTEGER NOT NULL);
INSERT INTO sequence VALUES (1);

-- `tag_key`: the key of all tags, sealed.
CREATE TABLE meta (name TEXT PRIMARY KEY, key INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;

-- Sealing keys that rows name. `rows` is kept by triggers, so that a start need not read every row.
CREATE TABLE keys (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, rows INTEGER NOT NULL DEFAULT 0);

CREATE TABLE tenants (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, parked INTEGER NOT NULL DEFAULT 0);

CREATE TABLE events (
  seq INTEGER PRIMARY KEY,            -- order of arrival
  id BLOB NOT NULL UNIQUE,
  tenant INTEGER NOT NULL,
  study BLOB NOT NULL,
  identity BLOB NOT NULL,
  body BLOB NOT NULL,
  state INTEGER NOT NULL,
  verified INTEGER NOT NULL,
  reason TEXT,
  received_at INTEGER NOT NULL,
  since INTEGER NOT NULL,             -- when the state began
  queued_at INTEGER NOT NULL,         -- when it last became ready
  due_at INTEGER NOT NULL,            -- when it may be leased; in flight: when the lease ends
  place INTEGER NOT NULL,             -- order of delivery within the study
  head INTEGER NOT NULL,              -- 1: the first of its study that is still to be delivered
  attempts INTEGER NOT NULL DEFAULT 0,
  leases INTEGER NOT NULL DEFAULT 0,  -- the number of the last lease
  bytes INTEGER NOT NULL,             -- of the sealed payload; 0 once wiped
  UNIQUE (identity, body)
);
CREATE INDEX studies ON events (study, place) WHERE state < 3;
CREATE INDEX due ON events (tenant, due_at, place) WHERE head = 1;
CREATE INDEX waiting ON events (queued_at) WHERE state < 3;
CREATE INDEX delivered ON events (bytes > 0, since) WHERE state = 5;

-- Apart from the events, so that a change of state does not write a payload again.
CREATE TABLE payloads (seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE TRIGGER payload_in AFTER INSERT ON payloads BEGIN
  UPDATE keys SET rows = rows + 1 WHERE number = new.key;
END;
CREATE TRIGGER payload_out AFTER DELETE ON payloads BEGIN
  UPDATE keys SET rows = rows - 1 WHERE number = old.key;
END;

-- Which bodies came under which signature.
CREATE TABLE signatures (
  triple BLOB NOT NULL, body BLOB NOT NULL, first_at INTEGER NOT NULL, forget_at INTEGER NOT NULL,
  PRIMARY KEY (triple, body)
) WITHOUT ROWID;
CREATE INDEX forgotten ON signatures (forget_at);

-- How many events are where: read for the metrics, kept by triggers.
CREATE TABLE tally (
  tenant INTEGER NOT NULL, state INTEGER NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (tenant, state)
) WITHOUT ROWID;
CREATE TRIGGER event_in AFTER INSERT ON events BEGIN
  INSERT INTO tally VALUES (new.tenant, new.state, 1, new.bytes)
    ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER event_moved AFTER UPDATE OF state, bytes ON events
WHEN old.state <> new.state OR old.bytes <> new.bytes BEGIN
  UPDATE tally SET items = items - 1, bytes = bytes - old.bytes WHERE tenant = old.tenant AND state = old.state;
  INSERT INTO tally VALUES (new.tenant, new.state, 1, new.bytes)
    ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER event_out AFTER DELETE ON events BEGIN
  UPDATE tally SET items = items - 1, bytes = bytes - old.bytes WHERE tenant = old.tenant AND state = old.state;
END;
";

/// What operators do to events, or see of them.
const VERSION_2: &str = "
-- `events`: ids, one behind the other.
CREATE TABLE acts (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, events BLOB NOT NULL
);
";

/// What study lists told, where no callback did.
const VERSION_3: &str = "
-- Of an event that a list told of, as long as no callback was taken for its; else NULL.
ALTER TABLE events ADD COLUMN gist BLOB;
-- Since when study lists are compared with callbacks; NULL where they never were.
ALTER TABLE tenants ADD COLUMN reconciled_from INTEGER;
";

/// "aimi", so that a database of something else is not taken for ours.
const APPLICATION_ID: i64 = 0x6169_6d69;

/// The version this gateway writes.
const fn newest() -> i64 {
    MIGRATIONS.len() as i64
}

/// The version of the database, which is one that we know; 0 where nothing has been made yet.
pub(super) fn version(connection: &Connection) -> Result<i64, OpenError> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    let anything: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0))
        .optional()?;
    if application != APPLICATION_ID && anything.is_some() {
        return Err(OpenError::NotAnInbox);
    }
    if version > newest() {
        return Err(OpenError::Newer {
            found: version,
            known: newest(),
        });
    }
    Ok(version)
}

/// Brings the database to the newest version. Only the gateway does that.
pub(super) fn migrate(connection: &mut Connection, role: Role) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    if version == newest() {
        // Nothing is written, which a command beside a busy gateway would have to wait for.
        return Ok(());
    }
    if role == Role::Command {
        // Perhaps a gateway of that version runs, and it could not start again.
        return Err(OpenError::Older {
            found: version,
            known: newest(),
        });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}",
        newest()
    ))?;
    transaction.commit()?;
    Ok(())
}
