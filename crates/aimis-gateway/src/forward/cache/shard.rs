//! One part of the cache: entries, flights, and the index of patients, under one lock.
//!
//! That they are under one lock is what makes the cache sound. A question is looked up and, if there is no
//! answer, becomes a flight or joins one in one step, so two workers never ask for the same at once. And a flight
//! may keep its answer only as long as it stands in `flights` under its own number: what drops a patient's entries
//! takes that patient's flights off the table in the same step, so an answer that was asked for before can neither
//! be kept nor waited for after.
//!
//! Eviction is second chance: a queue in order of arrival, where an entry that was hit since goes round once more.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use tokio::sync::watch;

use super::directives::Directives;
use super::entry::{Entry, Freshness, Subject};
use super::flight::{Fetched, Question};
use super::key::{CacheKey, PatientTags, Tag};
use super::status::Forward;
use crate::clock::Moment;
use crate::telemetry::labels::Eviction;

/// Queue places of entries that are gone, until the queue is cleared of them.
const MOST_GAPS: usize = 64;

type ByKey<T> = HashMap<CacheKey, T, BuildHasherDefault<KeyHasher>>;

/// Keys hash themselves ([`CacheKey`]).
#[derive(Default)]
pub(super) struct KeyHasher(u64);

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

/// A flight's result, and whether it is kept; `None` until there is one.
type Told = Option<(Fetched, bool)>;
/// Where a flight's result is told.
pub(super) type Teller = watch::Sender<Told>;
/// Where it is heard.
pub(super) type Hearer = watch::Receiver<Told>;

/// A part of the cache.
pub(super) struct Shard {
    entries: ByKey<Slot>,
    flights: ByKey<Flight>,
    /// Every number of a patient with each key of an entry about them.
    index: BTreeSet<(Tag, CacheKey)>,
    queue: VecDeque<(CacheKey, u64)>,
    bytes: usize,
    max_bytes: usize,
    last_number: u64,
}

struct Slot {
    entry: Arc<Entry>,
    number: u64,
    hit: bool,
}

struct Flight {
    number: u64,
    subject: Subject,
    hearer: Hearer,
}

/// A flight that stands in the table and has to be made.
pub(super) struct Begun {
    pub(super) number: u64,
    pub(super) subject: Subject,
    pub(super) teller: Teller,
}

/// What becomes of a question.
pub(super) enum Entered {
    /// There is an answer.
    Hit {
        entry: Arc<Entry>,
        /// It is not fresh, and the next has to be asked for.
        refresh: Option<Begun>,
    },
    /// Somebody asks already.
    Follow { hearer: Hearer, forward: Forward },
    /// Nobody asks yet: whoever is told this has to.
    Lead { flight: Begun, forward: Forward },
    /// There is no answer, and the question was not to be asked.
    Absent,
}

/// What an answer means for what is kept.
pub(super) enum Verdict {
    /// It is kept.
    Keep(Arc<Entry>),
    /// It is not, and replaces what was kept.
    Forget,
    /// It says nothing.
    Leave,
}

/// Entries that left, to be dropped (and wiped) when the lock is no longer held.
pub(super) type Removed = Vec<(Eviction, Arc<Entry>)>;

