//! Who waits for whom, under a paused clock.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;
use tokio::task::LocalSet;

use super::*;
use crate::forward::ask::NoReply;
use crate::forward::cache::flight::{Asked, Fetched};
use crate::forward::cache::status::Passage;
use crate::upstream::error::UpstreamError;

fn on_paused_time<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test)
}

#[expect(clippy::disallowed_methods, reason = "the time of a paused runtime")]
fn now() -> Instant {
    Instant::now()
}

/// A platform that takes its time, and counts how often it was asked.
struct Slow {
    asked: Cell<u32>,
}

impl Slow {
    fn new() -> Rc<Self> {
        Rc::new(Self { asked: Cell::new(0) })
    }

    /// As the real one does: an answer, or the deadline.
    fn answer(self: &Rc<Self>, takes: Duration, deadline: Instant) -> impl Future<Output = Fetched> + 'static {
        let slow = Rc::clone(self);
        async move {
            slow.asked.set(slow.asked.get() + 1);
            let came = tokio::time::timeout_at(deadline, tokio::time::sleep(takes)).await;
            Fetched {
                result: came.map(|()| reply(LIST)).map_err(|_| UpstreamError::Deadline.into()),
                attempts: 1,
                upstream_time: takes,
                limit_time: Duration::ZERO,
                resigned: false,
                tries: Vec::new(),
                local: false,
            }
        }
    }
}

async fn ask(cache: &Arc<Cache>, slow: &Rc<Slow>, takes: Duration, deadline: Instant) -> Asked {
    let subject = |(): &()| about(PatientTags::numbered(1, 0));
    cache
        .ask(question(1, &TERMS, deadline), (), subject, rule, |()| {
            slow.answer(takes, deadline)
        })
        .await
}

