use aimis_core::cipher::{HexCase, Padding};
use aimis_core::sign::{SignatureEncoding, TimestampUnit};
use aimis_core::token::{KeyForm, Token};
use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

const OVERLAP: Duration = Duration::from_secs(600);
const TERMS: Terms = Terms {
    canary: true,
    overlap: OVERLAP,
    refusals: 3,
};

fn key(name: char) -> Key {
    let token = Token::parse(name.to_string().repeat(32).as_bytes(), KeyForm::Raw).unwrap();
    Key::new(
        token.fingerprint(),
        Signer::new(&token, SignatureEncoding::HexLower, TimestampUnit::Milliseconds),
        FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower),
    )
}

/// `token`, `next` and `previous`, each by the letter that its token is made of; `-` is none.
fn named(letters: &str) -> Vec<(Source, Key)> {
    let sources = [Source::Token, Source::Next, Source::Previous];
    let all = sources.into_iter().zip(letters.chars());
    all.filter(|(_, name)| *name != '-')
        .map(|(source, name)| (source, key(name)))
        .collect()
}

fn ring(letters: &str, terms: Terms) -> Keyring {
    Keyring::new(named(letters), terms)
}

fn uses(ring: &Keyring, name: char) -> bool {
    ring.current().fingerprint() == key(name).fingerprint()
}

fn wants(ring: &Keyring) -> Option<Fingerprint> {
    ring.candidate().map(|key| key.fingerprint())
}

fn holds(ring: &Keyring, name: char) -> bool {
    ring.position(key(name).fingerprint()).is_some()
}

#[test]
fn the_token_of_the_file_is_used_until_the_next_one_was_tried() {
    let ring = ring("ab-", TERMS);
    let now = Clock::manual(0).moment();
    assert!(uses(&ring, 'a'));
    assert_eq!(wants(&ring), Some(key('b').fingerprint()));

    let switch = ring.switch(key('b').fingerprint(), now).unwrap();

    assert_eq!(
        (switch.from, switch.to),
        (key('a').fingerprint(), key('b').fingerprint())
    );
    assert!(uses(&ring, 'b'));
    assert_eq!(wants(&ring), None);
    assert_eq!(ring.next_end(), None, "the file still names it");
}

#[test]
fn a_changed_file_waits_for_the_canary_and_the_one_before_overlaps() {
    let clock = Clock::manual(0);
    let (ring, switch) = ring("b--", TERMS).following(&ring("a--", TERMS), clock.moment());
    assert!(uses(&ring, 'a') && switch.is_none());
    assert_eq!(wants(&ring), Some(key('b').fingerprint()));
    assert_eq!(ring.next_end(), None, "what is in use does not end");
    clock.advance(3 * OVERLAP);

    ring.switch(key('b').fingerprint(), clock.moment()).unwrap();

    assert_eq!(ring.next_end(), Some(clock.moment().after(OVERLAP)));
    let (kept, _) = self::ring("b--", TERMS).following(&ring, clock.moment());
    assert!(uses(&kept, 'b') && holds(&kept, 'a'));
    clock.advance(OVERLAP);
    let (over, _) = self::ring("b--", TERMS).following(&kept, clock.moment());
    assert!(uses(&over, 'b') && !holds(&over, 'a'));
}

#[test]
fn without_a_canary_a_changed_file_counts_at_once_and_a_next_token_waits() {
    let terms = Terms { canary: false, ..TERMS };
    let now = Clock::manual(0).moment();
    let (ring, switch) = ring("b--", terms).following(&ring("a--", terms), now);
    assert!(uses(&ring, 'b') && holds(&ring, 'a') && switch.is_some());
    assert!(wants(&self::ring("ab-", terms)).is_none());
}

#[test]
fn a_next_token_that_is_in_use_becomes_that_of_the_file_without_a_gap() {
    let now = Clock::manual(0).moment();
    let before = ring("ab-", TERMS);
    before.switch(key('b').fingerprint(), now).unwrap();

    let (ring, switch) = ring("b-a", TERMS).following(&before, now);

    assert!(uses(&ring, 'b') && holds(&ring, 'a') && switch.is_none());
    assert_eq!(wants(&ring), None);
}

