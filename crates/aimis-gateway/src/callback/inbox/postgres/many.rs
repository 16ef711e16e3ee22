//! Changes of many events: redeliver, release, remove, and what retention does by itself.
//!
//! The events that match are found first and changed in slices, so that arrivals wait for one slice at most. Each event
//! is judged again when its turn comes, under the lock of its study, since it may have moved on.

use std::sync::Arc;
use std::time::Duration;

use super::Common;
use super::deliver::{Anew, lock_studies, queue_anew};
use super::line::Calls;
use super::read::{self, Chosen};
use super::rows::{millis, state, tag, timestamp};
use super::schema::{self, RETAINING};
use super::session::{Fault, Session};
use crate::callback::inbox::rules::later;
use crate::callback::inbox::{Filter, InboxError, Pace, Retained, Run, State, Touched};

/// Events changed in one transaction.
const SLICE: usize = 200;

/// What such a change needs.
pub(super) struct Hands {
    pub(super) work: Calls,
    pub(super) read: Calls,
    pub(super) common: Arc<Common>,
}

/// What is done to an event.
#[derive(Clone, Copy)]
enum Change {
    /// Queued anew; each of them so much later than the one before.
    Queue(Pace),
    /// Forgotten.
    Forget,
}

impl Hands {
    /// Does `change` to each event that matches `filter` and for which `fits`, in the order of delivery.
    async fn each(
        self,
        filter: Filter,
        run: Run,
        fits: fn(State, bool) -> bool,
        change: Change,
    ) -> Result<Touched, InboxError> {
        let found = self
            .read
            .call(async move |session: &mut Session| read::find(session, &filter).await)
            .await?;
        let mut touched = Touched {
            matched: found.len() as u64,
            ..Touched::default()
        };
        touched.wiped = found.iter().filter(|event| event.wiped).count() as u64;
        let chosen: Vec<Chosen> = found
            .into_iter()
            .filter(|event| fits(event.state, event.wiped))
            .collect();
        if run == Run::Preview {
            touched.changed = chosen.len() as u64;
            return Ok(touched);
        }
        let mut start = None;
        for slice in chosen.chunks(SLICE) {
            let (slice, done, common) = (slice.to_vec(), touched.changed, Arc::clone(&self.common));
            let work = async move |session: &mut Session| {
                let slice = Slice {
                    events: &slice,
                    fits,
                    change,
                    done,
                    start,
                };
                slice.change(session, &common).await
            };
            let (changed, began) = self.work.call(work).await?;
            start = Some(began);
            touched.changed += changed;
        }
        Ok(touched)
    }
}

/// Some of the events, and what is done to them.
struct Slice<'a> {
    events: &'a [Chosen],
    fits: fn(State, bool) -> bool,
    change: Change,
    /// How many were changed before.
    done: u64,
    /// When the first slice was.
    start: Option<i64>,
}

impl Slice<'_> {
    /// How many were changed, and when the first slice was.
    async fn change(&self, session: &mut Session, common: &Common) -> Result<(u64, i64), Fault> {
        let studies: Vec<[u8; 16]> = self.events.iter().map(|event| event.study).collect();
        let seqs: Vec<i64> = self.events.iter().map(|event| event.seq).collect();
        schema::begin(session).await?;
        let now = lock_studies(session, common, &studies).await?;
        let start = self.start.unwrap_or(now);
        let rows = session
            .query(
                "SELECT seq, state, bytes, study FROM events WHERE seq = ANY ($1::bigint[]) ORDER BY place FOR UPDATE",
                &[&seqs],
            )
            .await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            if (self.fits)(state(row.get(1))?, row.get::<_, i64>(2) == 0) {
                let pause = match self.change {
                    Change::Queue(pace) => pace.per_minute.map_or(0, |rate| {
                        (self.done + events.len() as u64) * 60_000 / u64::from(rate.get())
                    }),
                    Change::Forget => 0,
                };
                events.push(Anew {
                    seq: row.get(0),
                    study: tag(row, 3)?,
                    due_at: millis(later(timestamp(start), Duration::from_millis(pause))),
                });
            }
        }
        match self.change {
            Change::Queue(_) => queue_anew(session, &events, now).await?,
            Change::Forget => {
                let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
                for sql in [
                    "DELETE FROM payloads WHERE seq = ANY ($1::bigint[])",
                    "DELETE FROM events WHERE seq = ANY ($1::bigint[])",
                ] {
                    session.execute(sql, &[&seqs]).await?;
                }
            }
        }
        session.commit().await?;
        common.changed();
        Ok((events.len() as u64, start))
    }
}

