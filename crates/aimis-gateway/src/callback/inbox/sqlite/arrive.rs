//! Append: an arrival, sealed by its caller, judged and stored inside the writer's transaction.

use aimis_core::sign::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::writer::Store;
use crate::callback::event::{EventId, NewEvent, Verified};
use crate::callback::inbox::keys::{SealKey, bound_to};
use crate::callback::inbox::rules::{Judgement, Known, judge};
use crate::callback::inbox::sqlite::read::{millis, state, tag};
use crate::callback::inbox::{AppendError, Kind, State};

/// An arrival on its way to the disk.
pub(super) struct Sealed {
    event: NewEvent,
    id: EventId,
    /// The number of the key.
    key: i64,
    payload: Vec<u8>,
}

/// What became of it.
pub(super) struct Taken {
    pub(super) event: EventId,
    pub(super) kind: Kind,
    pub(super) verified: Verified,
}

impl Sealed {
    /// Names and seals an arrival; its plaintext is wiped.
    pub(super) fn new(mut event: NewEvent, with: &SealKey, key: i64, now: Timestamp) -> Result<Self, ()> {
        let id = EventId::new(now).map_err(drop)?;
        let aad = bound_to("event", event.tenant.as_str(), id.as_bytes());
        let payload = with.seal(event.payload.as_bytes(), &aad).map_err(drop)?;
        event.payload.wipe();
        Ok(Self {
            event,
            id,
            key,
            payload,
        })
    }
}

impl Store {
    /// Judges and stores an arrival.
    pub(super) fn append(&mut self, sealed: &Sealed) -> rusqlite::Result<Result<Taken, AppendError>> {
        let event = &sealed.event;
        let same = self
            .connection
            .prepare_cached("SELECT seq, id, state, verified FROM events WHERE identity = ?1 AND body = ?2")?
            .query_row(params![tag(event.identity), tag(event.body)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, state(row, 2)?, row.get::<_, u8>(3)?))
            })
            .optional()?;
        let known = self.known(sealed, same.map(|(_, _, state, _)| state))?;
        let judgement = judge(
            event.signed,
            event.quarantine,
            event.received_at,
            known,
            self.settings.sharing,
        );
        let taken = |event, verified| Taken {
            event,
            kind: judgement.kind,
            verified,
        };
        if let Some((seq, id, _, verified)) = same {
            self.remember_signature(sealed)?;
            let id = EventId::from_bytes(id);
            if judgement.releases {
                self.set_verified(seq, judgement.verified)?;
                self.queue_anew(seq, millis(self.clock.now()))?;
                return Ok(Ok(taken(id, judgement.verified)));
            }
            return Ok(Ok(taken(id, super::read::verified(verified))));
        }
        if let Kind::Quarantined(_) = judgement.kind
            && self.quarantine_bytes()? + sealed.payload.len() as u64 > self.settings.quarantine_max_bytes
        {
            return Ok(Err(AppendError::QuarantineFull));
        }
        if !self.room.take(sealed.payload.len() as u64) {
            return Ok(Err(AppendError::Full));
        }
        self.remember_signature(sealed)?;
        self.insert(sealed, judgement)?;
        Ok(Ok(taken(sealed.id, judgement.verified)))
    }

    fn known(&self, sealed: &Sealed, same: Option<State>) -> rusqlite::Result<Known> {
        let event = &sealed.event;
        let other_body = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE identity = ?1 AND body <> ?2 AND state <> 4)")?
            .query_row(params![tag(event.identity), tag(event.body)], |row| row.get(0))?;
        let (sharers, first_at) = match event.signed {
            None => (0, None),
            Some(signed) => self
                .connection
                .prepare_cached("SELECT count(*), min(first_at) FROM signatures WHERE triple = ?1 AND body <> ?2")?
                .query_row(params![tag(signed.triple), tag(event.body)], |row| {
                    Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?))
                })?,
        };
        Ok(Known {
            same,
            other_body,
            sharers,
            first_at: first_at.map(super::read::timestamp),
        })
    }

    fn remember_signature(&self, sealed: &Sealed) -> rusqlite::Result<()> {
        let event = &sealed.event;
        let Some(signed) = event.signed else {
            return Ok(());
        };
        let forget_at = signed.valid_until.max(event.received_at);
        self.connection
            .prepare_cached("INSERT INTO signatures VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
            .execute(params![
                tag(signed.triple),
                tag(event.body),
                millis(event.received_at),
                millis(forget_at)
            ])?;
        Ok(())
    }

    fn insert(&mut self, sealed: &Sealed, judgement: Judgement) -> rusqlite::Result<()> {
        let event = &sealed.event;
        let now = millis(self.clock.now());
        let seq = self.next_number()?;
        let tenant = self.tenant_number(event.tenant.as_str())?;
        let (state, reason) = match judgement.kind {
            Kind::Quarantined(reason) => (State::Quarantined, Some(reason.as_str())),
            _ => (State::Ready, None),
        };
        let head = state.is_live() && !self.is_waited_for(event.study.as_bytes())?;
        self.connection
            .prepare_cached(
                "INSERT INTO events (seq, id, tenant, study, identity, body, state, verified, reason, received_at, since, queued_at, due_at, place, head, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11, ?1, ?12, ?13)",
            )?
            .execute(params![
                seq,
                sealed.id.as_bytes(),
                tenant,
                tag(event.study),
                tag(event.identity),
                tag(event.body),
                state.index(),
                judgement.verified as u8,
                reason,
                millis(event.received_at),
                now,
                head,
                sealed.payload.len(),
            ])?;
        self.connection
            .prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3)")?
            .execute(params![seq, sealed.key, sealed.payload])?;
        if head {
            self.changed();
        }
        Ok(())
    }

    /// The next number of the one sequence that arrivals and places in queues share.
    pub(super) fn next_number(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("UPDATE sequence SET next = next + 1 RETURNING next - 1")?
            .query_row([], |row| row.get(0))
    }

    /// Whether an event of this study is still to be delivered.
    pub(super) fn is_waited_for(&self, study: &[u8; 16]) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE study = ?1 AND state < 3)")?
            .query_row([study], |row| row.get(0))
    }

    pub(super) fn tenant_number(&self, name: &str) -> rusqlite::Result<i64> {
        let known = self.known_tenant(name)?;
        if let Some(number) = known {
            return Ok(number);
        }
        self.connection
            .prepare_cached("INSERT INTO tenants (name) VALUES (?1) RETURNING number")?
            .query_row([name], |row| row.get(0))
    }

    pub(super) fn known_tenant(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT number FROM tenants WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
    }

    fn quarantine_bytes(&self) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached("SELECT coalesce(sum(bytes), 0) FROM tally WHERE state = 4")?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    fn set_verified(&self, seq: i64, verified: Verified) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE events SET verified = ?2 WHERE seq = ?1")?
            .execute(params![seq, verified as u8])?;
        Ok(())
    }
}
