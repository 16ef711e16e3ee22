//! Lease, settle, park, resume.
//!
//! A lease is one statement: rows that another gateway is leasing at this moment are skipped, and of a study there is one
//! row at most that can be leased, which the database itself sees to (`one_head`). The number of a lease is the fencing
//! token: who comes with an older one has lost. All moments are the database's own; what goes out to this gateway, or
//! comes from it, is moved by as much as its clock is apart.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;

use super::line::{Calls, Line};
use super::rows::{lock_key, millis, state, tag, timestamp, verified};
use super::schema::{self, IN_USE, LOCK_CLASS};
use super::session::{Fault, Session};
use super::{Common, NOW};
use crate::callback::event::EventId;
use crate::callback::inbox::rules::{later, settle};
use crate::callback::inbox::{InboxError, Lease, Leased, Leases, Outcome, Reason, SettleError, State};
use crate::tenant::TenantName;

/// Why an event is dead whose payload does not open.
const UNREADABLE: Reason = Reason::word("unreadable");

/// A lease that ends, and who waits for that.
pub(super) struct Ending {
    pub(super) lease: Lease,
    pub(super) outcome: Outcome,
    pub(super) reply: oneshot::Sender<Result<(), SettleError>>,
}

/// Asks for the end of leases.
#[derive(Clone)]
pub(super) struct Endings(pub(super) mpsc::Sender<Ending>);

impl Endings {
    pub(super) async fn settle(self, lease: Lease, outcome: Outcome) -> Result<(), SettleError> {
        let (reply, answer) = oneshot::channel();
        let ending = Ending { lease, outcome, reply };
        self.0.send(ending).await.map_err(|_| InboxError::Closed)?;
        drop(self);
        answer.await.unwrap_or(Err(InboxError::Failed.into()))
    }
}

/// Ends what leases end while the commit before is under way.
pub(super) async fn serve(mut line: Line, mut endings: mpsc::Receiver<Ending>, common: &Common) {
    let mut batch = Vec::with_capacity(common.settings.batch);
    while endings.recv_many(&mut batch, common.settings.batch).await > 0 {
        let all: Vec<(Lease, Outcome)> = batch
            .iter()
            .map(|ending| (ending.lease, ending.outcome.clone()))
            .collect();
        let ended = line
            .run(async |session: &mut Session| end(session, common, &all).await)
            .await;
        if ended.is_ok() {
            common.changed();
        }
        let answers = match ended {
            Ok(answers) => answers,
            Err(fault) => vec![Err(fault.told().into()); batch.len()],
        };
        for (ending, answer) in batch.drain(..).zip(answers) {
            let _ = ending.reply.send(answer);
        }
    }
}

/// An event under one of these leases.
struct Held {
    seq: i64,
    state: State,
    number: u64,
    attempts: u32,
    tenant: i32,
}

async fn end(
    session: &mut Session,
    common: &Common,
    endings: &[(Lease, Outcome)],
) -> Result<Vec<Result<(), SettleError>>, Fault> {
    let ids: Vec<&[u8]> = endings.iter().map(|(lease, _)| &lease.event.as_bytes()[..]).collect();
    let studies = session
        .query(
            "SELECT DISTINCT study FROM events WHERE id = ANY ($1::bytea[])",
            &[&ids],
        )
        .await?;
    let studies: Vec<[u8; 16]> = studies.iter().map(|row| tag(row, 0)).collect::<Result<_, _>>()?;
    schema::begin(session).await?;
    let now = lock_studies(session, common, &studies).await?;
    let rows = session.query(HELD, &[&ids]).await?;
    let mut held = std::collections::HashMap::new();
    for row in &rows {
        held.insert(EventId::from_bytes(tag(row, 1)?), as_held(row)?);
    }
    let mut settled = Settled::default();
    let mut parks = Vec::new();
    let mut answers = Vec::with_capacity(endings.len());
    for (lease, outcome) in endings {
        // Taken out: a second end of the same lease comes too late.
        let found = held.remove(&lease.event);
        let Some(event) = found.filter(|event| event.state == State::InFlight && event.number == lease.number) else {
            answers.push(Err(SettleError::Lost));
            continue;
        };
        let end = settle(outcome.clone(), event.attempts, timestamp(now));
        settled.seq.push(event.seq);
        settled.state.push(end.state.index() as i16);
        settled.due_at.push(millis(end.due_at.unwrap_or(timestamp(now))));
        settled.attempts.push(end.attempts.cast_signed());
        settled.reason.push(end.reason.map(|reason| reason.as_str().to_owned()));
        settled.live.push(end.state.is_live());
        if end.parks {
            parks.push(event.tenant);
        }
        answers.push(Ok(()));
    }
    if !settled.seq.is_empty() {
        settled.write(session, now).await?;
        promote(session, &studies).await?;
    }
    if !parks.is_empty() {
        session
            .execute(
                "UPDATE tenants SET parked = true WHERE number = ANY ($1::int[]) AND NOT parked",
                &[&parks],
            )
            .await?;
    }
    session.commit().await?;
    Ok(answers)
}

