//! One part of the cache: kept answers, flights, and the index of patients, under one lock.
//!
//! That they are under one lock is what makes the cache sound. A question is looked up and, if there is no
//! answer, becomes a flight or joins one in one step, so two workers never ask for the same at once. And a flight
//! may keep its answer only as long as it stands in `flights` under its own number: what drops a patient's entries
//! takes that patient's flights off the table in the same step, so an answer that was asked for before can neither
//! be kept nor waited for after. Keeping, and what goes when room is short, is [`Store`]'s.

use std::collections::{BTreeSet, HashMap, hash_map};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::directives::Directives;
use super::entry::{Entry, Freshness, Subject};
use super::flight::{Fetched, Question};
use super::key::{CacheKey, PatientTags};
use super::patients::Patients;
use super::status::Forward;
use super::store::{ByKeyHasher, Store};
use crate::clock::Moment;
use crate::telemetry::labels::Eviction;

/// A flight's result, and whether it is kept; `None` until there is one.
type Told = Option<(Fetched, bool)>;
/// Where it is heard.
pub(super) type Hearer = watch::Receiver<Told>;

/// Where a flight's result is told to those who wait for it beside whoever began it. As a rule there are none, so what
/// they hear it by is made for the first of them. Cloning gives another handle; with the last of them it ends.
#[derive(Clone, Default)]
pub(super) struct Teller(Arc<OnceLock<watch::Sender<Told>>>);

impl Teller {
    /// One more who waits. Only under the lock of the table in which the flight stands, so that none comes too late.
    fn hearer(&self) -> Hearer {
        self.0.get_or_init(|| watch::channel(None).0).subscribe()
    }

    /// Tells all of them. Behind the lock under which the flight left the table.
    pub(super) fn tell(&self, fetched: &Fetched, stored: bool) {
        if let Some(sender) = self.0.get() {
            sender.send_replace(Some((fetched.clone(), stored)));
        }
    }
}

/// A part of the cache.
pub(super) struct Shard {
    kept: Store,
    flights: HashMap<CacheKey, Flight, ByKeyHasher>,
    patients: Patients,
    /// The end of every entry: looking for those behind theirs must not take longer the more are kept.
    ends: BTreeSet<(Moment, CacheKey)>,
    last_number: u64,
}