pub(super) async fn redeliver(hands: Hands, filter: Filter, pace: Pace, run: Run) -> Result<Touched, InboxError> {
    let fits = |state, wiped: bool| matches!(state, State::Dead | State::Delivered) && !wiped;
    hands.each(filter, run, fits, Change::Queue(pace)).await
}

pub(super) async fn release(hands: Hands, filter: Filter, run: Run) -> Result<Touched, InboxError> {
    let fits = |state, _| state == State::Quarantined;
    hands.each(filter, run, fits, Change::Queue(Pace::default())).await
}

pub(super) async fn remove(hands: Hands, filter: Filter, run: Run) -> Result<Touched, InboxError> {
    let fits = |state: State, _| !state.is_live();
    hands.each(filter, run, fits, Change::Forget).await
}

/// Slice by slice until nothing is left that is too old. Of several gateways one does it at a time.
pub(super) async fn retain(hands: Hands) -> Result<Retained, InboxError> {
    let mut all = Retained::default();
    loop {
        let common = Arc::clone(&hands.common);
        let slice = async move |session: &mut Session| retain_slice(session, &common).await;
        let Some((done, more)) = hands.work.call(slice).await? else {
            return Ok(all);
        };
        all.wiped += done.wiped;
        all.forgotten += done.forgotten;
        if !more {
            return Ok(all);
        }
    }
}

/// One slice, and whether there is more; `None` while another gateway is at it.
async fn retain_slice(session: &mut Session, common: &Common) -> Result<Option<(Retained, bool)>, Fault> {
    schema::begin(session).await?;
    if !schema::try_lock(session, RETAINING).await? {
        session.undo().await?;
        return Ok(None);
    }
    let now: i64 = session.one(super::NOW, &[&common.time.given()]).await?.get(0);
    let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let slice = SLICE as i64;
    let settings = &common.settings;
    let wiped = session
        .execute(WIPE, &[&before(settings.delivered_body), &slice])
        .await?;
    let forgotten = session
        .execute(FORGET, &[&before(settings.delivered_record), &slice])
        .await?;
    let signatures = session.execute(FORGET_SIGNATURES, &[&now, &slice]).await?;
    let acts = session.execute(FORGET_ACTS, &[&before(settings.acts), &slice]).await?;
    let more = [wiped, forgotten, signatures, acts].contains(&(SLICE as u64));
    if !more {
        session.execute(FOLD, &[]).await?;
    }
    session.commit().await?;
    Ok(Some((Retained { wiped, forgotten }, more)))
}

const WIPE: &str = "
    WITH old AS MATERIALIZED (
      SELECT seq FROM events WHERE state = 5 AND (bytes > 0) = true AND since < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    ), gone AS (DELETE FROM payloads USING old WHERE payloads.seq = old.seq)
    UPDATE events SET bytes = 0, key = NULL FROM old WHERE events.seq = old.seq";
const FORGET: &str = "
    WITH old AS MATERIALIZED (
      SELECT seq FROM events WHERE state = 5 AND (bytes > 0) = false AND since < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM events USING old WHERE events.seq = old.seq";
const FORGET_SIGNATURES: &str = "
    DELETE FROM signatures WHERE (triple, body) IN
      (SELECT triple, body FROM signatures WHERE forget_at < $1 ORDER BY forget_at LIMIT $2)";
const FORGET_ACTS: &str = "
    DELETE FROM acts WHERE number IN (SELECT number FROM acts WHERE at < $1 ORDER BY number LIMIT $2)";
/// Adds up what changed, so that reading the counts stays cheap.
const FOLD: &str = "
    WITH gone AS (DELETE FROM tally RETURNING tenant, state, key, items, bytes)
    INSERT INTO tally (tenant, state, key, items, bytes)
    SELECT tenant, state, key, sum(items), sum(bytes) FROM gone GROUP BY 1, 2, 3
    HAVING sum(items) <> 0 OR sum(bytes) <> 0";
