//! Retry, breaker and signature together, in front of a platform that follows a script, under a paused clock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aimis_core::sign::Timestamp;
use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use proptest::prelude::*;
use tower::{Service, ServiceBuilder};

use super::breaker::BreakerLayer;
use super::clock_offset::Dated;
use super::course::Course;
use super::deadline::DeadlineLayer;
use super::error::{AttemptError, Foreign, Head, UpstreamError};
use super::jitter::Jitter;
use super::reply::Reply;
use super::retry::{Policy, RetryLayer};
use super::sign::{SignLayer, SignedRequest};
use super::{Answer, Attempt, Shared};
use crate::clock::Clock;
use crate::config::{self, Config, Sources};
use crate::forward::protect::ProtectedRequest;
use crate::limit::pace::Outcome;
use crate::limit::{Lane, Limits};
use crate::telemetry::log::{Level, Log, LogGuard};
use crate::telemetry::metrics::Metrics;
use crate::tenant::Tenant;

const START: u64 = 1_735_689_600_000;
const OK: &str = r#"{"code":0,"message":"success","data":[]}"#;

/// What the platform does about one attempt.
#[derive(Clone, Debug)]
enum Act {
    Answer(u16, &'static str),
    AnswerLater(u16, u64),
    /// Code 90001, by a clock that is so far ahead of ours.
    RefuseSignature(i64),
    Fail(UpstreamError, bool),
    Page(u16),
    Hang,
}

#[derive(Clone)]
struct Script {
    acts: Rc<RefCell<VecDeque<Act>>>,
    /// Timestamp and signature of each attempt.
    seen: Rc<RefCell<Vec<(u64, String)>>>,
    clock: Clock,
}

impl Service<SignedRequest> for Script {
    type Response = Reply;
    type Error = AttemptError;
    type Future = Answer<AttemptError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, signed: SignedRequest) -> Self::Future {
        let (request, ..) = signed.into_parts();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        self.seen
            .borrow_mut()
            .push((header("timestamp").parse().unwrap(), header("signature")));
        let act = self.acts.borrow_mut().pop_front().unwrap_or(Act::Answer(200, OK));
        let now = self.clock.moment();
        Box::pin(async move {
            let none = HeaderMap::new();
            match act {
                Act::Answer(status, body) => Ok(Reply::made(status, body, &none, None)),
                Act::AnswerLater(status, seconds) => {
                    let headers = [(RETRY_AFTER, HeaderValue::from(seconds))].into_iter().collect();
                    Ok(Reply::made(status, r#"{"code":1}"#, &headers, None))
                }
                Act::RefuseSignature(ahead) => {
                    let dated = Dated {
                        date_ms: START.saturating_add_signed(ahead),
                        asked: now,
                        answered: now,
                    };
                    Ok(Reply::made(200, r#"{"code":90001}"#, &none, Some(dated)))
                }
                Act::Fail(error, reused) => Err(AttemptError::new(error, reused)),
                Act::Page(status) => {
                    let head = Head {
                        status: status.try_into().unwrap(),
                        wait: None,
                    };
                    Err(AttemptError {
                        head: Some(head),
                        ..AttemptError::new(UpstreamError::NotEnvelope(Foreign::Html, head), false)
                    })
                }
                Act::Hang => std::future::pending().await,
            }
        })
    }
}

struct Bench {
    config: Config,
    tenant: Arc<Tenant>,
    shared: Arc<Shared>,
    clock: Clock,
    script: Script,
    log: Log,
    _log: LogGuard,
}

impl Bench {
    fn new(settings: &str, clock: Clock) -> Self {
        let text = format!("{settings}\n[[tenants]]\nname = \"demo\"\napp_id = \"900001\"\n");
        let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
        let config = config::load(&Sources::text("demo.toml", text).with_env(token))
            .unwrap()
            .config;
        let snapshot = Arc::new(crate::prepare::prepare(&config).unwrap().snapshot);
        let metrics = Metrics::new(&["demo"], &snapshot.apis.names(), &snapshot.codes);
        let (log, guard) = Log::start(clock.clone(), Level::Error, "test", Box::new(std::io::sink())).unwrap();
        let mut shared = Shared::new(&config, &snapshot, &clock, &metrics, &log).unwrap();
        Arc::get_mut(&mut shared).unwrap().jitter = Arc::new(Jitter::seeded(1));
        let script = Script {
            acts: Rc::default(),
            seen: Rc::default(),
            clock: clock.clone(),
        };
        Self {
            tenant: Arc::clone(&snapshot.tenants.all()[0]),
            config,
            shared,
            clock,
            script,
            log,
            _log: guard,
        }
    }

    async fn ask(
        &self,
        body: &'static [u8],
        acts: impl IntoIterator<Item = Act>,
    ) -> (Result<Reply, UpstreamError>, Course) {
        self.ask_within(body, acts, self.config.platform.deadline).await
    }

    /// As one whose turn came when only `left` was left of its time.
    async fn ask_within(
        &self,
        body: &'static [u8],
        acts: impl IntoIterator<Item = Act>,
        left: Duration,
    ) -> (Result<Reply, UpstreamError>, Course) {
        let course = Course::default();
        let result = self.ask_on(&course, body, acts, left).await;
        (result, course)
    }

    async fn ask_on(
        &self,
        course: &Course,
        body: &'static [u8],
        acts: impl IntoIterator<Item = Act>,
        left: Duration,
    ) -> Result<Reply, UpstreamError> {
        self.script.acts.replace(acts.into_iter().collect());
        let platform = &self.config.platform;
        let mut stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new(platform.deadline, Arc::clone(&self.shared.metrics)))
            .layer(RetryLayer::new(Policy::new(platform, &self.shared)))
            .layer(BreakerLayer::new(Arc::clone(&self.shared.breakers)))
            .layer(SignLayer::new(Arc::clone(&self.shared.watch)))
            .service(self.script.clone());
        let request = ProtectedRequest::made(&self.tenant, 0, body);
        let expiry = tokio::time::sleep(left).deadline();
        stack.call_until(Attempt::first(request, course.clone()), expiry).await
    }

    /// What bounds the questions, as configured.
    fn limits(&self) -> Arc<Limits> {
        let shared = &self.shared;
        Limits::new(&self.config, &shared.snapshot, &self.clock, &shared.metrics, &self.log)
    }

    /// Waits for its turn, and asks.
    async fn ask_in_turn(
        &self,
        limits: &Limits,
        acts: impl IntoIterator<Item = Act>,
    ) -> (Result<Reply, UpstreamError>, Course) {
        let left = self.config.platform.deadline;
        let deadline = tokio::time::sleep(left).deadline();
        let turn = limits.turn(0, 0, Lane::Interactive, deadline).await.0.unwrap();
        let course = Course::bounded(turn.repeats());
        let result = self.ask_on(&course, b"question", acts, left).await;
        turn.done(Outcome::Unknown, course.slow_down());
        (result, course)
    }

    /// Attempts that came, forgotten by this look.
    fn seen(&self) -> Vec<(u64, String)> {
        self.script.seen.take()
    }
}

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

fn code(result: &Result<Reply, UpstreamError>) -> Option<i64> {
    result.as_ref().ok()?.envelope().code()
}

#[test]
fn what_may_help_is_repeated_and_the_last_word_is_kept() {
    use Act::{Answer, AnswerLater, Fail, Page, RefuseSignature};
    const BUSY: &str = r#"{"code":100002}"#;
    let no_answer = |reused| Fail(UpstreamError::NoAnswer, reused);
    let dns = Fail(UpstreamError::Dns, false);
    // What the platform does, how often it is asked, the code of the answer.
    let rows: Vec<(Vec<Act>, usize, Option<i64>)> = vec![
        (vec![], 1, Some(0)),
        (vec![no_answer(true)], 2, Some(0)),
        (vec![no_answer(true), no_answer(false), no_answer(false)], 4, Some(0)),
        (vec![no_answer(false); 9], 3, None),
        (vec![dns.clone(), Page(503)], 3, Some(0)),
        (vec![dns; 9], 3, None),
        (vec![Page(502); 9], 3, None),
        (vec![Page(200); 9], 1, None),
        (vec![Page(404); 9], 1, None),
        (vec![Answer(503, BUSY), Answer(504, OK)], 3, Some(0)),
        (vec![Answer(500, BUSY); 9], 2, Some(100_002)),
        (vec![Answer(200, BUSY); 9], 2, Some(100_002)),
        (vec![Answer(200, r#"{"code":100004}"#); 9], 1, Some(100_004)),
        (vec![Answer(503, r#"{"code":90003}"#); 9], 1, Some(90_003)),
        (vec![Answer(200, r#"{"code":90001}"#); 9], 1, Some(90_001)),
        (vec![RefuseSignature(1_000); 9], 1, Some(90_001)),
        (vec![RefuseSignature(120_000); 9], 2, Some(90_001)),
        (vec![RefuseSignature(-120_000)], 2, Some(0)),
        (vec![RefuseSignature(7_200_000); 9], 1, Some(90_001)),
        (vec![AnswerLater(503, 2)], 2, Some(0)),
        (vec![AnswerLater(503, 60)], 1, Some(1)),
        (vec![Fail(UpstreamError::Cut, false); 9], 1, None),
        (vec![Fail(UpstreamError::TooLarge, false); 9], 1, None),
    ];
    for (acts, attempts, wanted) in rows {
        paused(async {
            let bench = Bench::new("", Clock::of_runtime(START));
            let (result, course) = bench.ask(b"question", acts.clone()).await;
            assert_eq!(bench.seen().len(), attempts, "{acts:?}");
            assert_eq!(course.attempts() as usize, attempts, "{acts:?}");
            assert_eq!(code(&result), wanted, "{acts:?}");
        });
    }
}

#[test]
fn what_is_repeated_takes_of_the_tenants_quota() {
    use Act::{Answer, Fail, RefuseSignature};
    let failing = || vec![Fail(UpstreamError::NoAnswer, false); 9];
    let refused = || vec![RefuseSignature(120_000)];
    let stale = || vec![Fail(UpstreamError::NoAnswer, true)];
    // The quota, what the platform does, how often it is asked, the code of the answer, and what is left.
    let rows = [
        (9, vec![], 1, Some(0), 8.0),
        (9, failing(), 3, None, 6.0),
        (2, failing(), 2, None, 0.0),
        (1, failing(), 1, None, 0.0),
        (2, refused(), 2, Some(0), 0.0),
        (1, refused(), 1, Some(90_001), 0.0),
        (1, stale(), 2, Some(0), 0.0),
        (1, vec![Answer(503, OK); 9], 1, Some(0), 0.0),
    ];
    for (burst, acts, attempts, wanted, left) in rows {
        paused(async {
            let settings = format!("[limits.tenant]\nrate_per_s = 0.001\nburst = {burst}");
            let bench = Bench::new(&settings, Clock::of_runtime(START));
            let limits = bench.limits();
            let (result, course) = bench.ask_in_turn(&limits, acts.clone()).await;
            let what = format!("{burst} {acts:?}");
            assert_eq!((bench.seen().len(), code(&result)), (attempts, wanted), "{what}");
            let cured = attempts == 2 && matches!(acts[..], [RefuseSignature(_)]);
            assert_eq!(course.resigned(), cured, "{what}");
            limits.show();
            let shown = bench.shared.metrics.limits.shown(0).tokens.get();
            assert!((left..left + 0.01).contains(&shown), "{what}: {shown}");
        });
    }
}

#[test]
fn nothing_is_repeated_once_the_platform_says_that_it_is_too_much() {
    paused(async {
        let bench = Bench::new("", Clock::of_runtime(START));
        let limits = bench.limits();
        let first = bench.ask_in_turn(&limits, [Act::AnswerLater(503, 2)]);
        let second = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (refused, _) = bench
                .ask_in_turn(&limits, [Act::Answer(200, r#"{"code":90003}"#)])
                .await;
            assert_eq!(code(&refused), Some(90_003));
        };

        let ((result, course), ()) = tokio::join!(first, second);

        assert_eq!((code(&result), course.attempts()), (Some(1), 1));
        assert_eq!(bench.seen().len(), 2);
    });
}

#[test]
fn a_refused_signature_is_repeated_by_the_platforms_clock() {
    paused(async {
        let bench = Bench::new("", Clock::of_runtime(START));
        let (result, course) = bench.ask(b"question", [Act::RefuseSignature(120_000)]).await;

        assert_eq!((code(&result), course.resigned()), (Some(0), true));
        let seen = bench.seen();
        let ahead = seen[1].0 - seen[0].0;
        assert!((120_000..121_100).contains(&ahead), "{ahead}");
        assert_eq!(bench.shared.watch.off_ms().map(|off| off / 1000), Some(-120));
        // Without `clock.auto_correct` the next question carries our own time.
        let _ = bench.ask(b"question", []).await;
        assert!(bench.seen()[0].0 < START + 60_000);
    });
}

#[test]
fn auto_correct_signs_by_the_platforms_clock_once_it_is_known() {
    paused(async {
        let bench = Bench::new("[clock]\nauto_correct = true", Clock::of_runtime(START));
        let dated = || {
            let now = bench.clock.moment();
            Dated {
                date_ms: bench.clock.now().as_millis() + 30_000,
                asked: now,
                answered: now,
            }
        };
        for _ in 0..3 {
            assert!(bench.shared.watch.remedy(dated()).is_some());
            bench.shared.watch.learn(dated());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // What is corrected already needs no cure.
        assert_eq!(bench.shared.watch.remedy(dated()), None);
        let _ = bench.ask(b"question", []).await;
        let ours = bench.clock.now().as_millis();
        assert!((30_000..31_100).contains(&(bench.seen()[0].0 - ours)));
    });
}

#[test]
fn the_breaker_opens_for_many_patients_and_never_for_one() {
    const PATIENTS: [&[u8]; 5] = [b"1", b"2", b"3", b"4", b"5"];
    let failing = || vec![Act::Fail(UpstreamError::NoAnswer, false); 9];
    paused(async {
        let bench = Bench::new("[platform]\nmax_retries = 0", Clock::of_runtime(START));
        for _ in 0..50 {
            let (result, _) = bench.ask(b"one", failing()).await;
            assert_eq!(result.err(), Some(UpstreamError::NoAnswer));
        }
        let _ = bench.ask(b"one", []).await;
        for patient in PATIENTS {
            let _ = bench.ask(patient, failing()).await;
        }
        bench.seen();

        let (refused, course) = bench.ask(b"another", []).await;
        assert!(matches!(refused, Err(UpstreamError::Suspended(wait)) if wait > Duration::from_secs(29)));
        assert_eq!((bench.seen().len(), course.attempts()), (0, 0));
        // A probe that hangs is cut by the deadline and opens it again; one that answers closes it.
        tokio::time::advance(Duration::from_secs(36)).await;
        assert_eq!(
            bench.ask(b"probe", [Act::Hang]).await.0.err(),
            Some(UpstreamError::Deadline)
        );
        assert!(matches!(
            bench.ask(b"another", []).await.0,
            Err(UpstreamError::Suspended(_))
        ));
        tokio::time::advance(Duration::from_secs(36)).await;
        // The caller of this probe leaves: the next one may go.
        let gone = tokio::time::timeout(Duration::from_secs(1), bench.ask(b"probe", [Act::Hang])).await;
        assert!(gone.is_err());
        assert_eq!(code(&bench.ask(b"probe", []).await.0), Some(0));
        assert_eq!(code(&bench.ask(b"another", []).await.0), Some(0));
    });
}

#[test]
fn a_platform_that_hangs_opens_the_breaker() {
    paused(async {
        let bench = Bench::new("", Clock::of_runtime(START));
        for patient in [b"1", b"2", b"3", b"4", b"5"] {
            let (result, _) = bench.ask(patient, [Act::Hang]).await;
            assert_eq!(result.err(), Some(UpstreamError::Deadline));
        }
        assert!(matches!(bench.ask(b"6", []).await.0, Err(UpstreamError::Suspended(_))));
    });
}

#[test]
fn a_question_begun_too_late_says_nothing_about_the_platform() {
    const PATIENTS: [&[u8]; 8] = [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"];
    paused(async {
        let bench = Bench::new("[platform]\ndeadline_ms = 10000", Clock::of_runtime(START));
        for (left, suspended) in [(4_900, false), (5_100, true)] {
            for patient in PATIENTS {
                let left = Duration::from_millis(left);
                let (result, course) = bench.ask_within(patient, [Act::Hang], left).await;
                if !suspended {
                    assert_eq!(
                        (result.err(), course.timed_out()),
                        (Some(UpstreamError::Deadline), false)
                    );
                }
            }
            let next = bench.ask(b"9", []).await.0;
            assert_eq!(matches!(next, Err(UpstreamError::Suspended(_))), suspended);
        }
        // A probe that had no time gives its place to the next.
        tokio::time::advance(Duration::from_secs(36)).await;
        let (late, _) = bench.ask_within(b"probe", [Act::Hang], Duration::from_millis(20)).await;
        assert_eq!(late.err(), Some(UpstreamError::Deadline));
        assert_eq!(code(&bench.ask(b"probe", []).await.0), Some(0));
    });
}

#[test]
fn a_stale_connection_says_nothing_about_the_platform() {
    const PATIENTS: [&[u8]; 8] = [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"];
    let stale = || [Act::Fail(UpstreamError::NoAnswer, true), Act::Hang];
    paused(async {
        let bench = Bench::new("", Clock::of_runtime(START));
        for patient in PATIENTS {
            let second = Duration::from_secs(1);
            // Its caller leaves before the second attempt tells anything.
            let gone = tokio::time::timeout(second, bench.ask(patient, stale())).await;
            assert!(gone.is_err());
        }
        assert_eq!(code(&bench.ask(b"9", []).await.0), Some(0));
    });
}

#[test]
fn codes_about_data_never_open_the_breaker_whatever_their_status() {
    const PATIENTS: [&[u8]; 8] = [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"];
    paused(async {
        let bench = Bench::new("", Clock::of_runtime(START));
        for patient in PATIENTS {
            let (result, _) = bench.ask(patient, [Act::Answer(500, r#"{"code":100004}"#)]).await;
            assert_eq!(code(&result), Some(100_004));
        }
    });
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Fail(UpstreamError::NoAnswer, true)),
        Just(Act::Fail(UpstreamError::NoAnswer, false)),
        Just(Act::Fail(UpstreamError::ConnectTimeout, false)),
        Just(Act::Page(503)),
        Just(Act::Answer(502, OK)),
        Just(Act::Answer(200, r#"{"code":30001}"#)),
        Just(Act::AnswerLater(503, 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attempts_carry_strictly_increasing_timestamps_and_valid_signatures(
        questions in proptest::collection::vec(proptest::collection::vec(act(), 0..6), 1..12),
        base in 0_u64..3,
    ) {
        paused(async {
            let settings = format!("[platform]\nretry_base_ms = {base}\n[breaker]\nenabled = false");
            let bench = Bench::new(&settings, Clock::of_runtime(START));
            for acts in questions {
                let _ = bench.ask(b"question", acts).await;
                let seen = bench.seen();
                for pair in seen.windows(2) {
                    prop_assert!(pair[0].0 < pair[1].0, "{seen:?}");
                }
                for (timestamp, signature) in &seen {
                    let signed = bench.tenant.keyring.current().sign("900001", Timestamp::from_millis(*timestamp));
                    prop_assert_eq!(signed.signature(), signature);
                }
                prop_assert!(seen.len() <= 4);
            }
            Ok(())
        })?;
    }
}