struct Flight {
    number: u64,
    began: Moment,
    subject: Subject,
    teller: Teller,
    /// Nothing was kept under its key when it began, so nothing is until it lands: only the flight that stands in the
    /// table keeps anything. Whoever knows that need not look again.
    is_first: bool,
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
            kept: Store::new(max_bytes),
            flights: HashMap::default(),
            patients: Patients::default(),
            ends: BTreeSet::new(),
            last_number: 0,
        }
    }

    /// Bytes and number of the entries.
    pub(super) fn size(&self) -> (usize, usize) {
        self.kept.size()
    }

    /// Rows of the index and ends, for tests.
    #[cfg(test)]
    pub(super) fn listed(&self) -> (usize, usize) {
        (self.patients.len(), self.ends.len())
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
        let kept = terms.enabled.then(|| self.kept.get(&key).cloned());
        let is_first = matches!(kept, Some(None));
        if let Some(entry) = kept.flatten() {
            match entry.freshness(now) {
                Freshness::Fresh => {
                    let young = said.max_age.is_none_or(|most| entry.age(now) <= most);
                    if young && !said.no_cache {
                        return Entered::Hit { entry, refresh: None };
                    }
                    forward = Forward::Request;
                }
                // Who says how old an answer may be, or that it must be there, did not ask for an old one.
                Freshness::WhileRevalidate if said == Directives::default() => {
                    let idle = !self.flights.contains_key(&key);
                    let refresh = idle.then(|| self.begin(key, now, is_first, subject()));
                    return Entered::Hit { entry, refresh };
                }
                Freshness::WhileRevalidate | Freshness::IfError => forward = Forward::Stale,
                Freshness::Dead => self.remove(&key, Eviction::Expired, removed),
            }
        }
        if said.only_if_cached {
            return Entered::Absent;
        }
        let joins = |flight: &&Flight| {
            // Its answer will be as old as its question.
            let young = said.max_age.is_none_or(|most| now.since(flight.began) <= most);
            terms.coalesce && !said.no_cache && young
        };
        if let Some(flight) = self.flights.get(&key).filter(joins) {
            return Entered::Follow {
                hearer: flight.teller.hearer(),
                forward,
            };
        }
        Entered::Lead {
            flight: self.begin(key, now, is_first, subject()),
            forward,
        }
    }

    /// A flight in place of the one there may be: that one is heard to its end, and keeps nothing.
    fn begin(&mut self, key: CacheKey, began: Moment, is_first: bool, subject: Subject) -> Begun {
        let number = self.next_number();
        let teller = Teller::default();
        self.flights.insert(
            key,
            Flight {
                number,
                began,
                subject: subject.clone(),
                teller: teller.clone(),
                is_first,
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
        let hash_map::Entry::Occupied(flight) = self.flights.entry(key) else {
            return false;
        };
        if flight.get().number != number {
            return false;
        }
        let is_first = flight.remove().is_first;
        match verdict {
            Verdict::Keep(entry) => {
                if !is_first {
                    self.remove(&key, Eviction::Replaced, removed);
                }
                self.insert(key, entry, removed);
                true
            }
            Verdict::Forget => {
                self.remove(&key, Eviction::Purged, removed);
                false
            }
            Verdict::Leave => false,
        }
    }

    /// The entry of `key`, if it may serve where the platform fails.
    pub(super) fn stale(&self, key: CacheKey, now: Moment) -> Option<Arc<Entry>> {
        let entry = self.kept.get(&key)?;
        (entry.freshness(now) != Freshness::Dead).then(|| Arc::clone(entry))
    }

    /// The entry of `key`, whatever it may serve for.
    pub(super) fn copy(&self, key: CacheKey) -> Option<Arc<Entry>> {
        self.kept.get(&key).cloned()
    }

    /// Keeps a copy in place of the one there may be.
    pub(super) fn keep_copy(&mut self, key: CacheKey, entry: Arc<Entry>, removed: &mut Removed) {
        self.remove(&key, Eviction::Replaced, removed);
        self.insert(key, entry, removed);
    }

    fn insert(&mut self, key: CacheKey, entry: Arc<Entry>, removed: &mut Removed) {
        while let Some((old, left)) = self.kept.evict(entry.cost()) {
            self.forget(old, Eviction::Size, left, removed);
        }
        self.patients.add(entry.subject().patient, key);
        self.ends.insert((entry.end(), key));
        self.kept.insert(key, entry);
    }

    fn remove(&mut self, key: &CacheKey, why: Eviction, removed: &mut Removed) {
        if let Some(entry) = self.kept.remove(key) {
            self.forget(*key, why, entry, removed);
        }
    }

    fn forget(&mut self, key: CacheKey, why: Eviction, entry: Arc<Entry>, removed: &mut Removed) {
        self.patients.remove(entry.subject().patient, &key);
        self.ends.remove(&(entry.end(), key));
        removed.push((why, entry));
    }

    /// Drops a patient's entries and takes the flights about them off the table.
    pub(super) fn drop_patient(&mut self, patient: PatientTags, removed: &mut Removed) {
        self.flights.retain(|_, flight| !flight.subject.patient.meets(patient));
        for key in self.patients.about(patient) {
            self.remove(&key, Eviction::Purged, removed);
        }
    }

    /// Drops the entries of which `which` is true, and takes such flights off the table.
    pub(super) fn drop_where(&mut self, which: impl Fn(&Subject) -> bool, removed: &mut Removed) {
        self.flights.retain(|_, flight| !which(&flight.subject));
        for key in self.kept.keys_of(|entry| which(entry.subject())) {
            self.remove(&key, Eviction::Purged, removed);
        }
    }

    /// Drops what nothing can be served from any more.
    pub(super) fn sweep(&mut self, now: Moment, removed: &mut Removed) {
        while let Some((_, key)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.ends.pop_first();
            self.remove(&key, Eviction::Expired, removed);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
