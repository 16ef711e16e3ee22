//! The kept answers of one part of the cache: moka, which decides what goes when room is short, and when.
//!
//! moka lets go of a value later than it removes it. The value waits in queues of reads and writes until
//! `run_pending_tasks`, and its place in the map until crossbeam-epoch collects it, which happens when other threads
//! have moved on and nobody can say when. So what moka holds is a box, and whatever leaves is taken out of its box at
//! once: what lingers is a keyed hash and an empty box (`an_answer_that_leaves_is_freed_at_once` shows it).
//!
//! moka's clock is not ours, so nothing expires in it: how long an answer serves is the entry's.

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

/// Kept answers. Every call is made under the part's lock, so moka's maintenance runs under it too; the listener
/// takes no lock but that of `evicted`.
pub(super) struct Store {
    moka: moka::sync::Cache<CacheKey, Boxed, ByKeyHasher>,
    /// What moka had no room for, since it was last asked.
    evicted: Evicted,
    is_settled: bool,
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
        let moka = moka::sync::Cache::builder()
            .max_capacity(max_bytes as u64)
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
            is_settled: true,
        }
    }

    /// The entry of a key. Counts as a use of it.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.moka.get(key)?.look(|entry| entry.clone())
    }

    /// Keeps an entry under a key that has none.
    pub(super) fn insert(&mut self, key: CacheKey, entry: Arc<Entry>) {
        self.is_settled = false;
        self.moka.insert(key, Boxed::new(entry));
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &CacheKey) -> Option<Arc<Entry>> {
        let boxed = self.moka.remove(key)?;
        self.is_settled = false;
        boxed.look(Option::take)
    }

    /// The keys of the entries of which `which` is true. No use of them.
    pub(super) fn keys_of(&self, which: impl Fn(&Entry) -> bool) -> Vec<CacheKey> {
        self.moka
            .iter()
            .filter(|(_, boxed)| boxed.look(|entry| entry.as_deref().is_some_and(&which)))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Whether nothing was kept or taken out since the last [`settle`](Self::settle).
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Lets moka do what it put off, and returns what it had no room for.
    pub(super) fn settle(&mut self) -> Vec<(CacheKey, Arc<Entry>)> {
        self.is_settled = true;
        self.moka.run_pending_tasks();
        std::mem::take(&mut *lock(&self.evicted))
    }

    /// Bytes and number of the entries, as of the last [`settle`](Self::settle).
    pub(super) fn size(&self) -> (usize, usize) {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (count(self.moka.weighted_size()), count(self.moka.entry_count()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
