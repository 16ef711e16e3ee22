//! The script that judges, against plain models, at times that the test chooses; and by the server's own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use aimis_gateway::store::ask::{ASK_AT, Answer, Ask, Granted, Take, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Connection;

use super::servers::{Engine, Server};

/// Wednesday, 1 January 2025, 00:00 UTC; and some years later, as it is to go on.
const START_MS: u64 = 1_735_689_600_000 + 200_000_000_000;

/// Cases of each engine; `AIMIS_STORE_CASES` raises them.
fn cases() -> u32 {
    let more = std::env::var_os("AIMIS_STORE_CASES");
    more.map_or(24, |cases| {
        cases.to_str().and_then(|cases| cases.parse().ok()).expect("a number")
    })
}

pub fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Asks at a time of the test's choice.
pub fn ask_at(connection: &mut Connection, now_ms: u64, ask: &Ask<'_>) -> Answer {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(ASK_AT);
    ask.write(&mut cmd);
    cmd.arg(now_ms / 1000).arg(now_ms % 1000 * 1000);
    let value = cmd.query::<redis::Value>(connection).unwrap();
    Answer::read(value, ask.limits.len()).unwrap()
}

pub fn flush(connection: &mut Connection) {
    redis::cmd("FLUSHALL").exec(connection).unwrap();
}

/// One limit by everything that it let through: in no window of any length more than the burst and what the rate gives.
#[derive(Default)]
struct Passed(Vec<(u64, u64)>);

impl Passed {
    fn fits(&self, now: u64, weight: u64, period: u64, burst: u64) -> bool {
        let mut sum = weight;
        self.0.iter().rev().all(|(at, weight)| {
            sum += weight;
            sum.saturating_sub(burst) * period <= now.saturating_sub(*at)
        })
    }
}

#[derive(Clone, Debug)]
struct Step {
    wait_ms: u64,
    weight: u32,
    /// Which limits it meets.
    meets: [bool; 3],
    max_wait_ms: u64,
}

fn steps(most_ms: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = (0_u64..60, 1_u32..8, any::<[bool; 3]>(), 0..=most_ms);
    let step = step.prop_map(|(wait_ms, weight, meets, max_wait_ms)| Step {
        wait_ms,
        weight,
        meets,
        max_wait_ms,
    });
    proptest::collection::vec(step, 1..120)
}