fn as_held(row: &Row) -> Result<Held, Fault> {
    Ok(Held {
        seq: row.get(0),
        state: state(row.get(2))?,
        number: row.get::<_, i64>(3).unsigned_abs(),
        attempts: row.get::<_, i32>(4).unsigned_abs(),
        tenant: row.get(5),
    })
}

/// Columns of events whose leases end.
#[derive(Default)]
struct Settled {
    seq: Vec<i64>,
    state: Vec<i16>,
    due_at: Vec<i64>,
    attempts: Vec<i32>,
    reason: Vec<Option<String>>,
    live: Vec<bool>,
}

impl Settled {
    async fn write(&self, session: &mut Session, now: i64) -> Result<(), Fault> {
        session
            .execute(
                "UPDATE events e SET state = u.state, since = $7, due_at = u.due_at, attempts = u.attempts,
                   reason = coalesce(u.reason, e.reason), head = u.live
                 FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::int[], $5::text[], $6::boolean[])
                   AS u (seq, state, due_at, attempts, reason, live)
                 WHERE e.seq = u.seq",
                &[
                    &self.seq,
                    &self.state,
                    &self.due_at,
                    &self.attempts,
                    &self.reason,
                    &self.live,
                    &now,
                ],
            )
            .await?;
        Ok(())
    }
}

const HELD: &str = "
    SELECT seq, id, state, leases, attempts, tenant FROM events WHERE id = ANY ($1::bytea[]) ORDER BY seq FOR UPDATE";

/// Locks studies, in one order, and tells what time it is then.
pub(super) async fn lock_studies(session: &mut Session, common: &Common, studies: &[[u8; 16]]) -> Result<i64, Fault> {
    let mut keys: Vec<i64> = studies.iter().map(lock_key).collect();
    keys.sort_unstable();
    keys.dedup();
    session
        .query(
            "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key",
            &[&keys],
        )
        .await?;
    Ok(session.one(NOW, &[&common.time.given()]).await?.get(0))
}

/// Makes the first event of each study that is still to be delivered the one that can be leased.
pub(super) async fn promote(session: &mut Session, studies: &[[u8; 16]]) -> Result<(), Fault> {
    let studies: Vec<&[u8]> = studies.iter().map(|study| &study[..]).collect();
    session
        .execute(
            "UPDATE events SET head = true FROM
               (SELECT DISTINCT ON (study) seq FROM events WHERE study = ANY ($1::bytea[]) AND state < 3
                ORDER BY study, place) AS first
             WHERE events.seq = first.seq AND NOT head",
            &[&studies],
        )
        .await?;
    Ok(())
}

/// A leased event, still sealed.
struct Taken {
    lease: Lease,
    received_at: i64,
    verified: i16,
    attempt: u32,
    sealed: Option<(Vec<u8>, Vec<u8>)>,
}

struct Found {
    rows: Vec<Taken>,
    /// By how much this gateway's clock is ahead of the database's.
    ahead: i64,
    until: i64,
    next_at: Option<i64>,
    parked: bool,
}

