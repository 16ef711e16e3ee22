//! What is kept and what is dropped.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::buffers::Buffers;
use super::super::entry::Original;
use super::super::terms::Life;
use super::*;
use crate::telemetry::labels::Eviction;

/// A moment of the runtime's clock that nobody looks at.
#[expect(clippy::disallowed_methods, reason = "a deadline that plays no part")]
fn some_deadline() -> Instant {
    Instant::now()
}

fn enter(cache: &Cache, key: u8, said: Directives, terms: &Terms, patient: PatientTags) -> Entered {
    let question = Question {
        said,
        ..question(key, terms, some_deadline())
    };
    cache.enter(question, cache.now(), || about(patient))
}

fn lead(cache: &Cache, key: u8, patient: PatientTags) -> Begun {
    match enter(cache, key, Directives::default(), &TERMS, patient) {
        Entered::Lead { flight, .. } => flight,
        other => panic!("not to be asked: {}", name(&other)),
    }
}

fn name(entered: &Entered) -> &'static str {
    match entered {
        Entered::Hit { refresh: None, .. } => "hit",
        Entered::Hit { refresh: Some(_), .. } => "hit, refresh",
        Entered::Follow { .. } => "follow",
        Entered::Lead { .. } => "lead",
        Entered::Absent => "absent",
    }
}

fn land(cache: &Cache, key: u8, flight: &Begun, body: &str, terms: &Terms) -> bool {
    let reply = reply(body);
    let code = reply.envelope().code().unwrap();
    let life = terms.life(reply.status(), &rule(code), reply.envelope().is_empty());
    let verdict = life.map_or(Verdict::Forget, |life| {
        Verdict::Keep(Arc::new(Entry::new(
            &reply,
            &cache.buffers,
            flight.subject.clone(),
            cache.now(),
            life,
        )))
    });
    cache.land(CacheKey::numbered(key), flight.number, verdict)
}

fn put(cache: &Cache, key: u8, patient: PatientTags, body: &str) -> bool {
    let flight = lead(cache, key, patient);
    land(cache, key, &flight, body, &TERMS)
}

const NOBODY: fn() -> PatientTags = || PatientTags::numbered(0, 0);

