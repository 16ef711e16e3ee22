//! The inbox in a database as a whole, for copying it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_postgres::Row;

use super::open::OpenError;
use super::schema::{self, IN_USE};
use super::session::{Connector, Fault, Params, Session, Use};
use super::{Reach, Settings};
use crate::callback::inbox::copy::{CopyError, Event, Head, Note, PAGE, Signature, Store, Tenant};
use crate::clock::timer_now;

/// The pause between looks whether a gateway is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// See the module's text. No gateway works on it meanwhile.
pub(in crate::callback::inbox) struct Whole {
    runtime: Runtime,
    session: Session,
}

impl Whole {
    /// Takes the whole for itself; it was opened as ever before.
    pub(in crate::callback::inbox) fn open(settings: &Settings) -> Result<Self, CopyError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // One transaction from beginning to end, in which this program may take its time.
        let reach = Reach {
            statement_timeout: settings.reach.read_timeout,
            ..settings.reach.clone()
        };
        let connector = Connector::new(Arc::new(reach)).map_err(OpenError::from)?;
        let mut session = runtime.block_on(connector.connect(Use::Read, watch::channel(0).0))?;
        let end = timer_now() + settings.reach.connect_timeout;
        let alone = runtime.block_on(async {
            session
                .client
                .batch_execute("SET idle_in_transaction_session_timeout = 0")
                .await?;
            // The connection of whoever has just gone may take a moment to go, too.
            while !schema::hold(&mut session, IN_USE).await? {
                if timer_now() > end {
                    return Ok(false);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            // One state of everything, taken when nobody changes it any more: whoever copies and whoever compares read the
            // same, whatever gets past the lock.
            session
                .client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                .await?;
            Ok::<_, Fault>(true)
        })?;
        if alone {
            Ok(Self { runtime, session })
        } else {
            Err(CopyError::InUse)
        }
    }

    fn query(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, CopyError> {
        Ok(self.runtime.block_on(self.session.query(sql, params))?)
    }

    fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Result<(), CopyError> {
        self.runtime.block_on(self.session.execute(sql, params))?;
        Ok(())
    }

    /// One statement for many rows, without waiting for each.
    fn each<T>(
        &mut self,
        sql: &'static str,
        rows: &[T],
        params: impl for<'a> Fn(&'a T) -> Vec<&'a (dyn tokio_postgres::types::ToSql + Sync)>,
    ) -> Result<(), CopyError> {
        let session = &mut self.session;
        self.runtime.block_on(async {
            let statement = session.statement(sql).await?;
            let (client, statement, params) = (&session.client, &statement, &params);
            try_join_all(
                rows.iter()
                    .map(async |row| client.execute(statement, &params(row)).await),
            )
            .await?;
            Ok::<_, Fault>(())
        })?;
        Ok(())
    }
}

impl From<Fault> for CopyError {
    fn from(fault: Fault) -> Self {
        Self::Failed {
            store: "the database",
            word: fault.word(),
        }
    }
}

impl Store for Whole {
    fn head(&mut self) -> Result<Head, CopyError> {
        let key = self.query(
            "SELECT id, value FROM meta JOIN keys ON number = key WHERE name = 'tag_key'",
            &[],
        )?;
        let key = key.first().ok_or(Fault::Row)?;
        let tenants = self.query(
            "SELECT name, parked, reconciled_from FROM tenants ORDER BY name COLLATE \"C\"",
            &[],
        )?;
        let next = self.query("SELECT last_value + is_called::int FROM numbers", &[])?;
        Ok(Head {
            tag_key: (key.get(0), key.get(1)),
            tenants: tenants
                .iter()
                .map(|row| Tenant {
                    name: row.get(0),
                    parked: row.get(1),
                    reconciled_from: row.get(2),
                })
                .collect(),
            next: next.first().ok_or(Fault::Row)?.get(0),
        })
    }

    fn events(&mut self, after: i64) -> Result<Vec<Event>, CopyError> {
        let rows = self.query(
            "SELECT e.seq, e.id, name, study, identity, body, state, verified, reason, received_at, since, queued_at,
                    due_at, place, head, attempts, leases, bytes, gist, keys.id, sealed
             FROM events e JOIN tenants ON tenants.number = tenant
             LEFT JOIN payloads USING (seq) LEFT JOIN keys ON keys.number = key
             WHERE e.seq > $1 ORDER BY e.seq LIMIT $2",
            &[&after, &PAGE],
        )?;
        let event = |row: &Row| Event {
            seq: row.get(0),
            id: row.get(1),
            tenant: row.get(2),
            study: row.get(3),
            identity: row.get(4),
            body: row.get(5),
            state: row.get(6),
            verified: row.get(7),
            reason: row.get(8),
            received_at: row.get(9),
            since: row.get(10),
            queued_at: row.get(11),
            due_at: row.get(12),
            place: row.get(13),
            head: row.get(14),
            attempts: row.get(15),
            leases: row.get(16),
            bytes: row.get(17),
            gist: row.get(18),
            payload: row.get::<_, Option<Vec<u8>>>(19).zip(row.get(20)),
        };
        Ok(rows.iter().map(event).collect())
    }

