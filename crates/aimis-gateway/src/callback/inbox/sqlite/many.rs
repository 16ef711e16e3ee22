//! Changes of many events: redeliver, release, remove, and what retention does by itself.
//!
//! The reader finds what matches; the writer changes it in slices, so that arrivals wait for one slice at most. Each
//! event is judged again when its turn comes, since it may have moved on.

use std::sync::Arc;

use rusqlite::params;

use super::read::{self, Found, Reader, millis};
use super::writer::{Calls, Store};
use crate::callback::inbox::rules::later;
use crate::callback::inbox::{Filter, InboxError, Pace, Retained, Run, State, Touched};
use crate::clock::Clock;

/// Events changed in one transaction.
const SLICE: usize = 200;

/// The slice to go on with when this one found no room in the log of a full disk; `None` when it cannot be smaller.
fn smaller(slice: usize) -> Option<usize> {
    (slice > 1).then(|| (slice / 8).max(1))
}

/// What such a change needs.
pub(super) struct Hands {
    pub(super) calls: Calls,
    pub(super) reader: Arc<Reader>,
    pub(super) clock: Clock,
}

impl Hands {
    /// Does `change` to each event that matches `filter` and for which `fits`, in the order of delivery.
    async fn each(
        self,
        filter: Filter,
        run: Run,
        fits: fn(&Found) -> bool,
        change: impl Fn(&mut Store, &Found, u64) -> rusqlite::Result<()> + Clone + Send + 'static,
    ) -> Result<Touched, InboxError> {
        let found = self
            .reader
            .call(move |connection| read::find(connection, &filter))
            .await?;
        let mut touched = Touched {
            matched: found.len() as u64,
            ..Touched::default()
        };
        touched.wiped = found.iter().filter(|event| event.is_wiped()).count() as u64;
        let chosen: Vec<Found> = found.into_iter().filter(fits).collect();
        if run == Run::Preview {
            touched.changed = chosen.len() as u64;
            return Ok(touched);
        }
        let (mut rest, mut slice) = (&chosen[..], SLICE);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(slice.min(rest.len()));
            let (events, change, done) = (now.to_vec(), change.clone(), touched.changed);
            let work = move |store: &mut Store| {
                let mut changed = 0;
                for event in &events {
                    if store.find_again(event.seq)?.is_some_and(|now| fits(&now)) {
                        change(store, event, done + changed)?;
                        changed += 1;
                    }
                }
                Ok(changed)
            };
            match (self.calls.call(work).await, smaller(slice)) {
                (Err(InboxError::DiskFull), Some(smaller)) => slice = smaller,
                (changed, _) => {
                    touched.changed += changed?;
                    rest = later;
                }
            }
        }
        Ok(touched)
    }
}

pub(super) async fn redeliver(hands: Hands, filter: Filter, pace: Pace, run: Run) -> Result<Touched, InboxError> {
    let start = hands.clock.now();
    let fits = |event: &Found| matches!(event.state, State::Dead | State::Delivered) && !event.is_wiped();
    let change = move |store: &mut Store, event: &Found, place: u64| {
        let pause = pace.per_minute.map_or(0, |rate| place * 60_000 / u64::from(rate.get()));
        let due_at = later(start, std::time::Duration::from_millis(pause));
        store.queue_anew(event.seq, millis(due_at))
    };
    hands.each(filter, run, fits, change).await
}

pub(super) async fn release(hands: Hands, filter: Filter, run: Run) -> Result<Touched, InboxError> {
    let fits = |event: &Found| event.state == State::Quarantined;
    let change = |store: &mut Store, event: &Found, _| {
        let now = millis(store.now());
        store.queue_anew(event.seq, now)
    };
    hands.each(filter, run, fits, change).await
}

pub(super) async fn remove(hands: Hands, filter: Filter, run: Run) -> Result<Touched, InboxError> {
    let fits = |event: &Found| !event.state.is_live();
    let change = |store: &mut Store, event: &Found, _| store.forget(event.seq);
    hands.each(filter, run, fits, change).await
}

