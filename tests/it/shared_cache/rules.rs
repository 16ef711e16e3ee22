//! The scripts' rules about answers, against a plain model, on real servers, in every order of steps.

use std::cell::RefCell;
use std::time::Duration;

use aimis_gateway::store::ask::{Answer, Ask, Granted, Take, Verdict};
use aimis_gateway::store::look::{End, Ended, FORGET, KEEP, Keep, LookUp, Names, Use};
use proptest::prelude::*;
use redis::Connection;

use crate::store::model::{ask_at, flush, runner};
use crate::store::servers::{Engine, Server};

const KEY_ID: [u8; 8] = *b"key id 1";
const MINUTE: u64 = 60_000;

/// Question 0 is about patient 0, question 2 about patient 1, and question 1 about both, as one is who has the telephone
/// of the one and the number of the other.
const ABOUT: [&[usize]; 3] = [&[0], &[0, 1], &[1]];

fn patient(at: usize) -> String {
    format!("{{t}}:patient:{at}")
}

fn names(question: usize) -> Names {
    let patients = ABOUT[question].iter().map(|at| patient(*at));
    Names {
        data_key: "{t}:key".to_owned(),
        entry: format!("{{t}}:entry:{question}"),
        lease: format!("{{t}}:lease:{question}"),
        generations: patients.chain(["{t}:api".to_owned()]).collect(),
    }
}

fn look_up(names: &Names, token: u8) -> LookUp<'_> {
    LookUp {
        names,
        key_id: KEY_ID,
        usable: Use::Fresh,
        have: None,
        max_age: None,
        token: [token; 16],
        lease: Some(Duration::from_secs(60)),
        asks: Some(Duration::from_secs(60)),
    }
}

fn now_ms(connection: &mut Connection) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(connection).unwrap();
    seconds * 1000 + micros / 1000
}

fn look(connection: &mut Connection, limits: &[Take<'_>], look_up: LookUp<'_>) -> Answer {
    let now = now_ms(connection);
    let ask = Ask {
        limits,
        look_up: Some(look_up),
    };
    ask_at(connection, now, &ask)
}

fn end(connection: &mut Connection, end: &End<'_>) -> Ended {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(KEEP);
    end.write(&mut cmd);
    End::read(&cmd.query(connection).unwrap())
}

fn forget(connection: &mut Connection, generations: &[String]) {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(FORGET)
        .arg(1 + generations.len())
        .arg("{t}:key")
        .arg(generations)
        .arg(&KEY_ID[..]);
    let told: Vec<u8> = cmd.query(connection).unwrap();
    assert!(told.is_empty());
}

fn put_key(connection: &mut Connection) {
    let wrapped = [&KEY_ID[..], b"wrapped"].concat();
    redis::cmd("SET").arg("{t}:key").arg(wrapped).exec(connection).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    /// A question is looked up, and goes to the platform if nothing is there; with `no-cache` in any case.
    Ask { question: usize, anew: bool },
    /// The platform answers one that is on its way.
    Answered { which: prop::sample::Index },
    /// One that was answered ends.
    Ends { which: prop::sample::Index },
    /// Something happened to a patient, and nobody told yet.
    Happens { patient: usize },
    /// A callback about a patient is acknowledged.
    Callback { patient: usize },
    /// The server had no room, or lost it.
    Lost { key: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_usize..3, prop::bool::weighted(0.2)).prop_map(|(question, anew)| Step::Ask { question, anew }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Answered { which }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Ends { which }),
        2 => (0_usize..2).prop_map(|patient| Step::Happens { patient }),
        2 => (0_usize..2).prop_map(|patient| Step::Callback { patient }),
        1 => (0_usize..9).prop_map(|key| Step::Lost { key }),
    ];
    prop::collection::vec(step, 1..60)
}

struct Flight {
    question: usize,
    token: u8,
    answer: Answer,
    says: Option<[u8; 2]>,
}

