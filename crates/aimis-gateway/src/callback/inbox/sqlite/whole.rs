//! The inbox in a file as a whole, for copying it.

use std::fs::File;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::open::{connect, prepare_files};
use super::{OpenError, Role, Settings};
use crate::callback::inbox::copy::{CopyError, Event, Head, Note, PAGE, Signature, Store, Tenant};

/// See the module's text. No gateway works on it meanwhile.
pub(in crate::callback::inbox) struct Whole {
    connection: Connection,
    /// Held as long as this is.
    _lock: Option<File>,
}

impl Whole {
    /// Takes the whole for itself; it was opened as ever before.
    pub(in crate::callback::inbox) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let lock = prepare_files(settings, Role::Gateway)?;
        let connection = connect(settings, Role::Gateway)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self {
            connection,
            _lock: lock,
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, CopyError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The number of a key; it has one from now on.
    fn key(&self, id: &[u8]) -> rusqlite::Result<i64> {
        let number = |connection: &Connection| {
            let mut known = connection.prepare_cached("SELECT number FROM keys WHERE id = ?1")?;
            known.query_row([id], |row| row.get(0)).optional()
        };
        if let Some(number) = number(&self.connection)? {
            return Ok(number);
        }
        self.connection.execute("INSERT INTO keys (id) VALUES (?1)", [id])?;
        Ok(self.connection.last_insert_rowid())
    }
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        let word = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => "disk_full",
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => "busy",
            _ => "refused",
        };
        Self::Failed {
            store: "the file",
            word,
        }
    }
}

impl Store for Whole {
    fn head(&mut self) -> Result<Head, CopyError> {
        let tag_key = self.connection.query_row(
            "SELECT id, value FROM meta JOIN keys ON keys.number = meta.key WHERE name = 'tag_key'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let tenants = self.rows(
            "SELECT name, parked, reconciled_from FROM tenants ORDER BY name",
            [],
            |row| {
                Ok(Tenant {
                    name: row.get(0)?,
                    parked: row.get(1)?,
                    reconciled_from: row.get(2)?,
                })
            },
        )?;
        let next = self
            .connection
            .query_row("SELECT next FROM sequence", [], |row| row.get(0))?;
        Ok(Head { tag_key, tenants, next })
    }

    fn events(&mut self, after: i64) -> Result<Vec<Event>, CopyError> {
        let sql = "
            SELECT events.seq, events.id, name, study, identity, body, state, verified, reason, received_at, since,
                   queued_at, due_at, place, head, attempts, leases, bytes, gist, keys.id, sealed
            FROM events JOIN tenants ON tenants.number = tenant
            LEFT JOIN payloads ON payloads.seq = events.seq LEFT JOIN keys ON keys.number = payloads.key
            WHERE events.seq > ?1 ORDER BY events.seq LIMIT ?2";
        self.rows(sql, [after, PAGE], |row| {
            let (key, sealed): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(19)?, row.get(20)?);
            Ok(Event {
                seq: row.get(0)?,
                id: row.get(1)?,
                tenant: row.get(2)?,
                study: row.get(3)?,
                identity: row.get(4)?,
                body: row.get(5)?,
                state: row.get(6)?,
                verified: row.get(7)?,
                reason: row.get(8)?,
                received_at: row.get(9)?,
                since: row.get(10)?,
                queued_at: row.get(11)?,
                due_at: row.get(12)?,
                place: row.get(13)?,
                head: row.get(14)?,
                attempts: row.get(15)?,
                leases: row.get(16)?,
                bytes: row.get(17)?,
                gist: row.get(18)?,
                payload: key.zip(sealed),
            })
        })
    }

    fn signatures(&mut self, after: Option<&Signature>) -> Result<Vec<Signature>, CopyError> {
        let (triple, body) = after.map_or((&[][..], &[][..]), |after| (&after.triple[..], &after.body[..]));
        let sql = "SELECT triple, body, first_at, forget_at FROM signatures WHERE (triple, body) > (?1, ?2)
                   ORDER BY triple, body LIMIT ?3";
        self.rows(sql, params![triple, body, PAGE], |row| {
            Ok(Signature {
                triple: row.get(0)?,
                body: row.get(1)?,
                first_at: row.get(2)?,
                forget_at: row.get(3)?,
            })
        })
    }

    fn notes(&mut self, after: i64) -> Result<Vec<Note>, CopyError> {
        let sql = "SELECT number, at, who, what, events FROM acts WHERE number > ?1 ORDER BY number LIMIT ?2";
        self.rows(sql, [after, PAGE], |row| {
            Ok(Note {
                number: row.get(0)?,
                at: row.get(1)?,
                who: row.get(2)?,
                what: row.get(3)?,
                events: row.get(4)?,
            })
        })
    }

    fn write_head(&mut self, head: &Head) -> Result<(), CopyError> {
        let key = self.key(&head.tag_key.0)?;
        self.connection.execute(
            "UPDATE meta SET key = ?1, value = ?2 WHERE name = 'tag_key'",
            params![key, head.tag_key.1],
        )?;
        self.connection.execute("DELETE FROM tenants", [])?;
        for tenant in &head.tenants {
            self.connection.execute(
                "INSERT INTO tenants (name, parked, reconciled_from) VALUES (?1, ?2, ?3)",
                params![tenant.name, tenant.parked, tenant.reconciled_from],
            )?;
        }
        self.connection.execute("UPDATE sequence SET next = ?1", [head.next])?;
        Ok(())
    }

    fn write_events(&mut self, events: &[Event]) -> Result<(), CopyError> {
        for event in events {
            self.connection
                .prepare_cached(
                    "INSERT INTO events (seq, id, tenant, study, identity, body, state, verified, reason, received_at,
                       since, queued_at, due_at, place, head, attempts, leases, bytes, gist)
                     SELECT ?1, ?2, number, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19
                     FROM tenants WHERE name = ?3",
                )?
                .execute(params![
                    event.seq,
                    event.id,
                    event.tenant,
                    event.study,
                    event.identity,
                    event.body,
                    event.state,
                    event.verified,
                    event.reason,
                    event.received_at,
                    event.since,
                    event.queued_at,
                    event.due_at,
                    event.place,
                    event.head,
                    event.attempts,
                    event.leases,
                    event.bytes,
                    event.gist,
                ])?;
            if let Some((key, sealed)) = &event.payload {
                let key = self.key(key)?;
                self.connection
                    .prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3)")?
                    .execute(params![event.seq, key, sealed])?;
            }
        }
        Ok(())
    }

    fn write_signatures(&mut self, signatures: &[Signature]) -> Result<(), CopyError> {
        for signature in signatures {
            self.connection
                .prepare_cached("INSERT INTO signatures VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    signature.triple,
                    signature.body,
                    signature.first_at,
                    signature.forget_at
                ])?;
        }
        Ok(())
    }

    fn write_notes(&mut self, notes: &[Note]) -> Result<(), CopyError> {
        for note in notes {
            self.connection
                .prepare_cached("INSERT INTO acts VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![note.number, note.at, note.who, note.what, note.events])?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CopyError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }
}
