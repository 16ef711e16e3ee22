//! Known answers: kept for seconds, shared by those who ask the same at one time, dropped when they may be wrong.
//!
//! | file | is about |
//! |---|---|
//! | [`key`] | keyed hashes of questions and patients |
//! | [`directives`] | what a request says about kept answers |
//! | [`terms`] | how long an answer may serve, and what for |
//! | [`entry`] | a kept answer |
//! | `buffers` | what its body lies in |
//! | `store` | kept answers, and which of them goes when room is short |
//! | `patients` | which entries are about a patient |
//! | `shard` | kept answers, flights and the index of patients, under one lock |
//! | [`flight`] | a question on its way, and everybody who waits for it |
//! | [`shared`] | the same where replicas share what they keep |
//! | [`status`] | how an answer came past the cache, for its headers |
//!
//! All workers share one [`Cache`]. It stands behind authorisation, so an answer reaches only who may ask the
//! question, and its keys hold the tenant, so it never reaches another hospital's (P6). What is kept lies in memory
//! only, or sealed where replicas share it. A body is wiped when its last reference goes, which is at once when its entry
//! leaves and nobody sends it. docs/operations.md says how far that reaches.

mod buffers;
pub mod directives;
pub mod entry;
pub mod flight;
pub mod key;
mod patients;
mod shard;
pub mod shared;
pub mod status;
mod store;
pub mod terms;

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock::{Clock, Moment};
use crate::telemetry::cache::CacheMetrics;
use crate::telemetry::metrics::Metrics;
use crate::upstream::reply::Reply;
use buffers::Buffers;
use entry::{Entry, Original, Subject};
use flight::Question;
use key::{CacheKey, CacheKeys};
use shard::{Entered, Removed, Shard, Verdict};
use shared::Shared;
use terms::Life;

/// The most parts, each under a lock of its own that is held for microseconds.
const MOST_PARTS: usize = 16;
/// Entries of the largest size that each part has room for.
const LARGEST_IN_PART: usize = 4;

/// The share of the room that free buffers may take beyond it.
const FREE_SHARE: usize = 64;

/// Milliseconds by which wall time may get ahead of monotonic time from one second to the next.
const SLEPT_MS: i64 = 2_000;

fn wall_ahead(clock: &Clock) -> i64 {
    i64::try_from(clock.now().as_millis())
        .unwrap_or(i64::MAX)
        .saturating_sub(clock.moment().millis())
}

/// Bounds of the memory that answers are kept in.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// `cache.max_bytes`.
    pub all: usize,
    /// `cache.max_entry_bytes`.
    pub one: usize,
}

/// The answers that are kept, and the questions on their way.
pub struct Cache {
    parts: Box<[Mutex<Shard>]>,
    next_swept: AtomicUsize,
    /// Wall time minus monotonic time, in milliseconds, when it was last looked at.
    wall_ahead: AtomicI64,
    buffers: Arc<Buffers>,
    largest: usize,
    room: usize,
    keys: Arc<CacheKeys>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// What replicas share, in place of what would be kept here.
    shared: Option<Arc<Shared>>,
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Answers kept.
    pub entries: usize,
    /// Bytes they take.
    pub bytes: usize,
    /// Bytes they may take.
    pub max_bytes: usize,
}

impl Cache {
    /// An empty cache. Freshness goes by `clock`.
    pub fn new(room: Room, keys: Arc<CacheKeys>, clock: Clock, metrics: Arc<Metrics>) -> Arc<Self> {
        let parts = (room.all / LARGEST_IN_PART / room.one.max(1)).clamp(1, MOST_PARTS);
        let each = room.all / parts;
        Arc::new(Self {
            parts: (0..parts).map(|_| Mutex::new(Shard::new(each))).collect(),
            next_swept: AtomicUsize::new(0),
            wall_ahead: AtomicI64::new(wall_ahead(&clock)),
            buffers: Buffers::new(room.all / FREE_SHARE),
            largest: room.one.min(each),
            room: room.all,
            keys,
            clock,
            metrics,
            shared: None,
        })
    }

    /// The same where replicas share what they keep.
    pub fn sharing(
        shared: Arc<Shared>,
        room: Room,
        keys: Arc<CacheKeys>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let mut cache = Self::new(room, keys, clock, metrics);
        Arc::get_mut(&mut cache).expect("nobody else has it yet").shared = Some(shared);
        cache
    }

    /// What replicas share, if they do.
    pub fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// Drops what is kept about a patient of a tenant, under either number, and keeps nothing that was asked for
    /// before. `None` for a number that is not known. Returns how many answers went. In this process: what replicas share
    /// is dropped by [`Shared`].
    pub fn drop_patient(&self, tenant: &str, id_number: Option<&str>, phone: Option<&str>) -> usize {
        if let Some(shared) = &self.shared {
            return shared.drop_patient_here(tenant, id_number, phone);
        }
        let patient = self.keys.tags(tenant, id_number, phone);
        self.on_every(|part, removed| part.drop_patient(patient, removed))
    }