/// Leases events and opens them. One that does not open was changed in the database: it becomes a dead letter, and does
/// not hold up its study.
pub(super) async fn lease(
    calls: Calls,
    endings: Endings,
    common: std::sync::Arc<Common>,
    tenant: TenantName,
    limit: usize,
    period: Duration,
) -> Result<Leases, InboxError> {
    let (of, with) = (tenant.clone(), std::sync::Arc::clone(&common));
    let found = calls
        .call(async move |session: &mut Session| find(session, &with, &of, limit, period).await)
        .await?;
    let here = |millis: i64| timestamp(millis.saturating_add(found.ahead));
    let mut leases = Leases {
        events: Vec::with_capacity(found.rows.len()),
        unopened: Vec::new(),
        next_at: found.next_at.map(here),
        parked: found.parked,
    };
    for row in found.rows {
        let opened = row
            .sealed
            .and_then(|(key, sealed)| common.rings.now().open(&key, &tenant, row.lease.event, sealed).ok());
        let Some(payload) = opened else {
            let outcome = Outcome::Dead { reason: UNREADABLE };
            match endings.clone().settle(row.lease, outcome).await {
                Ok(()) => leases.unopened.push(row.lease.event),
                // Somebody else has found the same by now.
                Err(SettleError::Lost) => {}
                Err(SettleError::Inbox(error)) => return Err(error),
            }
            continue;
        };
        leases.events.push(Leased {
            lease: row.lease,
            tenant: tenant.clone(),
            received_at: timestamp(row.received_at),
            verified: verified(row.verified),
            attempt: row.attempt,
            until: here(found.until),
            payload,
        });
    }
    Ok(leases)
}

async fn find(
    session: &mut Session,
    common: &Common,
    tenant: &TenantName,
    limit: usize,
    period: Duration,
) -> Result<Found, Fault> {
    let known = session
        .query(
            "SELECT number, parked, now_ms($2) FROM tenants WHERE name = $1",
            &[&tenant.as_str(), &common.time.given()],
        )
        .await?;
    let mut found = Found {
        rows: Vec::new(),
        ahead: 0,
        until: 0,
        next_at: None,
        parked: false,
    };
    let Some(row) = known.first() else { return Ok(found) };
    let (number, parked, now): (i32, bool, i64) = (row.get(0), row.get(1), row.get(2));
    found.ahead = millis(common.clock.now()) - now;
    found.parked = parked;
    if parked {
        return Ok(found);
    }
    found.until = millis(later(timestamp(now), period));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (leased, next) = (session.statement(LEASE).await?, session.statement(NEXT).await?);
    let ring = common.rings.now();
    let (leased, next) = try_join(
        session.client.query(
            &leased,
            &[&number, &now, &limit, &found.until, &ring.known, &LOCK_CLASS, &IN_USE],
        ),
        session.client.query_one(&next, &[&number, &now, &ring.known]),
    )
    .await?;
    for row in &leased {
        let key: Option<Vec<u8>> = row.get(5);
        found.rows.push(Taken {
            lease: Lease {
                event: EventId::from_bytes(tag(row, 0)?),
                number: row.get::<_, i64>(1).unsigned_abs(),
            },
            received_at: row.get(2),
            verified: row.get(3),
            attempt: row.get::<_, i32>(4).unsigned_abs(),
            sealed: key.zip(row.get(6)),
        });
    }
    found.next_at = next.get(0);
    Ok(found)
}