#[test]
fn an_answer_is_fresh_then_stale_then_gone() {
    let revalidating = Terms {
        stale_while_revalidate: Duration::from_secs(20),
        ..TERMS
    };
    // At each second: what becomes of a question, and whether an older answer may serve where the platform fails.
    let list: &[(u64, &str, bool)] = &[
        (0, "hit", true),
        (29, "hit", true),
        (30, "lead", true),
        (329, "lead", true),
        (330, "lead", false),
    ];
    let empty: &[(u64, &str, bool)] = &[(0, "hit", true), (9, "hit", true), (10, "lead", false)];
    let soon: &[(u64, &str, bool)] = &[(4, "hit", true), (5, "lead", false)];
    let while_asked: &[(u64, &str, bool)] = &[
        (29, "hit", true),
        (30, "hit, refresh", true),
        (49, "hit, refresh", true),
        (50, "lead", true),
        (330, "lead", false),
    ];
    for (body, terms, rows) in [
        (LIST, &TERMS, list),
        (r#"{"code":0,"data":[]}"#, &TERMS, empty),
        (r#"{"code":100004,"message":"none"}"#, &TERMS, empty),
        (r#"{"code":30008,"message":"none"}"#, &TERMS, soon),
        (LIST, &revalidating, while_asked),
        (r#"{"code":100004}"#, &revalidating, empty),
    ] {
        for (second, becomes, serves) in rows {
            let clock = Clock::manual(0);
            let cache = roomy(&clock);
            let flight = lead(&cache, 1, NOBODY());
            assert!(land(&cache, 1, &flight, body, terms));
            clock.advance(Duration::from_secs(*second));

            let stale = cache.stale(question(1, terms, some_deadline()), cache.now());
            assert_eq!(stale.is_some(), *serves, "{body} after {second} s");
            let entered = enter(&cache, 1, Directives::default(), terms, NOBODY());
            assert_eq!(name(&entered), *becomes, "{body} after {second} s");
        }
    }
}

#[test]
fn directives_decide_what_a_kept_answer_is_good_for() {
    let none = Directives::default();
    let age = |seconds| Directives {
        max_age: Some(Duration::from_secs(seconds)),
        ..none
    };
    let no_cache = Directives { no_cache: true, ..none };
    let only = Directives {
        only_if_cached: true,
        ..none
    };
    for (said, young, old, gone) in [
        (none, "hit", "lead", "lead"),
        (no_cache, "lead", "lead", "lead"),
        (only, "hit", "absent", "absent"),
        (age(10), "hit", "lead", "lead"),
        (age(9), "lead", "lead", "lead"),
    ] {
        for (seconds, becomes) in [(10, young), (100, old), (1000, gone)] {
            let clock = Clock::manual(0);
            let cache = roomy(&clock);
            assert!(put(&cache, 1, NOBODY(), LIST));
            clock.advance(Duration::from_secs(seconds));
            let entered = enter(&cache, 1, said, &TERMS, NOBODY());
            assert_eq!(name(&entered), becomes, "{said:?} after {seconds} s");
        }
        // Where the platform fails.
        let clock = Clock::manual(0);
        let cache = roomy(&clock);
        assert!(put(&cache, 1, NOBODY(), LIST));
        clock.advance(Duration::from_secs(100));
        let question = Question {
            said,
            ..question(1, &TERMS, some_deadline())
        };
        assert_eq!(
            cache.stale(question, cache.now()).is_some(),
            said == none || said == only
        );
    }
}

#[test]
fn what_was_asked_for_before_a_patient_was_dropped_is_neither_kept_nor_waited_for() {
    let cache = roomy(&Clock::manual(0));
    let patient = PatientTags::numbered(1, 2);
    let early = lead(&cache, 1, patient);
    let other = lead(&cache, 2, PatientTags::numbered(3, 4));
    assert_eq!(
        name(&enter(&cache, 1, Directives::default(), &TERMS, patient)),
        "follow"
    );

    cache.on_every(|part, removed| part.drop_patient(PatientTags::numbered(0, 2), removed));

    let late = lead(&cache, 1, patient);
    assert!(!land(&cache, 1, &early, LIST, &TERMS), "an answer from before is kept");
    assert_eq!(
        name(&enter(&cache, 1, Directives::default(), &TERMS, patient)),
        "follow"
    );
    assert!(land(&cache, 1, &late, LIST, &TERMS));
    assert!(land(&cache, 2, &other, LIST, &TERMS), "another patient's is not");
    assert_eq!(name(&enter(&cache, 1, Directives::default(), &TERMS, patient)), "hit");
}

#[test]
fn an_answer_that_was_asked_for_later_is_not_replaced_by_an_earlier_one() {
    let cache = roomy(&Clock::manual(0));
    let early = lead(&cache, 1, NOBODY());
    let no_cache = Directives {
        no_cache: true,
        ..Directives::default()
    };
    let Entered::Lead { flight: late, .. } = enter(&cache, 1, no_cache, &TERMS, NOBODY()) else {
        panic!("no-cache asks by itself");
    };
    assert!(land(&cache, 1, &late, LIST, &TERMS));
    assert!(!land(&cache, 1, &early, r#"{"code":0,"data":[2]}"#, &TERMS));
    let Entered::Hit { entry, .. } = enter(&cache, 1, Directives::default(), &TERMS, NOBODY()) else {
        panic!("kept");
    };
    assert_eq!(entry.reply().body(), LIST);
}

#[test]
fn an_answer_that_leaves_is_freed_at_once() {
    let clock = Clock::manual(0);
    let cache = roomy(&clock);
    let weak = |cache: &Cache| match enter(cache, 1, Directives::default(), &TERMS, NOBODY()) {
        Entered::Hit { entry, .. } => Arc::downgrade(&entry),
        other => panic!("{}", name(&other)),
    };
    assert!(put(&cache, 1, PatientTags::numbered(1, 0), LIST));
    let kept = weak(&cache);
    cache.on_every(|part, removed| part.drop_patient(PatientTags::numbered(1, 0), removed));
    assert!(kept.upgrade().is_none(), "dropped");

    assert!(put(&cache, 1, NOBODY(), LIST));
    let kept = weak(&cache);
    clock.advance(Duration::from_secs(100));
    assert!(put(&cache, 1, NOBODY(), LIST));
    assert!(kept.upgrade().is_none(), "replaced");

    let kept = weak(&cache);
    clock.advance(Duration::from_secs(330));
    for _ in 0..cache.parts.len() {
        cache.sweep();
    }
    assert!(kept.upgrade().is_none(), "too old, and looked for");

    assert!(put(&cache, 1, NOBODY(), LIST));
    let kept = weak(&cache);
    clock.advance(Duration::from_secs(330));
    lead(&cache, 1, NOBODY());
    assert!(kept.upgrade().is_none(), "too old, and met");
    assert_eq!(cache.fill().entries, 0);
    assert_eq!(cache.fill().bytes, 0);
    for (reason, count) in [
        (Eviction::Purged, 1),
        (Eviction::Replaced, 1),
        (Eviction::Expired, 2),
        (Eviction::Size, 0),
    ] {
        assert_eq!(cache.metrics.cache.evicted(reason).get(), count, "{}", reason.as_str());
    }
}

#[test]
fn an_answer_that_has_to_make_room_is_freed_at_once() {
    let cache = cache_of(8192, 2048, &Clock::manual(0));
    let mut all = Vec::new();
    for key in 0..50 {
        assert!(put(&cache, key, PatientTags::numbered(key, key), LIST));
        let Entered::Hit { entry, .. } = enter(&cache, key, Directives::default(), &TERMS, NOBODY()) else {
            panic!("a new answer is always kept");
        };
        all.push(Arc::downgrade(&entry));
    }
    let alive = all.iter().filter(|entry| entry.upgrade().is_some()).count();
    assert_eq!(alive, cache.fill().entries);
    assert_eq!(cache.metrics.cache.evicted(Eviction::Size).get(), 50 - alive as u64);
    assert_eq!(cache.parts.len(), 1);
    // Each of the patients that are left has two numbers.
    assert_eq!(cache.parts[0].lock().unwrap().listed(), (2 * alive, alive));
}

#[test]
fn a_definite_answer_of_the_platform_replaces_what_was_kept_and_a_failure_does_not() {
    let cache = roomy(&Clock::manual(0));
    assert!(put(&cache, 1, NOBODY(), LIST));
    let key = CacheKey::numbered(1);
    let no_cache = Directives {
        no_cache: true,
        ..Directives::default()
    };
    for (verdict, kept) in [(Verdict::Leave, true), (Verdict::Forget, false)] {
        let Entered::Lead { flight, .. } = enter(&cache, 1, no_cache, &TERMS, NOBODY()) else {
            panic!("no-cache asks by itself");
        };
        assert!(!cache.land(key, flight.number, verdict));
        assert_eq!(cache.fill().entries > 0, kept);
    }
}

#[test]
fn a_question_joins_no_flight_that_is_older_than_its_answer_may_be() {
    let clock = Clock::manual(0);
    let cache = roomy(&clock);
    let patient = PatientTags::numbered(1, 0);
    let _flight = lead(&cache, 1, patient);
    let said = |seconds| Directives {
        max_age: Some(Duration::from_secs(seconds)),
        ..Directives::default()
    };

    assert_eq!(name(&enter(&cache, 1, said(0), &TERMS, patient)), "follow");
    clock.advance(Duration::from_secs(9));

    assert_eq!(name(&enter(&cache, 1, said(10), &TERMS, patient)), "follow");
    assert_eq!(name(&enter(&cache, 1, said(8), &TERMS, patient)), "lead");
}

#[test]
fn nothing_is_kept_over_the_sleep_of_the_machine() {
    let clock = Clock::manual(0);
    let cache = roomy(&clock);
    let patient = PatientTags::numbered(1, 0);
    assert!(put(&cache, 1, patient, LIST));
    clock.advance(Duration::from_secs(20));
    cache.sweep();
    assert_eq!(name(&enter(&cache, 1, Directives::default(), &TERMS, patient)), "hit");

    clock.sleep(Duration::from_secs(3600));
    cache.sweep();

    assert_eq!(name(&enter(&cache, 1, Directives::default(), &TERMS, patient)), "lead");
}

#[test]
fn what_is_kept_holds_on_to_nothing_of_what_came_with_it() {
    let clock = Clock::manual(0);
    let read = Bytes::from(vec![b'x'; 8192]);
    let reply = reply(LIST).with_headers_of(&read);

    let entry = Entry::new(
        &reply,
        &Buffers::new(0),
        about(PatientTags::numbered(1, 0)),
        clock.moment(),
        Life::default(),
    );
    drop(reply);

    assert!(read.is_unique());
    assert_eq!(entry.reply().content_type().unwrap(), "xxxx");
}

#[test]
fn tenants_and_apis_are_dropped_apart() {
    let cache = roomy(&Clock::manual(0));
    for (key, tenant, api) in [(1, "first", 0), (2, "first", 1), (3, "second", 0)] {
        let question = question(key, &TERMS, some_deadline());
        let subject = || Subject {
            tenant: TenantName::new(tenant),
            api,
            patient: NOBODY(),
        };
        let Entered::Lead { flight, .. } = cache.enter(question, cache.now(), subject) else {
            panic!("new")
        };
        assert!(land(&cache, key, &flight, LIST, &TERMS));
    }
    assert_eq!(cache.drop_all(Some("first"), Some(1)), 1);
    assert_eq!(cache.drop_all(Some("third"), None), 0);
    assert_eq!(cache.drop_all(None, Some(0)), 2);
    assert_eq!(cache.drop_all(None, None), 0);
}

#[test]
fn one_reply_larger_than_its_bound_is_not_kept_and_what_was_hit_stays_longest() {
    let cache = cache_of(8 * 1024, 2048, &Clock::manual(0));
    assert!(!cache.takes(&reply(&format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(1400)))));
    assert!(cache.takes(&reply(LIST)));
    assert!(put(&cache, 0, NOBODY(), LIST));
    for key in 1..100 {
        assert!(put(&cache, key, NOBODY(), LIST));
        // Asked for again and again, it always gets another turn.
        assert_eq!(name(&enter(&cache, 0, Directives::default(), &TERMS, NOBODY())), "hit");
    }
    assert!(cache.fill().bytes <= 8 * 1024);
    assert!(cache.metrics.cache.evicted(Eviction::Size).get() > 80);
}

#[test]
fn a_copy_of_what_another_replica_has_more_room_for_is_not_kept() {
    let cache = cache_of(8 * 1024, 2048, &Clock::manual(0));
    assert!(put(&cache, 0, NOBODY(), LIST));
    let large = reply(&format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(9000)));
    let original = Original {
        version: [1; 16],
        asked_at_ms: 0,
    };

    cache.keep_copy(
        CacheKey::numbered(1),
        original,
        &large,
        about(NOBODY()),
        Life::default(),
    );

    assert_eq!(cache.fill().entries, 1);
    assert!(cache.copy(CacheKey::numbered(0)).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Ask { key: u8, no_cache: bool },
    Land { flight: usize, good: bool },
    Drop { id: u8, phone: u8 },
    Wait { seconds: u64 },
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, prop::bool::weighted(0.2)).prop_map(|(key, no_cache)| Step::Ask { key, no_cache }),
        4 => (0..8usize, prop::bool::weighted(0.8)).prop_map(|(flight, good)| Step::Land { flight, good }),
        1 => (0..4u8, 0..4u8).prop_map(|(id, phone)| Step::Drop { id, phone }),
        1 => (1..200u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Sweep),
    ]
}

/// Questions 0 to 5 are about patients that share numbers.
fn numbers(key: u8) -> (u8, u8) {
    [(1, 1), (1, 2), (2, 1), (3, 3), (0, 2), (3, 0)][usize::from(key)]
}

proptest! {
    /// The model knows, for each question, the flight that counts and when the answer was asked for.
    #[test]
    fn entries_and_flights_follow_a_plain_model(steps in prop::collection::vec(step(), 1..80)) {
        let clock = Clock::manual(0);
        let cache = roomy(&clock);
        let mut now = 0;
        let mut kept: HashMap<u8, u64> = HashMap::new();
        let mut flying: HashMap<u8, u64> = HashMap::new();
        let mut begun: Vec<(u8, Begun)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { key, no_cache } => {
                    let said = Directives { no_cache, ..Directives::default() };
                    let (id, phone) = numbers(key);
                    let entered = enter(&cache, key, said, &TERMS, PatientTags::numbered(id, phone));
                    let fresh = kept.get(&key).is_some_and(|asked| now - asked < 30);
                    let wanted = match () {
                        () if fresh && !no_cache => "hit",
                        () if flying.contains_key(&key) && !no_cache => "follow",
                        () => "lead",
                    };
                    prop_assert_eq!(name(&entered), wanted);
                    if let Entered::Lead { flight, .. } = entered {
                        flying.insert(key, flight.number);
                        begun.push((key, flight));
                    }
                }
                Step::Land { flight, good } => {
                    if begun.is_empty() {
                        continue;
                    }
                    let (key, flight) = begun.swap_remove(flight % begun.len());
                    let counts = flying.get(&key) == Some(&flight.number);
                    if good {
                        prop_assert_eq!(land(&cache, key, &flight, LIST, &TERMS), counts);
                    } else {
                        cache.land(CacheKey::numbered(key), flight.number, Verdict::Leave);
                    }
                    if counts {
                        flying.remove(&key);
                        if good {
                            kept.insert(key, now);
                        }
                    }
                }
                Step::Drop { id, phone } => {
                    let meets = |key: &u8| {
                        let (of_id, of_phone) = numbers(*key);
                        (id > 0 && of_id == id) || (phone > 0 && of_phone == phone)
                    };
                    let patient = PatientTags::numbered(id, phone);
                    cache.on_every(|part, removed| part.drop_patient(patient, removed));
                    kept.retain(|key, _| !meets(key));
                    flying.retain(|key, _| !meets(key));
                }
                Step::Wait { seconds } => {
                    now += seconds;
                    clock.advance(Duration::from_secs(seconds));
                }
                Step::Sweep => cache.sweep(),
            }
            for key in 0..6 {
                let serves = cache.stale(question(key, &TERMS, some_deadline()), cache.now()).is_some();
                prop_assert_eq!(serves, kept.get(&key).is_some_and(|asked| now - asked < 330));
            }
        }
        cache.drop_all(None, None);
        prop_assert_eq!(cache.fill().entries, 0);
        prop_assert_eq!(cache.fill().bytes, 0);
    }

    #[test]
    fn what_is_kept_never_takes_more_than_it_may(sizes in prop::collection::vec((any::<u8>(), 0..3000usize), 1..120)) {
        let cache = cache_of(16 * 1024, 4096, &Clock::manual(0));
        for (key, size) in sizes {
            let body = format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(size));
            if let Entered::Lead { flight, .. } = enter(&cache, key, Directives::default(), &TERMS, PatientTags::numbered(key, 0)) {
                land(&cache, key, &flight, &body, &TERMS);
            }
            prop_assert!(cache.fill().bytes <= 16 * 1024);
        }
    }
}