    fn signatures(&mut self, after: Option<&Signature>) -> Result<Vec<Signature>, CopyError> {
        let (triple, body) = after.map_or((&[][..], &[][..]), |after| (&after.triple[..], &after.body[..]));
        let rows = self.query(
            "SELECT triple, body, first_at, forget_at FROM signatures WHERE (triple, body) > ($1, $2)
             ORDER BY triple, body LIMIT $3",
            &[&triple, &body, &PAGE],
        )?;
        let signature = |row: &Row| Signature {
            triple: row.get(0),
            body: row.get(1),
            first_at: row.get(2),
            forget_at: row.get(3),
        };
        Ok(rows.iter().map(signature).collect())
    }

    fn notes(&mut self, after: i64) -> Result<Vec<Note>, CopyError> {
        let rows = self.query(
            "SELECT number, at, who, what, events FROM acts WHERE number > $1 ORDER BY number LIMIT $2",
            &[&after, &PAGE],
        )?;
        let note = |row: &Row| Note {
            number: row.get(0),
            at: row.get(1),
            who: row.get(2),
            what: row.get(3),
            events: row.get(4),
        };
        Ok(rows.iter().map(note).collect())
    }

    fn write_head(&mut self, head: &Head) -> Result<(), CopyError> {
        self.execute(
            "INSERT INTO keys (id) VALUES ($1) ON CONFLICT DO NOTHING",
            &[&head.tag_key.0],
        )?;
        self.execute(
            "UPDATE meta SET key = (SELECT number FROM keys WHERE id = $1), value = $2 WHERE name = 'tag_key'",
            &[&head.tag_key.0, &head.tag_key.1],
        )?;
        self.execute("DELETE FROM tally", &[])?;
        self.execute("DELETE FROM tenants", &[])?;
        self.each(
            "INSERT INTO tenants (name, parked, reconciled_from) VALUES ($1, $2, $3)",
            &head.tenants,
            |tenant| vec![&tenant.name, &tenant.parked, &tenant.reconciled_from],
        )?;
        self.query("SELECT setval('numbers', $1, false)", &[&head.next])?;
        Ok(())
    }

    fn write_events(&mut self, events: &[Event]) -> Result<(), CopyError> {
        let mut keys: Vec<&Vec<u8>> = events
            .iter()
            .filter_map(|event| Some(&event.payload.as_ref()?.0))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        self.each(
            "INSERT INTO keys (id) VALUES ($1) ON CONFLICT DO NOTHING",
            &keys,
            |key| vec![*key],
        )?;
        let rows: Vec<(&Event, Option<&Vec<u8>>)> = events
            .iter()
            .map(|event| (event, event.payload.as_ref().map(|(key, _)| key)))
            .collect();
        self.each(
            "INSERT INTO events (seq, id, tenant, study, identity, body, state, verified, reason, received_at, since,
               queued_at, due_at, place, head, attempts, leases, bytes, gist, key)
             SELECT $1, $2, number, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                    (SELECT k.number FROM keys k WHERE k.id = $20)
             FROM tenants WHERE name = $3",
            &rows,
            |(event, key)| {
                vec![
                    &event.seq,
                    &event.id,
                    &event.tenant,
                    &event.study,
                    &event.identity,
                    &event.body,
                    &event.state,
                    &event.verified,
                    &event.reason,
                    &event.received_at,
                    &event.since,
                    &event.queued_at,
                    &event.due_at,
                    &event.place,
                    &event.head,
                    &event.attempts,
                    &event.leases,
                    &event.bytes,
                    &event.gist,
                    key,
                ]
            },
        )?;
        let payloads: Vec<(i64, &Vec<u8>)> = events
            .iter()
            .filter_map(|event| event.payload.as_ref().map(|(_, sealed)| (event.seq, sealed)))
            .collect();
        self.each("INSERT INTO payloads VALUES ($1, $2)", &payloads, |(seq, sealed)| {
            vec![seq, *sealed]
        })
    }

    fn write_signatures(&mut self, signatures: &[Signature]) -> Result<(), CopyError> {
        self.each(
            "INSERT INTO signatures VALUES ($1, $2, $3, $4)",
            signatures,
            |signature| {
                vec![
                    &signature.triple,
                    &signature.body,
                    &signature.first_at,
                    &signature.forget_at,
                ]
            },
        )
    }

    fn write_notes(&mut self, notes: &[Note]) -> Result<(), CopyError> {
        self.each(
            "INSERT INTO acts OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5)",
            notes,
            |note| vec![&note.number, &note.at, &note.who, &note.what, &note.events],
        )?;
        if let Some(last) = notes.last() {
            self.query(
                "SELECT setval(pg_get_serial_sequence('acts', 'number'), $1)",
                &[&last.number],
            )?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CopyError> {
        Ok(self.runtime.block_on(self.session.commit())?)
    }
}
