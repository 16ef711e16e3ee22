//! Lease, settle, resume.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::Opener;
use super::read::{millis, state, timestamp, verified};
use super::writer::{Calls, Store};
use crate::callback::event::EventId;
use crate::callback::inbox::rules::{later, settle};
use crate::callback::inbox::{InboxError, Lease, Leased, Leases, Outcome, Reason, SettleError, State};
use crate::tenant::TenantName;

/// Why an event is dead whose payload does not open.
const UNREADABLE: Reason = Reason::word("unreadable");

/// A leased event, still sealed.
struct Row {
    seq: i64,
    lease: Lease,
    received_at: i64,
    verified: u8,
    attempt: u32,
    until: i64,
    /// Key and payload; `None` if there is none, which is as bad as one that does not open.
    sealed: Option<([u8; 8], Vec<u8>)>,
}

pub(super) struct Rows {
    rows: Vec<Row>,
    next_at: Option<i64>,
    parked: bool,
}

/// Leases events and opens them. One that does not open was changed on the disk: it becomes a dead letter, and does
/// not hold up its study.
pub(super) async fn lease(
    calls: Calls,
    opener: Opener,
    tenant: TenantName,
    limit: usize,
    period: Duration,
) -> Result<Leases, InboxError> {
    let of = tenant.clone();
    let found = calls.call(move |store| store.lease(&of, limit, period)).await?;
    let mut leases = Leases {
        events: Vec::with_capacity(found.rows.len()),
        unopened: Vec::new(),
        next_at: found.next_at.map(timestamp),
        parked: found.parked,
    };
    for row in found.rows {
        let lease = row.lease;
        let opened = row
            .sealed
            .and_then(|(key, sealed)| opener.open(key, &tenant, lease.event, sealed).ok());
        let Some(payload) = opened else {
            let outcome = Outcome::Dead { reason: UNREADABLE };
            match calls.call(move |store| store.settle(lease, &outcome)).await? {
                Ok(()) => leases.unopened.push(lease.event),
                // Somebody else has found the same by now.
                Err(SettleError::Lost) => {}
                Err(SettleError::Inbox(error)) => return Err(error),
            }
            continue;
        };
        leases.events.push(Leased {
            lease,
            tenant: tenant.clone(),
            received_at: timestamp(row.received_at),
            verified: verified(row.verified),
            attempt: row.attempt,
            until: timestamp(row.until),
            payload,
        });
    }
    Ok(leases)
}