/// Whatever the order, and whatever gets lost: nobody is given an answer that is older than an acknowledged callback.
fn holds(connection: &mut Connection, steps: &[Step]) -> Result<usize, TestCaseError> {
    flush(connection);
    put_key(connection);
    // What is true of each patient, and what has been acknowledged.
    let (mut truth, mut floor) = ([0_u8; 2], [0_u8; 2]);
    let mut flights: Vec<Flight> = Vec::new();
    let mut hits = 0;
    for (at, step) in steps.iter().enumerate() {
        let good =
            |question: usize, says: &[u8], floor: &[u8; 2]| ABOUT[question].iter().all(|at| says[*at] >= floor[*at]);
        match step {
            Step::Ask { question, anew } => {
                let (names, token) = (names(*question), u8::try_from(at + 1).unwrap());
                let usable = if *anew { Use::Nothing } else { Use::Fresh };
                let lease = (!anew).then_some(Duration::from_secs(60));
                let asked = LookUp {
                    usable,
                    lease,
                    ..look_up(&names, token)
                };
                let answer = look(connection, &[], asked);
                match answer.verdict {
                    Verdict::Hit { .. } => {
                        hits += 1;
                        prop_assert!(!anew && good(*question, &answer.seen.value, &floor), "an old answer");
                    }
                    Verdict::Granted(_) => flights.push(Flight {
                        question: *question,
                        token,
                        answer,
                        says: None,
                    }),
                    Verdict::Held { .. } => prop_assert!(!anew),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            Step::Answered { which } if !flights.is_empty() => {
                let flight = which.index(flights.len());
                flights[flight].says.get_or_insert(truth);
            }
            Step::Ends { which } if !flights.is_empty() => {
                let flight = which.index(flights.len());
                let Some(says) = flights[flight].says else { continue };
                let Flight {
                    question,
                    token,
                    answer,
                    ..
                } = flights.swap_remove(flight);
                let names = names(question);
                let ended = end(
                    connection,
                    &End {
                        names: &names,
                        key_id: KEY_ID,
                        token: [token; 16],
                        generations: &answer.seen.generations,
                        asked_at_ms: answer.now_ms,
                        keep: Keep::Entry {
                            lives_ms: [MINUTE; 3],
                            value: &says,
                        },
                    },
                );
                prop_assert!(
                    !ended.current || good(question, &says, &floor),
                    "who joined hears an old answer"
                );
                prop_assert!(ended.current || !ended.kept);
            }
            Step::Happens { patient } => truth[*patient] += 1,
            Step::Callback { patient: about } => {
                truth[*about] += 1;
                forget(connection, &[patient(*about)]);
                floor[*about] = truth[*about];
            }
            Step::Lost { key } => {
                let key = match key {
                    0..3 => names(*key).entry,
                    3..6 => names(key - 3).lease,
                    6..8 => patient(key - 6),
                    _ => "{t}:api".to_owned(),
                };
                redis::cmd("DEL").arg(key).exec(connection).unwrap();
            }
            Step::Answered { .. } | Step::Ends { .. } => {}
        }
    }
    Ok(hits)
}

#[test]
fn no_order_of_steps_gives_an_answer_from_before_an_acknowledged_callback() {
    for engine in Engine::ALL {
        let server = Server::start(engine);
        let connection = RefCell::new(server.connection());
        let hits = RefCell::new(0);
        let outcome = runner().run(&steps(), |steps| {
            *hits.borrow_mut() += holds(&mut connection.borrow_mut(), &steps)?;
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{engine:?}: {error}"));
        assert!(*hits.borrow() > 0, "nothing was kept");
    }
}

#[test]
fn a_hit_costs_no_quota_of_the_platform_and_a_miss_takes_the_lease() {
    let server = Server::start(Engine::Redis7);
    let mut connection = server.connection();
    put_key(&mut connection);
    let limit = |key, for_hits| Take {
        key,
        period: Duration::from_secs(3_600),
        burst: 3,
        weight: 1,
        max_wait: Duration::ZERO,
        for_hits,
    };
    let limits = [limit("{t}:client", true), limit("{t}:tenant", false)];
    let names = names(0);
    let granted = Verdict::Granted(Granted { wait: Duration::ZERO });

    let first = look(&mut connection, &limits, look_up(&names, 1));
    assert_eq!((first.verdict, first.left[..2].to_vec()), (granted, vec![2, 2]));
    let second = look(&mut connection, &limits, look_up(&names, 2));
    assert!(
        matches!(second.verdict, Verdict::Held { rest } if !rest.is_zero()),
        "{second:?}"
    );
    assert_eq!((second.left[0], second.seen.holder), (1, Some([1; 16])));
    let ended = end(
        &mut connection,
        &End {
            names: &names,
            key_id: KEY_ID,
            token: [1; 16],
            generations: &first.seen.generations,
            asked_at_ms: first.now_ms,
            keep: Keep::Entry {
                lives_ms: [MINUTE; 3],
                value: b"answer",
            },
        },
    );
    assert!(ended.kept && ended.current);
    let hit = look(&mut connection, &limits, look_up(&names, 3));
    assert_eq!(
        (hit.verdict, &hit.seen.value[..]),
        (Verdict::Hit { refresh: None }, &b"answer"[..])
    );
    // The client has asked three times, the platform was asked once.
    assert_eq!(hit.left[0], 0);
    let fourth = look(&mut connection, &limits, look_up(&names, 4));
    assert!(
        matches!(fourth.verdict, Verdict::Refused { limit: 0, .. }),
        "{fourth:?}"
    );
    let of_tenant = look(
        &mut connection,
        &limits[1..],
        LookUp {
            usable: Use::Nothing,
            ..look_up(&names, 5)
        },
    );
    assert_eq!((of_tenant.verdict, of_tenant.left[0]), (granted, 1));

    // Who has it is not sent it again; who wants a younger one, or goes by another key, does not get it.
    let known = look(
        &mut connection,
        &[],
        LookUp {
            have: Some([1; 16]),
            ..look_up(&names, 6)
        },
    );
    assert_eq!(
        (known.verdict, known.seen.value.len()),
        (Verdict::Hit { refresh: None }, 0)
    );
    let other = look(
        &mut connection,
        &limits,
        LookUp {
            key_id: [0; 8],
            ..look_up(&names, 7)
        },
    );
    assert_eq!(other.verdict, Verdict::OtherKey);
    assert_eq!(&other.seen.other_key[..], b"key id 1wrapped");
}

#[test]
fn nothing_from_before_serves_after_a_restart_from_a_dump() {
    let mut server = Server::with(Engine::Redis7, &["--save 3600 1"]);
    let mut connection = server.connection();
    put_key(&mut connection);
    let names = names(0);
    let first = look(&mut connection, &[], look_up(&names, 1));
    let keep = Keep::Entry {
        lives_ms: [MINUTE; 3],
        value: b"answer",
    };
    let kept = end(
        &mut connection,
        &End {
            names: &names,
            key_id: KEY_ID,
            token: [1; 16],
            generations: &first.seen.generations,
            asked_at_ms: first.now_ms,
            keep,
        },
    );
    assert!(kept.kept);
    let before = look(&mut connection, &[], look_up(&names, 2));
    assert!(matches!(before.verdict, Verdict::Hit { .. }));
    redis::cmd("SAVE").exec(&mut connection).unwrap();
    drop(connection);
    server.down();
    server.up();

    let mut connection = server.connection();
    let there: bool = redis::cmd("EXISTS").arg(&names.entry).query(&mut connection).unwrap();
    assert!(there, "the dump has it");
    let after = look(&mut connection, &[], look_up(&names, 3));
    assert!(matches!(after.verdict, Verdict::Granted(_)), "{after:?}");
    assert_eq!(after.seen.found, None);
}
