//! Which answer goes when room is short.

use proptest::prelude::*;

use super::super::buffers::Buffers;
use super::super::store::Store;
use super::super::terms::Life;
use super::*;

fn entry() -> Arc<Entry> {
    Arc::new(Entry::new(
        &reply(LIST),
        &Buffers::new(0),
        about(PatientTags::numbered(0, 0)),
        Clock::manual(0).moment(),
        Life::default(),
    ))
}

/// Room for so many entries.
fn store_for(entries: usize) -> Store {
    Store::new(entries * entry().cost())
}

/// Keeps an entry, and says which had to go.
fn keep(store: &mut Store, key: u8) -> Vec<u8> {
    let entry = entry();
    let gone = std::iter::from_fn(|| store.evict(entry.cost()).map(|(key, _)| key));
    let gone = gone.map(|gone| (0..=u8::MAX).find(|key| CacheKey::numbered(*key) == gone).unwrap());
    let gone = gone.collect();
    store.insert(CacheKey::numbered(key), entry);
    gone
}

#[test]
fn the_first_that_came_goes_first_and_one_that_was_used_gets_a_second_turn() {
    let mut store = store_for(3);
    for key in 0..3 {
        assert!(keep(&mut store, key).is_empty());
    }
    assert!(store.get(&CacheKey::numbered(0)).is_some());

    assert_eq!(keep(&mut store, 3), [1]);
    assert_eq!(keep(&mut store, 4), [2]);
    // Its second turn is over, and it was not used since.
    assert_eq!(keep(&mut store, 5), [0]);
    assert_eq!(keep(&mut store, 6), [3]);
}

#[test]
fn where_all_were_used_the_first_goes_and_not_the_one_that_comes() {
    let mut store = store_for(3);
    for key in 0..3 {
        keep(&mut store, key);
        assert!(store.get(&CacheKey::numbered(key)).is_some());
    }

    assert_eq!(keep(&mut store, 3), [0]);
    assert!(store.get(&CacheKey::numbered(3)).is_some());
}

#[test]
fn of_many_that_were_used_one_goes_soon() {
    let mut store = store_for(200);
    for key in 0..200 {
        keep(&mut store, key);
        assert!(store.get(&CacheKey::numbered(key)).is_some());
    }

    assert_eq!(keep(&mut store, 200), [64]);
}

#[test]
fn places_of_entries_that_left_are_taken_out() {
    let mut store = store_for(10);
    keep(&mut store, 0);
    for _ in 0..1000 {
        keep(&mut store, 1);
        assert!(store.remove(&CacheKey::numbered(1)).is_some());
    }

    assert!(store.places() <= 100, "{}", store.places());
    assert_eq!(store.size(), (entry().cost(), 1));
    for key in 2..11 {
        assert!(keep(&mut store, key).is_empty());
    }
    assert_eq!(keep(&mut store, 11), [0]);
}

#[derive(Clone, Debug)]
enum Step {
    Keep(u8),
    Use(u8),
    Remove(u8),
}

proptest! {
    /// The model is a list of keys with a mark each.
    #[test]
    fn it_follows_a_plain_list(steps in prop::collection::vec(prop_oneof![
        3 => (0..20u8).prop_map(Step::Keep),
        2 => (0..20u8).prop_map(Step::Use),
        1 => (0..20u8).prop_map(Step::Remove),
    ], 1..300)) {
        const ROOM: usize = 8;
        let mut store = store_for(ROOM);
        let mut list: Vec<(u8, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Keep(key) => {
                    if list.iter().any(|(kept, _)| *kept == key) {
                        continue;
                    }
                    let mut gone = Vec::new();
                    while list.len() == ROOM {
                        match list.remove(0) {
                            (first, true) => list.push((first, false)),
                            (first, false) => gone.push(first),
                        }
                    }
                    prop_assert_eq!(keep(&mut store, key), gone);
                    list.push((key, false));
                }
                Step::Use(key) => {
                    let kept = list.iter_mut().find(|(kept, _)| *kept == key);
                    prop_assert_eq!(store.get(&CacheKey::numbered(key)).is_some(), kept.is_some());
                    if let Some((_, used)) = kept {
                        *used = true;
                    }
                }
                Step::Remove(key) => {
                    let there = list.iter().any(|(kept, _)| *kept == key);
                    prop_assert_eq!(store.remove(&CacheKey::numbered(key)).is_some(), there);
                    list.retain(|(kept, _)| *kept != key);
                }
            }
            prop_assert_eq!(store.size(), (list.len() * entry().cost(), list.len()));
        }
    }
}