#[test]
fn one_refusal_is_none_and_three_in_a_row_are_enough() {
    let ring = ring("a-b", TERMS);
    let now = Clock::manual(0).moment();
    let (a, b) = (key('a'), key('b'));
    assert_eq!(ring.refused_for(&a, &b, now), None);
    assert_eq!(ring.refused_for(&a, &b, now), None);
    ring.accepted(&a);
    assert_eq!(ring.refused_for(&a, &b, now), None);
    assert_eq!(ring.refused_for(&a, &b, now), None);
    assert!(uses(&ring, 'a'));
    assert!(ring.refused_for(&a, &b, now).is_some());
    assert!(uses(&ring, 'b'));
    assert_eq!(ring.refused_for(&a, &b, now), None, "a straggler changes nothing");
}

#[test]
fn what_all_tokens_are_refused_for_is_not_about_tokens() {
    let clock = Clock::manual(0);
    let ring = ring("abc", TERMS);
    let tried = |ring: &Keyring| -> Vec<_> {
        let others = ring.others(&key('b'), clock.moment());
        others.iter().map(|key| key.fingerprint()).collect()
    };
    assert_eq!(tried(&ring), [key('a').fingerprint(), key('c').fingerprint()]);
    ring.refused_all(clock.moment());
    assert!(tried(&ring).is_empty());
    clock.advance(HOPELESS);
    assert_eq!(tried(&ring).len(), 2);
}

#[test]
fn the_same_token_twice_is_one() {
    assert_eq!(ring("aab", TERMS).all().len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    /// Files now name these.
    Reload(String),
    /// The canary was answered.
    Canary,
    /// The one in use was refused, another of all there are was not.
    Refused(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => "[a-d][-a-d][-a-d]".prop_map(Step::Reload),
        2 => Just(Step::Canary),
        3 => (0_usize..5).prop_map(Step::Refused),
        2 => (0_u64..900).prop_map(Step::Wait),
    ]
}

proptest! {
    /// What files name is live; one of the live is used; what nothing names is live for as long as it is used, and for
    /// no longer than the overlap behind that; and what was used goes on until there is a reason.
    #[test]
    fn whatever_happens_one_is_in_use_and_none_is_live_for_ever(
        canary in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let clock = Clock::manual(0);
        let terms = Terms { canary, ..TERMS };
        let mut files = "a--".to_owned();
        let mut ring = ring(&files, terms);
        // Since when each letter is neither named nor in use.
        let mut idle = std::collections::BTreeMap::new();
        for step in steps {
            let now = clock.moment();
            let used = ring.current().fingerprint();
            match step {
                Step::Reload(letters) => {
                    let (next, switch) = self::ring(&letters, terms).following(&ring, now);
                    files = letters;
                    ring = next;
                    if canary {
                        prop_assert_eq!(ring.current().fingerprint(), used);
                    }
                    prop_assert_eq!(switch.is_some(), ring.current().fingerprint() != used);
                }
                Step::Canary => {
                    if let Some(candidate) = wants(&ring) {
                        prop_assert!(canary);
                        ring.switch(candidate, now);
                        prop_assert_eq!(wants(&ring), None);
                    }
                }
                Step::Refused(other) => {
                    let other = Arc::clone(&ring.all()[other % ring.all().len()].key);
                    let current = Arc::clone(ring.current());
                    if other.fingerprint() != current.fingerprint() {
                        for _ in 0..TERMS.refusals {
                            ring.refused_for(&current, &other, now);
                        }
                        prop_assert_eq!(ring.current().fingerprint(), other.fingerprint());
                    }
                }
                Step::Wait(seconds) => clock.advance(Duration::from_secs(seconds)),
            }
            // As the reload does it when an overlap ends.
            let now = clock.moment();
            if ring.next_end().is_some_and(|end| end <= now) {
                ring = self::ring(&files, terms).following(&ring, now).0;
            }
            for letter in 'a'..='d' {
                let (named, used) = (files.contains(letter), uses(&ring, letter));
                prop_assert!(!(named || used) || holds(&ring, letter), "{letter} of {files}");
                if named || used {
                    idle.remove(&letter);
                } else if holds(&ring, letter) {
                    let since = *idle.entry(letter).or_insert(now);
                    prop_assert!(now.since(since) < OVERLAP, "{letter} of {files} has been idle for too long");
                }
            }
        }
    }
}