impl Shard {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            entries: HashMap::default(),
            flights: HashMap::default(),
            index: BTreeSet::new(),
            queue: VecDeque::new(),
            bytes: 0,
            max_bytes,
            last_number: 0,
        }
    }

    /// Bytes and number of the entries.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.bytes, self.entries.len())
    }

    /// Looks a question up; where there is no answer, it becomes a flight or joins one. `subject` is only asked for
    /// where a flight begins.
    pub(super) fn enter(
        &mut self,
        Question { key, terms, said, .. }: Question<'_>,
        now: Moment,
        subject: impl FnOnce() -> Subject,
        removed: &mut Removed,
    ) -> Entered {
        let mut forward = if terms.enabled { Forward::Miss } else { Forward::Bypass };
        if terms.enabled
            && let Some(slot) = self.entries.get_mut(&key)
        {
            let entry = &slot.entry;
            match entry.freshness(now) {
                Freshness::Fresh => {
                    let young = said.max_age.is_none_or(|most| entry.age(now) <= most);
                    if young && !said.no_cache {
                        slot.hit = true;
                        return Entered::Hit {
                            entry: Arc::clone(entry),
                            refresh: None,
                        };
                    }
                    forward = Forward::Request;
                }
                // Who says how old an answer may be, or that it must be there, did not ask for an old one.
                Freshness::WhileRevalidate if said == Directives::default() => {
                    slot.hit = true;
                    let entry = Arc::clone(entry);
                    let idle = !self.flights.contains_key(&key);
                    let refresh = idle.then(|| self.begin(key, subject()));
                    return Entered::Hit { entry, refresh };
                }
                Freshness::WhileRevalidate | Freshness::IfError => forward = Forward::Stale,
                Freshness::Dead => self.remove(&key, Eviction::Expired, removed),
            }
        }
        if said.only_if_cached {
            return Entered::Absent;
        }
        let joins = terms.coalesce && !said.no_cache;
        if let Some(flight) = self.flights.get(&key).filter(|_| joins) {
            return Entered::Follow {
                hearer: flight.hearer.clone(),
                forward,
            };
        }
        Entered::Lead {
            flight: self.begin(key, subject()),
            forward,
        }
    }

    /// A flight in place of the one there may be: that one is heard to its end, and keeps nothing.
    fn begin(&mut self, key: CacheKey, subject: Subject) -> Begun {
        let number = self.next_number();
        let (teller, hearer) = watch::channel(None);
        self.flights.insert(
            key,
            Flight {
                number,
                subject: subject.clone(),
                hearer,
            },
        );
        Begun {
            number,
            subject,
            teller,
        }
    }

    /// Ends a flight; false if its answer was not kept.
    pub(super) fn land(&mut self, key: CacheKey, number: u64, verdict: Verdict, removed: &mut Removed) -> bool {
        if self.flights.get(&key).is_none_or(|flight| flight.number != number) {
            return false;
        }
        self.flights.remove(&key);
        match verdict {
            Verdict::Keep(entry) => self.insert(key, entry, removed),
            Verdict::Forget => {
                self.remove(&key, Eviction::Purged, removed);
                false
            }
            Verdict::Leave => false,
        }
    }

    /// The entry of `key`, if it may serve where the platform fails.
    pub(super) fn stale(&mut self, key: CacheKey, now: Moment) -> Option<Arc<Entry>> {
        let slot = self.entries.get_mut(&key)?;
        slot.hit = true;
        (slot.entry.freshness(now) != Freshness::Dead).then(|| Arc::clone(&slot.entry))
    }

    fn insert(&mut self, key: CacheKey, entry: Arc<Entry>, removed: &mut Removed) -> bool {
        self.remove(&key, Eviction::Replaced, removed);
        let cost = entry.cost();
        if cost > self.max_bytes {
            return false;
        }
        let number = self.next_number();
        self.index.extend(entry.subject().patient.iter().map(|tag| (tag, key)));
        self.bytes += cost;
        self.queue.push_back((key, number));
        self.entries.insert(
            key,
            Slot {
                entry,
                number,
                hit: false,
            },
        );
        self.make_room(removed);
        self.close_gaps();
        true
    }

    /// Takes an entry out.
    fn take(&mut self, key: &CacheKey) -> Option<Arc<Entry>> {
        let Slot { entry, .. } = self.entries.remove(key)?;
        for tag in entry.subject().patient.iter() {
            self.index.remove(&(tag, *key));
        }
        self.bytes -= entry.cost();
        Some(entry)
    }

    fn remove(&mut self, key: &CacheKey, why: Eviction, removed: &mut Removed) {
        removed.extend(self.take(key).map(|entry| (why, entry)));
    }

    /// Second chance, until what is kept fits.
    fn make_room(&mut self, removed: &mut Removed) {
        while self.bytes > self.max_bytes {
            let Some((key, number)) = self.queue.pop_front() else {
                return;
            };
            let Some(slot) = self.entries.get_mut(&key).filter(|slot| slot.number == number) else {
                continue;
            };
            if std::mem::take(&mut slot.hit) {
                self.queue.push_back((key, number));
            } else {
                self.remove(&key, Eviction::Size, removed);
            }
        }
    }

    fn close_gaps(&mut self) {
        if self.queue.len() > 2 * self.entries.len() + MOST_GAPS {
            let entries = &self.entries;
            self.queue
                .retain(|(key, number)| entries.get(key).is_some_and(|slot| slot.number == *number));
        }
    }

    /// Drops a patient's entries and takes the flights about them off the table.
    pub(super) fn drop_patient(&mut self, patient: PatientTags, removed: &mut Removed) {
        self.flights.retain(|_, flight| !flight.subject.patient.meets(patient));
        for tag in patient.iter() {
            let of_tag = (tag, CacheKey::MIN)..=(tag, CacheKey::MAX);
            while let Some((_, key)) = self.index.range(of_tag.clone()).next().copied() {
                self.remove(&key, Eviction::Purged, removed);
                self.index.remove(&(tag, key));
            }
        }
        self.close_gaps();
    }

    /// Drops the entries of which `which` is true, and takes such flights off the table.
    pub(super) fn drop_where(&mut self, which: impl Fn(&Subject) -> bool, removed: &mut Removed) {
        self.flights.retain(|_, flight| !which(&flight.subject));
        self.drop_entries(Eviction::Purged, |entry| which(entry.subject()), removed);
    }

    /// Drops what nothing can be served from any more.
    pub(super) fn sweep(&mut self, now: Moment, removed: &mut Removed) {
        self.drop_entries(
            Eviction::Expired,
            |entry| entry.freshness(now) == Freshness::Dead,
            removed,
        );
    }

    fn drop_entries(&mut self, why: Eviction, which: impl Fn(&Entry) -> bool, removed: &mut Removed) {
        let keys: Vec<CacheKey> = self
            .entries
            .iter()
            .filter(|(_, slot)| which(&slot.entry))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.remove(&key, why, removed);
        }
        self.close_gaps();
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
