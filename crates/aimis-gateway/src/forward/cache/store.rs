//! The kept answers of one part of the cache: moka, which decides what goes when room is short, and when.
//!
//! moka lets go of a value later than it removes it. The value waits in queues of reads and writes until
//! `run_pending_tasks`, and its place in the map until crossbeam-epoch collects it, which happens when other threads
//! have moved on and nobody can say when. So what moka holds is a box, and whatever leaves is taken out of its box at
//! once: what lingers is a keyed hash and an empty box (`an_answer_that_leaves_is_freed_at_once` shows it).
//!
//! moka's clock is not ours, so nothing expires in it: how long an answer serves is the entry's.
//!
//! What moka puts off costs more than all the rest, and the more often it is asked for. So it is asked when something has
//! to go, and after a number of changes; it is given a little less room than there is, so that what goes goes together.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use super::entry::Entry;
use super::key::CacheKey;

/// Keys hash themselves ([`CacheKey`]).
#[derive(Default)]
pub(super) struct KeyHasher(u64);

/// Builds it.
pub(super) type ByKeyHasher = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a key is hashed as one number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// An entry in its box.
#[derive(Clone)]
struct Boxed(Arc<Mutex<Option<Arc<Entry>>>>);

impl Boxed {
    fn new(entry: Arc<Entry>) -> Self {
        Self(Arc::new(Mutex::new(Some(entry))))
    }

    fn look<T>(&self, look: impl FnOnce(&mut Option<Arc<Entry>>) -> T) -> T {
        look(&mut lock(&self.0))
    }
}

type Evicted = Arc<Mutex<Vec<(CacheKey, Arc<Entry>)>>>;

/// A store of this size puts off; in a smaller one each entry counts.
const LARGE: usize = 1 << 20;
/// Changes after which moka is let do what it put off, be there room or not. What is used before its place in the order of
/// use was noted is placed as if it were not: among the last so many.
const MOST_PUT_OFF: usize = 64;
/// The part of a large store's room that moka is not told of, for those who come before it makes room.
const SLACK: usize = 64;

/// Kept answers. Every call is made under the part's lock, so moka's maintenance runs under it too; the listener
/// takes no lock but that of `evicted`.
pub(super) struct Store {
    moka: moka::sync::Cache<CacheKey, Boxed, ByKeyHasher>,
    /// What moka had no room for, since it was last asked.
    evicted: Evicted,
    /// Changes since moka last did what it put off.
    put_off: usize,
    most_put_off: usize,
    bytes: usize,
    entries: usize,
    max_bytes: usize,
}

impl Store {
    /// Room for entries that cost so many bytes together.
    pub(super) fn new(max_bytes: usize) -> Self {
        let evicted = Evicted::default();
        let listener = {
            let evicted = Arc::clone(&evicted);
            move |key: Arc<CacheKey>, boxed: Boxed, cause| {
                // Who removes an entry takes it along, and knows why.
                if cause != RemovalCause::Explicit
                    && let Some(entry) = boxed.look(Option::take)
                {
                    lock(&evicted).push((*key, entry));
                }
            }
        };
        let (slack, most_put_off) = if max_bytes < LARGE {
            (0, 1)
        } else {
            (max_bytes / SLACK, MOST_PUT_OFF)
        };
        let moka = moka::sync::Cache::builder()
            .max_capacity((max_bytes - slack) as u64)
            .weigher(|_, boxed: &Boxed| {
                let cost = boxed.look(|entry| entry.as_ref().map_or(0, |entry| entry.cost()));
                u32::try_from(cost).unwrap_or(u32::MAX)
            })
            // The other policy refuses a new answer in favour of older ones.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(listener)
            .build_with_hasher(ByKeyHasher::default());
        Self {
            moka,
            evicted,
            put_off: 0,
            most_put_off,
            bytes: 0,
            entries: 0,
            max_bytes,
        }
    }

    /// The entry of a key. Counts as a use of it.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.moka.get(key)?.look(|entry| entry.clone())
    }

    /// Keeps an entry under a key that has none.
    pub(super) fn insert(&mut self, key: CacheKey, entry: Arc<Entry>) {
        self.put_off += 1;
        self.entries += 1;
        self.bytes += entry.cost();
        self.moka.insert(key, Boxed::new(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &CacheKey) -> Option<Arc<Entry>> {
        let entry = self.moka.remove(key)?.look(Option::take)?;
        self.put_off += 1;
        self.left(&entry);
        Some(entry)
    }

    fn left(&mut self, entry: &Entry) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.cost());
    }

    /// The keys of the entries of which `which` is true. No use of them.
    pub(super) fn keys_of(&self, which: impl Fn(&Entry) -> bool) -> Vec<CacheKey> {
        self.moka
            .iter()
            .filter(|(_, boxed)| boxed.look(|entry| entry.as_deref().is_some_and(&which)))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Whether moka is to do what it put off: there is too little room, or too much to do.
    pub(super) fn is_due(&self) -> bool {
        self.bytes > self.max_bytes || self.put_off >= self.most_put_off
    }

    /// Lets moka do what it put off.
    pub(super) fn tidy(&mut self) {
        self.put_off = 0;
        self.moka.run_pending_tasks();
    }

    /// What moka had no room for since the last time. It makes room by itself, too, when it likes to.
    pub(super) fn evicted(&mut self) -> Vec<(CacheKey, Arc<Entry>)> {
        let evicted = std::mem::take(&mut *lock(&self.evicted));
        for (_, entry) in &evicted {
            self.left(entry);
        }
        evicted
    }

    /// Bytes and number of the entries.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.bytes, self.entries)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