    /// The same for every patient of a tenant, of an API (by its position), or of all where these are `None`.
    pub fn drop_all(&self, tenant: Option<&str>, api: Option<usize>) -> usize {
        if let Some(shared) = &self.shared {
            return shared.drop_all_here(tenant, api);
        }
        let which = |subject: &Subject| {
            tenant.is_none_or(|tenant| subject.tenant.as_str() == tenant) && api.is_none_or(|api| subject.api == api)
        };
        self.on_every(|part, removed| part.drop_where(which, removed))
    }

    /// Frees what nothing can be served from any more, in one part; called now and then by every worker.
    pub fn sweep(&self) {
        if let Some(shared) = &self.shared {
            return shared.sweep();
        }
        if self.has_slept() {
            self.drop_all(None, None);
        }
        let part = self.next_swept.fetch_add(1, Ordering::Relaxed) % self.parts.len();
        let now = self.now();
        self.on(part, |part, removed| part.sweep(now, removed));
    }

    /// Whether the machine slept: monotonic time stood still meanwhile, and what is kept looks younger than it is. A
    /// clock that was set forward looks the same, and costs no more than a few questions.
    fn has_slept(&self) -> bool {
        let ahead = wall_ahead(&self.clock);
        ahead.saturating_sub(self.wall_ahead.swap(ahead, Ordering::Relaxed)) > SLEPT_MS
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        let CacheMetrics { bytes, entries, .. } = &self.metrics.cache;
        let count = |gauge: &prometheus::IntGauge| usize::try_from(gauge.get()).unwrap_or(0);
        Fill {
            entries: count(entries),
            bytes: count(bytes),
            max_bytes: self.room,
        }
    }

    fn enter(&self, question: Question<'_>, now: Moment, subject: impl FnOnce() -> Subject) -> Entered {
        self.on(self.part(question.key), |part, removed| {
            part.enter(question, now, subject, removed)
        })
        .0
    }

    fn land(&self, key: CacheKey, number: u64, verdict: Verdict) -> bool {
        self.on(self.part(key), |part, removed| part.land(key, number, verdict, removed))
            .0
    }

    /// The answer that may serve where the platform failed. A request that names an age means it here, too.
    fn stale(&self, question: Question<'_>, now: Moment) -> Option<Arc<Entry>> {
        if !question.terms.enabled || question.said.no_cache {
            return None;
        }
        let found = self
            .on(self.part(question.key), |part, _| part.stale(question.key, now))
            .0;
        found.filter(|entry| question.said.max_age.is_none_or(|most| entry.age(now) <= most))
    }

    /// The copy of what replicas share, under this key.
    fn copy(&self, key: CacheKey) -> Option<Arc<Entry>> {
        self.on(self.part(key), |part, _| part.copy(key)).0
    }

    /// Keeps a copy of what replicas share: which of theirs it is, and the answer.
    fn keep_copy(&self, key: CacheKey, original: Original, reply: &Reply, subject: Subject, life: Life) {
        if !self.takes(reply) {
            // Another replica has more room.
            return;
        }
        let entry = Entry::new(reply, &self.buffers, subject, self.now(), life).of(original);
        self.on(self.part(key), |part, removed| {
            part.keep_copy(key, Arc::new(entry), removed);
        });
    }

    /// Whether there is room for a reply.
    fn takes(&self, reply: &Reply) -> bool {
        Entry::cost_of(reply) <= self.largest
    }

    fn now(&self) -> Moment {
        self.clock.moment()
    }

    fn part(&self, key: CacheKey) -> usize {
        key.part(self.parts.len())
    }

    fn on_every(&self, mut act: impl FnMut(&mut Shard, &mut Removed)) -> usize {
        (0..self.parts.len())
            .map(|part| self.on(part, |shard, removed| act(shard, removed)).1)
            .sum()
    }

    /// Does something to a part under its lock, and drops what left it behind the lock. Returns how many left.
    fn on<T>(&self, part: usize, act: impl FnOnce(&mut Shard, &mut Removed) -> T) -> (T, usize) {
        let mut removed = Removed::new();
        let part = &self.parts[part];
        let (done, before, after) = {
            let mut shard = part.lock().unwrap_or_else(|poisoned| {
                // A panic left it half changed, perhaps: what may be wrong is forgotten.
                let mut shard = poisoned.into_inner();
                shard.drop_where(|_| true, &mut removed);
                part.clear_poison();
                shard
            });
            let before = shard.size();
            let done = act(&mut shard, &mut removed);
            (done, before, shard.size())
        };
        self.metrics.cache.changed(before, after);
        for (why, _) in &removed {
            self.metrics.cache.evicted(*why).inc();
        }
        (done, removed.len())
    }
}

#[cfg(test)]
mod tests;