fn collapsed(asked: &Asked) -> bool {
    matches!(asked.passage, Passage::Asked { collapsed: true, .. })
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn equal_questions_at_one_time_are_asked_once_and_the_answer_is_kept() {
    on_paused_time(async {
        let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
        let deadline = now() + 10 * SECOND;
        let all = (0..50).map(|_| ask(&cache, &slow, SECOND, deadline));

        let all = futures_util::future::join_all(all).await;

        assert_eq!(slow.asked.get(), 1);
        assert_eq!(all.iter().filter(|asked| collapsed(asked)).count(), 49);
        assert_eq!(all.iter().map(|asked| asked.fetched.attempts).sum::<u32>(), 1);
        assert!(all.iter().all(|asked| asked.fetched.result.is_ok()));
        let again = ask(&cache, &slow, SECOND, deadline).await;
        assert!(matches!(again.passage, Passage::Kept { stale: false, .. }));
        assert_eq!(slow.asked.get(), 1);
    });
}

#[test]
fn a_flight_outlives_whoever_began_it() {
    on_paused_time(async {
        let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
        let deadline = now() + 10 * SECOND;
        let gone = tokio::time::timeout(SECOND / 2, ask(&cache, &slow, SECOND, deadline)).await;
        assert!(gone.is_err());

        tokio::time::sleep(SECOND).await;

        let later = ask(&cache, &slow, SECOND, deadline).await;
        assert!(matches!(later.passage, Passage::Kept { .. }));
        assert_eq!(slow.asked.get(), 1);
    });
}

#[test]
fn who_has_time_left_when_a_flight_ran_out_of_its_asks_again() {
    on_paused_time(async {
        let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
        let start = now();
        let first = ask(&cache, &slow, 20 * SECOND, start + 10 * SECOND);
        let second = async {
            tokio::time::sleep(5 * SECOND).await;
            ask(&cache, &slow, 2 * SECOND, start + 15 * SECOND).await
        };

        let (first, second) = tokio::join!(first, second);

        assert!(matches!(
            first.fetched.result,
            Err(NoReply::Upstream(UpstreamError::Deadline))
        ));
        assert!(second.fetched.result.is_ok());
        assert_eq!(now() - start, 12 * SECOND);
        assert_eq!(slow.asked.get(), 2);
    });
}

#[test]
fn a_flight_that_vanishes_is_made_by_the_next_and_lost_to_who_made_it() {
    on_paused_time(async {
        let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
        let deadline = now() + 10 * SECOND;
        let subject = |(): &()| about(PatientTags::numbered(1, 0));
        let panics = cache.ask(question(1, &TERMS, deadline), (), subject, rule, |()| async {
            tokio::time::sleep(SECOND).await;
            panic!("a defect");
        });
        let follower = async {
            tokio::time::sleep(SECOND / 2).await;
            ask(&cache, &slow, SECOND, deadline).await
        };

        let (lost, asked) = tokio::join!(panics, follower);

        assert_eq!(lost.fetched.result.err(), Some(NoReply::Lost));
        assert!(asked.fetched.result.is_ok());
        assert_eq!(slow.asked.get(), 1);
    });
}

#[test]
fn an_older_answer_serves_where_the_platform_fails_until_its_end_and_not_after_a_purge() {
    on_paused_time(async {
        let cache = roomy(&Clock::of_runtime(0));
        let slow = Slow::new();
        let good = ask(&cache, &slow, SECOND, now() + 10 * SECOND).await;
        assert!(good.fetched.result.is_ok());
        tokio::time::sleep(100 * SECOND).await;

        // The answer would come too late.
        let stale = ask(&cache, &slow, 20 * SECOND, now() + 10 * SECOND).await;
        assert!(matches!(stale.passage, Passage::Kept { stale: true, .. }));
        assert_eq!(stale.passage.age(), Some(111 * SECOND));
        assert_eq!(stale.behind.map(|(name, _)| name), Some("deadline"));
        assert_eq!(stale.fetched.attempts, 1);

        let dropped = ask(&cache, &slow, 20 * SECOND, now() + 10 * SECOND);
        let drops = async {
            tokio::time::sleep(SECOND).await;
            cache.on_every(|part, removed| part.drop_patient(PatientTags::numbered(1, 0), removed));
        };
        let (failed, ()) = tokio::join!(dropped, drops);
        assert!(failed.fetched.result.is_err());
    });
}

#[test]
fn an_old_answer_serves_while_the_next_is_asked_for() {
    on_paused_time(async {
        let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
        let terms = Terms {
            stale_while_revalidate: 60 * SECOND,
            ..TERMS
        };
        let subject = |(): &()| about(PatientTags::numbered(1, 0));
        let ask = async || {
            let deadline = now() + 10 * SECOND;
            cache
                .ask(question(1, &terms, deadline), (), subject, rule, |()| {
                    slow.answer(SECOND, deadline)
                })
                .await
        };
        ask().await;
        tokio::time::sleep(40 * SECOND).await;

        let start = now();
        let (one, other) = tokio::join!(ask(), ask());
        assert_eq!(now(), start, "nobody waits");
        for asked in [one, other] {
            assert!(matches!(asked.passage, Passage::Kept { stale: true, .. }));
        }
        tokio::time::sleep(2 * SECOND).await;

        assert_eq!(slow.asked.get(), 2);
        assert_eq!(ask().await.passage.age(), Some(2 * SECOND));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each asks at some time, with some patience, a platform that takes some time for each.
    #[test]
    fn nobody_waits_past_their_own_deadline(
        callers in prop::collection::vec((0..8000u64, 1..6000u64, 1..9000u64), 1..12),
    ) {
        on_paused_time(async {
            let (cache, slow) = (roomy(&Clock::of_runtime(0)), Slow::new());
            let late = Rc::new(RefCell::new(Vec::new()));
            let all = callers.into_iter().map(|(begin, patience, takes)| {
                let (cache, slow, late) = (&cache, &slow, Rc::clone(&late));
                async move {
                    tokio::time::sleep(Duration::from_millis(begin)).await;
                    let deadline = now() + Duration::from_millis(patience);
                    let asked = ask(cache, slow, Duration::from_millis(takes), deadline).await;
                    // The timer counts in milliseconds.
                    let over = now().saturating_duration_since(deadline);
                    if over > Duration::from_millis(1) {
                        late.borrow_mut().push(over);
                    }
                    asked
                }
            });
            let all = futures_util::future::join_all(all).await;
            let late = late.take();
            prop_assert!(late.is_empty(), "{late:?}");
            for asked in all {
                let fair = match asked.fetched.result {
                    Ok(_) | Err(NoReply::Upstream(UpstreamError::Deadline)) => true,
                    Err(_) => false,
                };
                prop_assert!(fair);
            }
            Ok(())
        })?;
    }
}
