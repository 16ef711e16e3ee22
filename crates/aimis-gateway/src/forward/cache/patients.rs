//! Which entries are about a patient: so that a callback drops them without knowing the questions.

use std::collections::{HashMap, HashSet, hash_map};

use super::key::{CacheKey, PatientTags, Tag};
use super::store::ByKeyHasher;

/// Keys of entries by every number of their patient.
#[derive(Default)]
pub(super) struct Patients(HashMap<Tag, Keys, ByKeyHasher>);

/// As a rule a patient has one entry. A number that a HIS gives whoever has none has as many as the cache holds, and one of
/// them must not be looked for among all.
enum Keys {
    One(CacheKey),
    Several(HashSet<CacheKey, ByKeyHasher>),
}

impl Keys {
    fn add(&mut self, key: CacheKey) {
        match self {
            Self::One(first) => *self = Self::Several([*first, key].into_iter().collect()),
            Self::Several(keys) => {
                keys.insert(key);
            }
        }
    }

    /// Leaves a key out; true if none is left.
    fn leave_out(&mut self, key: &CacheKey) -> bool {
        match self {
            Self::One(only) => only == key,
            Self::Several(keys) => {
                keys.remove(key);
                keys.is_empty()
            }
        }
    }
}

impl Patients {
    /// Notes an entry that was not noted before.
    pub(super) fn add(&mut self, patient: PatientTags, key: CacheKey) {
        for tag in patient.iter() {
            match self.0.entry(tag) {
                hash_map::Entry::Occupied(mut keys) => keys.get_mut().add(key),
                hash_map::Entry::Vacant(none) => {
                    none.insert(Keys::One(key));
                }
            }
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, patient: PatientTags, key: &CacheKey) {
        for tag in patient.iter() {
            if let hash_map::Entry::Occupied(mut keys) = self.0.entry(tag)
                && keys.get_mut().leave_out(key)
            {
                keys.remove();
            }
        }
    }

    /// The entries about a patient who has one of these numbers; those under both stand there twice.
    pub(super) fn about(&self, patient: PatientTags) -> Vec<CacheKey> {
        let mut about = Vec::new();
        for keys in patient.iter().filter_map(|tag| self.0.get(&tag)) {
            match keys {
                Keys::One(key) => about.push(*key),
                Keys::Several(keys) => about.extend(keys),
            }
        }
        about
    }

    /// Numbers with entries, each as often as it has some.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let count = |keys: &Keys| match keys {
            Keys::One(_) => 1,
            Keys::Several(keys) => keys.len(),
        };
        self.0.values().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_known_by_each_number_until_the_last_entry_goes() {
        let mut patients = Patients::default();
        let (one, two) = (CacheKey::numbered(1), CacheKey::numbered(2));
        let (both, phone) = (PatientTags::numbered(7, 8), PatientTags::numbered(0, 8));
        patients.add(both, one);
        patients.add(phone, two);
        let about = |patients: &Patients, tags| {
            let mut keys = patients.about(tags);
            keys.sort();
            keys
        };
        assert!(about(&patients, PatientTags::numbered(7, 0)) == [one]);
        assert!(about(&patients, phone) == [one, two]);

        patients.remove(both, &one);
        assert!(about(&patients, both) == [two]);
        patients.remove(phone, &two);
        assert_eq!((patients.about(both).len(), patients.0.len()), (0, 0));
    }
}