/// Nothing goes over its bound, nobody is refused for nothing, and one that refuses takes nothing of the others.
fn follows_the_model(connection: &mut Connection, quotas: &[(u64, u32)], steps: &[Step]) -> Result<(), TestCaseError> {
    flush(connection);
    let mut passed: HashMap<usize, Passed> = HashMap::new();
    let mut now = START_MS;
    // Who waits for one limit is counted by the others for when it goes, which may be to the cost of who comes between.
    let exact = steps.iter().all(|step| step.max_wait_ms == 0);
    for step in steps {
        now += step.wait_ms;
        let met: Vec<usize> = (0..quotas.len()).filter(|at| step.meets[*at]).collect();
        let keys: Vec<String> = met.iter().map(|at| format!("{{t}}:{at}")).collect();
        let take = |(at, key): (&usize, &'_ String)| (*at, key.clone());
        let named: Vec<_> = met.iter().zip(&keys).map(take).collect();
        let limits: Vec<Take<'_>> = named
            .iter()
            .map(|(at, key)| Take {
                key,
                period: Duration::from_millis(quotas[*at].0),
                burst: quotas[*at].1,
                weight: step.weight,
                max_wait: Duration::from_millis(step.max_wait_ms),
                for_hits: *at == 0,
            })
            .collect();
        let ask = Ask {
            limits: &limits,
            look_up: None,
        };
        let answer = ask_at(connection, now, &ask);
        // Whether all would let it go at `at`.
        let refuses = |passed: &HashMap<usize, Passed>, goes: u64| {
            met.iter().position(|limit| {
                let (period, burst) = quotas[*limit];
                let weight = u64::from(step.weight.min(burst));
                passed
                    .get(limit)
                    .is_some_and(|passed| !passed.fits(goes, weight, period, burst.into()))
            })
        };
        match answer.verdict {
            Verdict::Granted(Granted { wait }) => {
                let goes = now + u64::try_from(wait.as_millis()).unwrap();
                prop_assert!(wait <= Duration::from_millis(step.max_wait_ms));
                prop_assert_eq!(refuses(&passed, goes), None, "too much at {}", goes - START_MS);
                for limit in &met {
                    let weight = u64::from(step.weight.min(quotas[*limit].1));
                    passed.entry(*limit).or_default().0.push((goes, weight));
                }
            }
            Verdict::Refused { limit, wait } => {
                let comes = now + u64::try_from(wait.as_millis()).unwrap();
                let (period, burst) = quotas[met[limit]];
                let weight = u64::from(step.weight.min(burst));
                prop_assert!(wait > Duration::from_millis(step.max_wait_ms));
                if exact {
                    let of = &passed[&met[limit]];
                    prop_assert!(!of.fits(comes - 1, weight, period, burst.into()), "refused for nothing");
                    prop_assert!(of.fits(comes, weight, period, burst.into()), "told to come too early");
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn every_engine_judges_as_the_model_does() {
    for engine in Engine::ALL {
        let server = Server::start(engine);
        let connection = RefCell::new(server.connection());
        let quotas = proptest::collection::vec((1_u64..50, 1_u32..20), 3);
        let steps = prop_oneof![steps(0), steps(120)];
        runner()
            .run(&(quotas, steps), |(quotas, steps)| {
                follows_the_model(&mut connection.borrow_mut(), &quotas, &steps)
            })
            .unwrap_or_else(|error| panic!("{engine:?}: {error}"));
    }
}

#[test]
fn a_value_that_somebody_else_wrote_is_written_anew() {
    let server = Server::start(Engine::Redis7);
    let mut connection = server.connection();
    let limits = [Take {
        key: "{t}:quota",
        period: Duration::from_secs(1),
        burst: 1,
        weight: 1,
        max_wait: Duration::ZERO,
        for_hits: false,
    }];
    redis::cmd("SET")
        .arg("{t}:quota")
        .arg("abc")
        .exec(&mut connection)
        .unwrap();
    let mut ask = || {
        ask_at(
            &mut connection,
            START_MS,
            &Ask {
                limits: &limits,
                look_up: None,
            },
        )
        .verdict
    };

    assert_eq!(ask(), Verdict::Granted(Granted { wait: Duration::ZERO }));
    assert!(matches!(ask(), Verdict::Refused { .. }), "and it counts");
}

#[test]
fn a_limit_that_refuses_takes_nothing_of_the_others() {
    let server = Server::start(Engine::Redis7);
    let mut connection = server.connection();
    let limit = |key, burst| Take {
        key,
        period: Duration::from_secs(1),
        burst,
        weight: 1,
        max_wait: Duration::ZERO,
        for_hits: false,
    };
    let both = [limit("{t}:wide", 3), limit("{t}:narrow", 1)];
    let ask = |limits| Ask { limits, look_up: None };
    let granted = Verdict::Granted(Granted { wait: Duration::ZERO });
    assert_eq!(ask_at(&mut connection, START_MS, &ask(&both)).verdict, granted);
    for _ in 0..5 {
        let refused = ask_at(&mut connection, START_MS, &ask(&both)).verdict;
        let wait = Duration::from_secs(1);
        assert_eq!(refused, Verdict::Refused { limit: 1, wait });
    }

    // The wide one has all that the narrow one refused.
    for left in [1, 0] {
        let answer = ask_at(&mut connection, START_MS, &ask(&both[..1]));
        assert_eq!((answer.verdict, answer.left[0]), (granted, left));
    }
}
