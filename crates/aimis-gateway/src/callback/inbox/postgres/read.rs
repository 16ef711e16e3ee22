//! Looking: list, show, stats, verify, on a connection of their own, so that a long look holds nobody up.

use tokio_postgres::Row;

use super::Common;
use super::ring::Ring;
use super::rows::{millis, state, tag, timestamp, verified};
use super::session::{Fault, Params, Session};
use crate::callback::event::EventId;
use crate::callback::inbox::keys::{KeyId, Unopened};
use crate::callback::inbox::{Filter, Reason, Shown, State, Stats, Summary, Verdict};
use crate::tenant::TenantName;

/// Faults and broken events that a verdict names.
const NAMED: usize = 100;
/// Events that are read at a time.
const PAGE: i64 = 500;

/// What bulk changes know of an event.
#[derive(Clone)]
pub(super) struct Chosen {
    pub(super) seq: i64,
    pub(super) state: State,
    pub(super) wiped: bool,
    pub(super) study: [u8; 16],
}

/// A filter as parameters: what is not said is NULL.
struct Wanted {
    ids: Option<Vec<Vec<u8>>>,
    states: Option<Vec<i16>>,
    tenant: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

/// The condition that goes with it: the first five parameters.
macro_rules! wanted {
    () => {
        "($1::bytea[] IS NULL OR e.id = ANY ($1)) AND ($2::smallint[] IS NULL OR e.state = ANY ($2))
         AND ($3::text IS NULL OR name = $3) AND ($4::bigint IS NULL OR received_at >= $4)
         AND ($5::bigint IS NULL OR received_at < $5)"
    };
}

impl Wanted {
    fn new(filter: &Filter) -> Self {
        Self {
            ids: filter
                .ids
                .as_ref()
                .map(|ids| ids.iter().map(|id| id.as_bytes().to_vec()).collect()),
            states: filter
                .states
                .as_ref()
                .map(|states| states.iter().map(|state| state.index() as i16).collect()),
            tenant: filter.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
            from: filter.from.map(millis),
            to: filter.to.map(millis),
        }
    }
}

/// Asks without a prepared statement that is kept, so that each filter has a plan of its own.
async fn ask(session: &mut Session, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
    Ok(session.client.query(sql, params).await?)
}

/// Events that match, in the order of delivery.
pub(super) async fn find(session: &mut Session, filter: &Filter) -> Result<Vec<Chosen>, Fault> {
    let wanted = Wanted::new(filter);
    let sql = concat!(
        "SELECT seq, state, bytes, study FROM events e JOIN tenants ON number = tenant WHERE ",
        wanted!(),
        " ORDER BY place"
    );
    let params: Params<'_> = &[&wanted.ids, &wanted.states, &wanted.tenant, &wanted.from, &wanted.to];
    let rows = ask(session, sql, params).await?;
    rows.iter()
        .map(|row| {
            Ok(Chosen {
                seq: row.get(0),
                state: state(row.get(1))?,
                wiped: row.get::<_, i64>(2) == 0,
                study: tag(row, 3)?,
            })
        })
        .collect()
}

/// A page of events.
pub(super) async fn list(
    session: &mut Session,
    filter: &Filter,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<Summary>, Fault> {
    let wanted = Wanted::new(filter);
    // It may be gone by now: then from behind the last before its millisecond, which ids have in front.
    let sql = concat!(
        "SELECT e.id, name, state, verified, received_at, since, due_at, attempts, reason, bytes
         FROM events e JOIN tenants ON number = tenant WHERE ",
        wanted!(),
        " AND ($6::bytea IS NULL OR seq > coalesce(
             (SELECT seq FROM events WHERE id = $6),
             (SELECT seq FROM events WHERE id < substring($6 FOR 6) ORDER BY id DESC LIMIT 1), 0))
         ORDER BY seq LIMIT $7"
    );
    let after = after.map(|id| id.as_bytes().to_vec());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params: Params<'_> = &[
        &wanted.ids,
        &wanted.states,
        &wanted.tenant,
        &wanted.from,
        &wanted.to,
        &after,
        &limit,
    ];
    ask(session, sql, params).await?.iter().map(summary).collect()
}

fn summary(row: &Row) -> Result<Summary, Fault> {
    let state = state(row.get(2))?;
    Ok(Summary {
        id: EventId::from_bytes(tag(row, 0)?),
        tenant: TenantName::new(row.get(1)),
        state,
        verified: verified(row.get(3)),
        received_at: timestamp(row.get(4)),
        since: timestamp(row.get(5)),
        due_at: state.is_live().then_some(timestamp(row.get(6))),
        attempts: row.get::<_, i32>(7).unsigned_abs(),
        reason: row.get::<_, Option<String>>(8).map(Reason::stored),
        bytes: row.get::<_, i64>(9).unsigned_abs(),
    })
}

/// An event with its payload as it is stored.
pub(super) struct Stored {
    pub(super) summary: Summary,
    sealed: Option<(Vec<u8>, Vec<u8>)>,
}

impl Stored {
    fn read(row: &Row) -> Result<Self, Fault> {
        let key: Option<Vec<u8>> = row.get(10);
        Ok(Self {
            summary: summary(row)?,
            sealed: key.zip(row.get(11)),
        })
    }

    /// Opens the payload.
    pub(super) fn open(self, ring: &Ring) -> Result<Shown, Unopened> {
        let Self { summary, sealed } = self;
        let payload = match sealed {
            Some((key, sealed)) => Some(ring.open(&key, &summary.tenant, summary.id, sealed)?),
            None if summary.bytes > 0 => return Err(Unopened),
            None => None,
        };
        Ok(Shown { summary, payload })
    }
}