/// What is sealed with a key that is not here is left to the gateways that have it. Nothing is leased while somebody has the
/// inbox alone (`schema::begin`; in the statement itself, since it is a transaction of its own).
const LEASE: &str = "
    WITH free AS MATERIALIZED (
      SELECT pg_try_advisory_xact_lock_shared($6, $7) AS ours
    ), picked AS MATERIALIZED (
      SELECT seq, due_at, place FROM events
      WHERE (SELECT ours FROM free) AND tenant = $1 AND head AND due_at <= $2 AND key = ANY ($5::int[])
      ORDER BY due_at, place LIMIT $3 FOR UPDATE SKIP LOCKED
    ), taken AS (
      UPDATE events e SET state = 1, since = $2, due_at = $4, attempts = e.attempts + 1, leases = e.leases + 1
      FROM picked WHERE e.seq = picked.seq
      RETURNING e.seq, e.id, e.leases, e.received_at, e.verified, e.attempts, e.key, picked.due_at, picked.place
    )
    SELECT taken.id, leases, received_at, verified, attempts, keys.id, sealed
    FROM taken LEFT JOIN keys ON keys.number = taken.key LEFT JOIN payloads USING (seq) ORDER BY due_at, place";
const NEXT: &str = "
    SELECT min(due_at) FROM events WHERE tenant = $1 AND head AND due_at > $2 AND key = ANY ($3::int[])";

/// Suspends a delivery.
pub(super) async fn park(session: &mut Session, common: &Common, tenant: &TenantName) -> Result<bool, Fault> {
    schema::begin(session).await?;
    let number = super::arrive::tenant_number(session, tenant.as_str()).await?;
    let parked = session
        .execute(
            "UPDATE tenants SET parked = true WHERE number = $1 AND NOT parked",
            &[&number],
        )
        .await?;
    touch(session, number).await?;
    session.commit().await?;
    // Whoever delivers learns of it when it asks.
    common.changed();
    Ok(parked > 0)
}

/// Takes up a suspended delivery again.
pub(super) async fn resume(session: &mut Session, common: &Common, tenant: &TenantName) -> Result<bool, Fault> {
    schema::begin(session).await?;
    let resumed = session
        .query(
            "UPDATE tenants SET parked = false WHERE name = $1 AND parked RETURNING number",
            &[&tenant.as_str()],
        )
        .await?;
    if let Some(row) = resumed.first() {
        touch(session, row.get(0)).await?;
    }
    session.commit().await?;
    if !resumed.is_empty() {
        common.changed();
    }
    Ok(!resumed.is_empty())
}

/// Leaves a trace for gateways that look for changes.
async fn touch(session: &mut Session, tenant: i32) -> Result<(), Fault> {
    session
        .execute(
            "INSERT INTO tally (tenant, state, items, bytes) VALUES ($1, 0, 0, 0)",
            &[&tenant],
        )
        .await?;
    Ok(())
}

/// An event that queues anew: its number, its study, and when it is due.
pub(super) struct Anew {
    pub(super) seq: i64,
    pub(super) study: [u8; 16],
    pub(super) due_at: i64,
}

/// Puts events at the end of their studies' queues, as if they had just come. Their studies are locked.
pub(super) async fn queue_anew(session: &mut Session, events: &[Anew], now: i64) -> Result<(), Fault> {
    let studies: Vec<&[u8]> = events.iter().map(|event| &event.study[..]).collect();
    let waited = session
        .query(
            "SELECT DISTINCT study FROM events WHERE study = ANY ($1::bytea[]) AND state < 3",
            &[&studies],
        )
        .await?;
    let mut waited: HashSet<[u8; 16]> = waited.iter().map(|row| tag(row, 0)).collect::<Result<_, _>>()?;
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let numbers = session.query(super::arrive::NUMBERS, &[&count]).await?;
    let mut places: Vec<i64> = numbers.iter().map(|row| row.get(0)).collect();
    places.sort_unstable();
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let due: Vec<i64> = events.iter().map(|event| event.due_at).collect();
    let heads: Vec<bool> = events.iter().map(|event| waited.insert(event.study)).collect();
    session
        .execute(
            "UPDATE events e SET state = 0, since = $5, queued_at = $5, due_at = u.due_at, place = u.place, head = u.head,
               attempts = 0, reason = NULL
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) AS u (seq, due_at, place, head)
             WHERE e.seq = u.seq",
            &[&seqs, &due, &places, &heads, &now],
        )
        .await?;
    Ok(())
}
