//! The kept answers of one part of the cache, and which of them goes when room is short.
//!
//! Answers stand in a queue in the order in which they came. Where room is short the first has to go, unless it was used
//! since it last stood there: then it goes to the end, as one that was not ("second chance"). So what is asked for
//! again and again stays, and a use costs a mark.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

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

/// Second turns that are given before one has to go, used or not: whoever waits for the cache meanwhile is not kept.
const MOST_TURNS: usize = 64;
/// Places of entries that left which the queue holds for each that stays, before they are taken out.
const MOST_GONE: usize = 1;
/// The same for a store that is nearly empty.
const FEW: usize = 64;

/// Kept answers.
pub(super) struct Store {
    slots: HashMap<CacheKey, Slot, ByKeyHasher>,
    /// Who goes first stands first. A place whose turn is not that of its key's slot is that of an entry that left.
    queue: VecDeque<(CacheKey, u64)>,
    last_turn: u64,
    bytes: usize,
    max_bytes: usize,
}

struct Slot {
    entry: Arc<Entry>,
    /// Since it last went to the end of the queue.
    used: Cell<bool>,
    /// Of its place in the queue.
    turn: u64,
}

impl Store {
    /// Room for entries that cost so many bytes together.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            slots: HashMap::default(),
            queue: VecDeque::new(),
            last_turn: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// The entry of a key. Counts as a use of it.
    pub(super) fn get(&self, key: &CacheKey) -> Option<&Arc<Entry>> {
        let slot = self.slots.get(key)?;
        slot.used.set(true);
        Some(&slot.entry)
    }

    /// Keeps an entry under a key that has none. [`Store::evict`] has made room for it.
    pub(super) fn insert(&mut self, key: CacheKey, entry: Arc<Entry>) {
        self.bytes += entry.cost();
        self.last_turn += 1;
        let slot = Slot {
            entry,
            used: Cell::new(false),
            turn: self.last_turn,
        };
        self.queue.push_back((key, slot.turn));
        self.slots.insert(key, slot);
        if self.queue.len() > self.slots.len() * (1 + MOST_GONE) + FEW {
            let Self { queue, slots, .. } = self;
            queue.retain(|(key, turn)| slots.get(key).is_some_and(|slot| slot.turn == *turn));
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &CacheKey) -> Option<Arc<Entry>> {
        let Slot { entry, .. } = self.slots.remove(key)?;
        self.bytes -= entry.cost();
        Some(entry)
    }

    /// Takes out an entry that has to go if there is to be room for `cost`; `None` once there is. Before one comes, so that
    /// it never goes itself.
    pub(super) fn evict(&mut self, cost: usize) -> Option<(CacheKey, Arc<Entry>)> {
        let mut turns = 0;
        while self.bytes + cost > self.max_bytes {
            let (key, turn) = self.queue.pop_front()?;
            let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.turn == turn) else {
                continue;
            };
            if slot.used.take() && turns < MOST_TURNS {
                turns += 1;
                self.queue.push_back((key, turn));
            } else {
                return Some((key, self.remove(&key)?));
            }
        }
        None
    }

    /// The keys of the entries of which `which` is true. No use of them.
    pub(super) fn keys_of(&self, which: impl Fn(&Entry) -> bool) -> Vec<CacheKey> {
        let slots = self.slots.iter();
        slots
            .filter(|(_, slot)| which(&slot.entry))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Places in the queue, for tests.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.queue.len()
    }

    /// Bytes and number of the entries.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.bytes, self.slots.len())
    }
}
