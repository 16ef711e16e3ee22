//! Reading: a thread and a connection of its own, so that a long look holds nobody up.

use aimis_core::sign::Timestamp;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use super::{Opener, Settings};
use crate::callback::event::{EventId, Tag, Verified};
use crate::callback::inbox::keys::KeyId;
use crate::callback::inbox::{Filter, InboxError, Reason, Shown, State, Stats, Summary, Verdict};
use crate::disk;
use crate::tenant::TenantName;

/// Questions that may wait for the reader.
const QUEUE: usize = 64;
/// Faults and broken events that a verdict names.
const NAMED: usize = 100;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The thread that reads; it ends when nobody can ask any more.
pub(super) struct Reader {
    questions: mpsc::Sender<Question>,
}

impl Reader {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (questions, mut asked) = mpsc::channel::<Question>(QUEUE);
        std::thread::Builder::new()
            .name("aimis-inbox-read".to_owned())
            .spawn(move || {
                while let Some(question) = asked.blocking_recv() {
                    question(&connection);
                }
            })?;
        Ok(Self { questions })
    }

    /// Asks, once the queue has room.
    pub(super) fn call<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, InboxError>> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            let _ = reply.send(ask(connection).map_err(|_| InboxError::Failed));
        });
        let questions = self.questions.clone();
        async move {
            questions.send(question).await.map_err(|_| InboxError::Closed)?;
            drop(questions);
            answer.await.unwrap_or(Err(InboxError::Failed))
        }
        .boxed()
    }
}

/// What retention and bulk changes know of an event.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) seq: i64,
    pub(super) state: State,
    pub(super) bytes: i64,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            state: state(row, 1)?,
            bytes: row.get(2)?,
        })
    }

    pub(super) fn is_wiped(&self) -> bool {
        self.bytes == 0
    }
}

/// An event with its payload as it is stored.
pub(super) struct Stored {
    pub(super) summary: Summary,
    sealed: Option<([u8; 8], Vec<u8>)>,
}

impl Stored {
    /// Opens the payload.
    pub(super) fn open(self, opener: &Opener) -> Result<Shown, super::Unopened> {
        let Self { summary, sealed } = self;
        let payload = match sealed {
            Some((key, sealed)) => Some(opener.open(key, &summary.tenant, summary.id, sealed)?),
            None if summary.bytes > 0 => return Err(super::Unopened),
            None => None,
        };
        Ok(Shown { summary, payload })
    }
}

/// Events that match, in the order of delivery.
pub(super) fn find(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Found>> {
    let (condition, values) = condition(filter);
    connection
        .prepare(&format!(
            "SELECT seq, state, bytes FROM events JOIN tenants ON number = tenant WHERE {condition} ORDER BY place"
        ))?
        .query_map(params_from_iter(values), Found::read)?
        .collect()
}

/// One event.
pub(super) fn find_one(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached("SELECT seq, state, bytes FROM events WHERE seq = ?1")?
        .query_row([seq], Found::read)
        .optional()
}

const SUMMARY: &str = "events.id, name, state, verified, received_at, since, due_at, attempts, reason, bytes";

/// A page of events.
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    after: Option<EventId>,
    limit: usize,
) -> rusqlite::Result<Vec<Summary>> {
    let (mut condition, mut values) = condition(filter);
    if let Some(after) = after {
        // It may be gone by now: then from behind the last before its millisecond, which ids have in front.
        condition.push_str(
            " AND seq > coalesce((SELECT seq FROM events WHERE id = ?),
                                 (SELECT seq FROM events WHERE id < ? ORDER BY id DESC LIMIT 1), 0)",
        );
        let id = after.as_bytes();
        values.extend([&id[..], &id[..6]].map(|bytes| Value::Blob(bytes.to_vec())));
    }
    values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    connection
        .prepare(&format!(
            "SELECT {SUMMARY} FROM events JOIN tenants ON number = tenant WHERE {condition} ORDER BY seq LIMIT ?"
        ))?
        .query_map(params_from_iter(values), summary)?
        .collect()
}

/// One event.
pub(super) fn show(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Stored>> {
    connection
        .prepare_cached(&format!("{STORED} WHERE events.id = ?1"))?
        .query_row([id.as_bytes()], stored)
        .optional()
}

const STORED: &str =
    "SELECT events.id, name, state, verified, received_at, since, due_at, attempts, reason, bytes, keys.id, sealed
     FROM events JOIN tenants ON tenants.number = tenant
     LEFT JOIN payloads ON payloads.seq = events.seq LEFT JOIN keys ON keys.number = payloads.key";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let key: Option<[u8; 8]> = row.get(10)?;
    let sealed: Option<Vec<u8>> = row.get(11)?;
    Ok(Stored {
        summary: summary(row)?,
        sealed: key.zip(sealed),
    })
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let state = state(row, 2)?;
    let name: String = row.get(1)?;
    let reason: Option<String> = row.get(8)?;
    Ok(Summary {
        id: EventId::from_bytes(row.get(0)?),
        tenant: TenantName::new(&name),
        state,
        verified: verified(row.get(3)?),
        received_at: timestamp(row.get(4)?),
        since: timestamp(row.get(5)?),
        due_at: state.is_live().then_some(timestamp(row.get(6)?)),
        attempts: row.get(7)?,
        reason: reason.map(Reason::stored),
        bytes: row.get::<_, i64>(9)?.unsigned_abs(),
    })
}