impl Store {
    /// Leases the first events of studies, as far as they are due.
    fn lease(&mut self, tenant: &TenantName, limit: usize, period: Duration) -> rusqlite::Result<Rows> {
        let now = self.now();
        let until = millis(later(now, period));
        let mut found = Rows {
            rows: Vec::new(),
            next_at: None,
            parked: false,
        };
        let tenant = self
            .connection
            .prepare_cached("SELECT number, parked FROM tenants WHERE name = ?1")?
            .query_row([tenant.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
            .optional()?;
        let Some((tenant, parked)) = tenant else {
            return Ok(found);
        };
        found.parked = parked;
        if parked {
            return Ok(found);
        }
        found.rows = self
            .connection
            .prepare_cached(
                "SELECT seq, id, leases, received_at, verified, attempts FROM events
                 WHERE tenant = ?1 AND head = 1 AND due_at <= ?2 ORDER BY due_at, place LIMIT ?3",
            )?
            .query_map(params![tenant, millis(now), limit], |row| {
                Ok(Row {
                    seq: row.get(0)?,
                    lease: Lease {
                        event: EventId::from_bytes(row.get(1)?),
                        number: row.get::<_, i64>(2)?.unsigned_abs() + 1,
                    },
                    received_at: row.get(3)?,
                    verified: row.get(4)?,
                    attempt: row.get::<_, u32>(5)? + 1,
                    until,
                    sealed: None,
                })
            })?
            .collect::<Result<_, _>>()?;
        for row in &mut found.rows {
            self.connection
                .prepare_cached(
                    "UPDATE events SET state = 1, since = ?2, due_at = ?3, attempts = attempts + 1, leases = leases + 1 WHERE seq = ?1",
                )?
                .execute(params![row.seq, millis(now), until])?;
            row.sealed = self.sealed(row.seq)?;
        }
        found.next_at = self
            .connection
            .prepare_cached("SELECT min(due_at) FROM events WHERE tenant = ?1 AND head = 1 AND due_at > ?2")?
            .query_row(params![tenant, millis(now)], |row| row.get(0))?;
        Ok(found)
    }

    fn sealed(&self, seq: i64) -> rusqlite::Result<Option<([u8; 8], Vec<u8>)>> {
        self.connection
            .prepare_cached("SELECT id, sealed FROM payloads JOIN keys ON keys.number = payloads.key WHERE seq = ?1")?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    /// Ends a lease.
    pub(super) fn settle(&mut self, lease: Lease, outcome: &Outcome) -> rusqlite::Result<Result<(), SettleError>> {
        let found = self
            .connection
            .prepare_cached("SELECT seq, state, leases, attempts, study, tenant FROM events WHERE id = ?1")?
            .query_row([lease.event.as_bytes()], |row| {
                let held = (state(row, 1)?, row.get::<_, i64>(2)?.unsigned_abs());
                Ok((
                    row.get::<_, i64>(0)?,
                    held,
                    row.get::<_, u32>(3)?,
                    row.get(4)?,
                    row.get::<_, i64>(5)?,
                ))
            })
            .optional()?;
        let Some((seq, (State::InFlight, number), attempts, study, tenant)) = found else {
            return Ok(Err(SettleError::Lost));
        };
        if number != lease.number {
            return Ok(Err(SettleError::Lost));
        }
        let now = self.now();
        let settled = settle(outcome.clone(), attempts, now);
        self.connection
            .prepare_cached(
                "UPDATE events SET state = ?2, since = ?3, due_at = ?4, attempts = ?5, reason = coalesce(?6, reason), head = ?7 WHERE seq = ?1",
            )?
            .execute(params![
                seq,
                settled.state.index(),
                millis(now),
                millis(settled.due_at.unwrap_or(now)),
                settled.attempts,
                settled.reason.as_ref().map(Reason::as_str),
                settled.state.is_live(),
            ])?;
        if settled.parks {
            self.connection
                .prepare_cached("UPDATE tenants SET parked = 1 WHERE number = ?1")?
                .execute([tenant])?;
        }
        if !settled.state.is_live() {
            self.promote(&study)?;
        }
        self.changed();
        Ok(Ok(()))
    }

    /// Makes the first event of a study that is still to be delivered the one that can be leased.
    pub(super) fn promote(&self, study: &[u8; 16]) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE events SET head = 1 WHERE seq =
                 (SELECT seq FROM events WHERE study = ?1 AND state < 3 ORDER BY place LIMIT 1)",
            )?
            .execute([study])?;
        Ok(())
    }

    /// Suspends a delivery.
    pub(super) fn park(&mut self, tenant: &TenantName) -> rusqlite::Result<bool> {
        let number = self.tenant_number(tenant.as_str())?;
        let parked = self
            .connection
            .prepare_cached("UPDATE tenants SET parked = 1 WHERE number = ?1 AND parked = 0")?
            .execute([number])?;
        // Whoever delivers learns of it when it asks.
        self.changed();
        Ok(parked > 0)
    }

    /// Takes up a suspended delivery again.
    pub(super) fn resume(&mut self, tenant: &TenantName) -> rusqlite::Result<bool> {
        let resumed = self
            .connection
            .prepare_cached("UPDATE tenants SET parked = 0 WHERE name = ?1 AND parked = 1")?
            .execute([tenant.as_str()])?;
        if resumed > 0 {
            self.changed();
        }
        Ok(resumed > 0)
    }

    /// Puts an event at the end of its study's queue, as if it had just come.
    pub(super) fn queue_anew(&mut self, seq: i64, due_at: i64) -> rusqlite::Result<()> {
        let study: [u8; 16] = self
            .connection
            .prepare_cached("SELECT study FROM events WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))?;
        let place = self.next_number()?;
        let head = !self.is_waited_for(&study)?;
        let now = millis(self.now());
        self.connection
            .prepare_cached(
                "UPDATE events SET state = 0, since = ?2, queued_at = ?2, due_at = ?3, place = ?4, head = ?5, attempts = 0, reason = NULL WHERE seq = ?1",
            )?
            .execute(params![seq, now, due_at, place, head])?;
        self.changed();
        Ok(())
    }
}