/// Slice by slice until nothing is left that is too old.
pub(super) async fn retain(hands: Hands) -> Result<Retained, InboxError> {
    let (mut all, mut slice) = (Retained::default(), SLICE);
    loop {
        let retained = hands.calls.call(move |store| store.retain(slice)).await;
        match (retained, smaller(slice)) {
            (Err(InboxError::DiskFull), Some(smaller)) => slice = smaller,
            (retained, _) => {
                let (done, more) = retained?;
                all.wiped += done.wiped;
                all.forgotten += done.forgotten;
                if !more {
                    return Ok(all);
                }
            }
        }
    }
}

impl Store {
    fn find_again(&self, seq: i64) -> rusqlite::Result<Option<Found>> {
        read::find_one(&self.connection, seq)
    }

    fn forget(&mut self, seq: i64) -> rusqlite::Result<()> {
        self.wipe(seq)?;
        self.connection
            .prepare_cached("DELETE FROM events WHERE seq = ?1")?
            .execute([seq])?;
        Ok(())
    }

    fn wipe(&mut self, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM payloads WHERE seq = ?1")?
            .execute([seq])?;
        Ok(())
    }

    /// One slice of retention, and whether there is more.
    fn retain(&mut self, slice: usize) -> rusqlite::Result<(Retained, bool)> {
        let now = self.now();
        let before = |age: std::time::Duration| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            now.as_millis().saturating_sub(age).cast_signed()
        };
        let wiped = self.older(
            "SELECT seq FROM events WHERE state = 5 AND bytes > 0 = 1 AND since < ?1 LIMIT ?2",
            before(self.settings.delivered_body),
            slice,
        )?;
        for seq in &wiped {
            self.wipe(*seq)?;
            self.connection
                .prepare_cached("UPDATE events SET bytes = 0 WHERE seq = ?1")?
                .execute([seq])?;
        }
        let forgotten = self.older(
            "SELECT seq FROM events WHERE state = 5 AND bytes > 0 = 0 AND since < ?1 LIMIT ?2",
            before(self.settings.delivered_record),
            slice,
        )?;
        for seq in &forgotten {
            self.forget(*seq)?;
        }
        let signatures = self
            .connection
            .prepare_cached(
                "DELETE FROM signatures WHERE (triple, body) IN
                 (SELECT triple, body FROM signatures WHERE forget_at < ?1 ORDER BY forget_at LIMIT ?2)",
            )?
            .execute(params![millis(now), slice])?;
        // Acts are in the order of their time, so the oldest tell whether there is anything to do.
        let acts = self
            .connection
            .prepare_cached("DELETE FROM acts WHERE at < ?1 AND number < (SELECT min(number) FROM acts) + ?2")?
            .execute(params![before(self.settings.acts), slice])?;
        // Gives pages that are free back to the disk, a few at a time.
        let free = self.free_pages()?;
        self.connection
            .prepare(&format!("PRAGMA incremental_vacuum({slice})"))?
            .query_map([], |_| Ok(()))?
            .collect::<rusqlite::Result<()>>()?;
        let left = self.free_pages()?;
        let done = Retained {
            wiped: wiped.len() as u64,
            forgotten: forgotten.len() as u64,
        };
        // Where the disk is about to be full, all of them: what arrives could not use them before.
        let gives_back = self.room.is_short() && (1..free).contains(&left);
        let more = gives_back || [wiped.len(), forgotten.len(), signatures, acts].contains(&slice);
        Ok((done, more))
    }

    fn free_pages(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row([], |row| row.get(0))
    }

    fn older(&self, statement: &str, before: i64, slice: usize) -> rusqlite::Result<Vec<i64>> {
        self.connection
            .prepare_cached(statement)?
            .query_map(params![before, slice], |row| row.get(0))?
            .collect()
    }
}