/// The counts that the metrics show: cheap, since triggers keep them.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Stats> {
    let items = connection
        .prepare_cached("SELECT name, state, items FROM tally JOIN tenants ON number = tenant ORDER BY name, state")?
        .query_map([], |row| {
            let name: String = row.get(0)?;
            Ok((
                TenantName::new(&name),
                state(row, 1)?,
                row.get::<_, i64>(2)?.unsigned_abs(),
            ))
        })?
        .collect::<Result<_, _>>()?;
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(queued_at) FROM events WHERE state < 3")?
        .query_row([], |row| row.get(0))?;
    Ok(Stats {
        items,
        oldest: oldest.map(timestamp),
        ..Stats::default()
    })
}

/// What is in the store.
pub(super) fn stats(connection: &Connection, settings: &Settings) -> rusqlite::Result<Stats> {
    let mut stats = counts(connection)?;
    stats.disk_bytes = disk::size_of(&settings.path) + disk::size_of(&super::room::log_of(&settings.path));
    stats.disk_limit = settings.max_bytes;
    stats.quarantine_bytes = connection
        .query_row("SELECT coalesce(sum(bytes), 0) FROM tally WHERE state = 4", [], |row| {
            row.get::<_, i64>(0)
        })?
        .unsigned_abs();
    stats.keys = connection
        .prepare("SELECT id, rows FROM keys ORDER BY number")?
        .query_map([], |row| {
            Ok((
                KeyId::from_bytes(row.get(0)?).to_string(),
                row.get::<_, i64>(1)?.unsigned_abs(),
            ))
        })?
        .collect::<Result<_, _>>()?;
    stats.parked = connection
        .prepare("SELECT name FROM tenants WHERE parked = 1 ORDER BY name")?
        .query_map([], |row| row.get::<_, String>(0).map(|name| TenantName::new(&name)))?
        .collect::<Result<_, _>>()?;
    Ok(stats)
}

/// Reads everything, and opens every payload.
pub(super) fn verify(connection: &Connection, opens: impl Fn(Stored) -> bool) -> rusqlite::Result<Verdict> {
    let mut verdict = Verdict::default();
    let faults = connection
        .prepare(&format!("PRAGMA integrity_check({NAMED})"))?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    verdict.faults.extend(faults.into_iter().filter(|fault| fault != "ok"));
    for (rule, counted) in INVARIANTS {
        let broken: i64 = connection.query_row(counted, [], |row| row.get(0))?;
        if broken > 0 {
            verdict.faults.push(format!("{rule}: {broken}"));
        }
    }
    let mut statement = connection.prepare(&format!("{STORED} ORDER BY events.seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let event = stored(row)?;
        verdict.events += 1;
        if event.summary.bytes == 0 {
            continue;
        }
        let id = event.summary.id;
        if opens(event) {
            verdict.opened += 1;
        } else if verdict.broken.len() < NAMED {
            verdict.broken.push(id);
        }
    }
    Ok(verdict)
}

/// What always holds, beyond what the database itself checks.
const INVARIANTS: [(&str, &str); 5] = [
    (
        "studies whose first event is not the one that can be leased",
        "SELECT count(*) FROM (SELECT min(place) AS first, max(CASE WHEN head = 1 THEN place END) AS head FROM events WHERE state < 3 GROUP BY study) WHERE head IS NOT first",
    ),
    (
        "studies with several events that can be leased",
        "SELECT count(*) FROM (SELECT 1 FROM events WHERE head = 1 GROUP BY study HAVING count(*) > 1)",
    ),
    (
        "events that can be leased and should not",
        "SELECT count(*) FROM events WHERE head = 1 AND state >= 3",
    ),
    (
        "events that were leased behind others of their study",
        "SELECT count(*) FROM events WHERE state = 1 AND head = 0",
    ),
    (
        "counts that are not those of the events",
        "SELECT count(*) FROM (SELECT tenant, state, count(*) AS items, sum(bytes) AS bytes FROM events GROUP BY tenant, state EXCEPT SELECT tenant, state, items, bytes FROM tally)",
    ),
];

/// The condition of a filter, with a `?` for each value.
fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut condition = String::from("1");
    let mut values = Vec::new();
    let mut one_of = |column: &str, wanted: Vec<Value>| {
        let marks = vec!["?"; wanted.len()].join(", ");
        condition.push_str(&format!(" AND {column} IN ({marks})"));
        values.extend(wanted);
    };
    if let Some(ids) = &filter.ids {
        one_of(
            "events.id",
            ids.iter().map(|id| Value::Blob(id.as_bytes().to_vec())).collect(),
        );
    }
    if let Some(states) = &filter.states {
        let numbers = states.iter().map(|state| Value::Integer(state.index() as i64));
        one_of("state", numbers.collect());
    }
    if let Some(tenant) = &filter.tenant {
        one_of("name", vec![Value::Text(tenant.as_str().to_owned())]);
    }
    for (limit, comparison) in [(filter.from, ">="), (filter.to, "<")] {
        if let Some(limit) = limit {
            condition.push_str(&format!(" AND received_at {comparison} ?"));
            values.push(Value::Integer(millis(limit)));
        }
    }
    (condition, values)
}

/// A state as the store has it.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let number: i64 = row.get(column)?;
    let state = usize::try_from(number).ok().and_then(|number| State::ALL.get(number));
    state
        .copied()
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// What is known of a signature, as the store has it; of an unknown number, nothing good.
pub(super) fn verified(number: u8) -> Verified {
    Verified::ALL
        .get(usize::from(number))
        .copied()
        .unwrap_or(Verified::Unsigned)
}

/// A moment as the store has it.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A moment for the store.
pub(super) fn millis(timestamp: Timestamp) -> i64 {
    i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX)
}

/// A tag for the store.
pub(super) fn tag(tag: Tag) -> [u8; 16] {
    *tag.as_bytes()
}