/// One event.
pub(super) async fn show(session: &mut Session, id: EventId) -> Result<Option<Stored>, Fault> {
    let sql = "
        SELECT e.id, name, state, verified, received_at, since, due_at, attempts, reason, bytes, keys.id, sealed
        FROM events e JOIN tenants ON tenants.number = tenant
        LEFT JOIN payloads USING (seq) LEFT JOIN keys ON keys.number = key WHERE e.id = $1";
    let rows = session.query(sql, &[&&id.as_bytes()[..]]).await?;
    rows.first().map(Stored::read).transpose()
}

/// The counts that the metrics show.
pub(super) async fn counts(session: &mut Session) -> Result<Stats, Fault> {
    let items = session
        .query(
            "SELECT name, state, sum(items)::bigint FROM tally JOIN tenants ON number = tenant
             GROUP BY name, state HAVING sum(items) > 0 ORDER BY name, state",
            &[],
        )
        .await?;
    let items = items
        .iter()
        .map(|row| {
            let count = row.get::<_, i64>(2).unsigned_abs();
            Ok((TenantName::new(row.get(0)), state(row.get(1))?, count))
        })
        .collect::<Result<_, Fault>>()?;
    let oldest: Option<i64> = session
        .one("SELECT min(queued_at) FROM events WHERE state < 3", &[])
        .await?
        .get(0);
    Ok(Stats {
        items,
        oldest: oldest.map(timestamp),
        ..Stats::default()
    })
}

/// Bytes that our tables take on the database's disk.
pub(super) async fn disk_bytes(session: &mut Session) -> Result<u64, Fault> {
    let sql = "
        SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'aimis_inbox' AND relkind = 'r'";
    Ok(session.one(sql, &[]).await?.get::<_, i64>(0).unsigned_abs())
}

/// What is in the store.
pub(super) async fn stats(session: &mut Session, max_bytes: u64) -> Result<Stats, Fault> {
    let mut stats = counts(session).await?;
    stats.disk_bytes = disk_bytes(session).await?;
    stats.disk_limit = max_bytes;
    let quarantined = session
        .one("SELECT coalesce(sum(bytes), 0)::bigint FROM tally WHERE state = 4", &[])
        .await?;
    stats.quarantine_bytes = quarantined.get::<_, i64>(0).unsigned_abs();
    let keys = session
        .query(
            "SELECT id, coalesce(sum(items), 0)::bigint FROM keys LEFT JOIN tally ON key = number
             GROUP BY number, id ORDER BY number",
            &[],
        )
        .await?;
    for row in &keys {
        let id = row.get::<_, &[u8]>(0).try_into().map_err(|_| Fault::Row)?;
        let rows = row.get::<_, i64>(1).unsigned_abs();
        stats.keys.push((KeyId::from_bytes(id).to_string(), rows));
    }
    let parked = session
        .query("SELECT name FROM tenants WHERE parked ORDER BY name", &[])
        .await?;
    stats.parked = parked.iter().map(|row| TenantName::new(row.get(0))).collect();
    Ok(stats)
}

/// Reads everything, and opens every payload; what it compares is of one moment.
pub(super) async fn verify(session: &mut Session, common: &Common) -> Result<Verdict, Fault> {
    let ring = common.rings.now();
    let mut verdict = Verdict::default();
    session
        .client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    for (rule, counted) in INVARIANTS {
        let broken: i64 = session.one(counted, &[]).await?.get(0);
        if broken > 0 {
            verdict.faults.push(format!("{rule}: {broken}"));
        }
    }
    let mut after = 0_i64;
    loop {
        let rows = session.query(PAGES, &[&after, &PAGE]).await?;
        let Some(last) = rows.last() else { break };
        after = last.get(12);
        for row in &rows {
            let event = Stored::read(row)?;
            verdict.events += 1;
            if event.summary.bytes == 0 {
                continue;
            }
            let id = event.summary.id;
            if event.open(&ring).is_ok() {
                verdict.opened += 1;
            } else if verdict.broken.len() < NAMED {
                verdict.broken.push(id);
            }
        }
    }
    session.undo().await?;
    Ok(verdict)
}

const PAGES: &str = "
    SELECT e.id, name, state, verified, received_at, since, due_at, attempts, reason, bytes, keys.id, sealed, e.seq
    FROM events e JOIN tenants ON tenants.number = tenant
    LEFT JOIN payloads USING (seq) LEFT JOIN keys ON keys.number = key WHERE e.seq > $1 ORDER BY e.seq LIMIT $2";

/// What always holds, beyond what the database itself checks.
const INVARIANTS: [(&str, &str); 3] = [
    (
        "studies whose first event is not the one that can be leased",
        "SELECT count(*) FROM (SELECT min(place) AS first, max(place) FILTER (WHERE head) AS head FROM events
         WHERE state < 3 GROUP BY study) AS studies WHERE head IS DISTINCT FROM first",
    ),
    (
        "payloads without an event",
        "SELECT count(*) FROM payloads WHERE NOT EXISTS (SELECT FROM events e WHERE e.seq = payloads.seq AND bytes > 0)",
    ),
    (
        "counts that are not those of the events",
        "SELECT count(*) FROM (
           SELECT tenant, state, key, count(*) AS items, sum(bytes) AS bytes FROM events GROUP BY 1, 2, 3) AS real
         FULL JOIN (
           SELECT tenant, state, key, sum(items) AS items, sum(bytes) AS bytes FROM tally GROUP BY 1, 2, 3
           HAVING sum(items) <> 0 OR sum(bytes) <> 0) AS told
         ON real.tenant = told.tenant AND real.state = told.state AND coalesce(real.key, 0) = coalesce(told.key, 0)
         WHERE (real.items, real.bytes) IS DISTINCT FROM (told.items, told.bytes)",
    ),
];
