//! Pacing: by example, and against a plain account of what happened.

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;

fn settings(in_flight: usize, suspend_after: u32) -> config::Delivery {
    let text = format!(
        "[delivery]\nin_flight = {in_flight}\nsuspend_after = {suspend_after}\nprobe_ms = 1000\nprobe_max_ms = 4000\n\
         [[tenants]]\nname = \"demo\"\napp_id = \"900001\"\n"
    );
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    let sources = config::Sources::text("demo.toml", text).with_env(token);
    config::load(&sources).unwrap().config.delivery
}

fn event(number: u8) -> EventId {
    EventId::from_bytes([number; 16])
}

fn failed(number: u8) -> End {
    End::Failed {
        event: event(number),
        unreachable: false,
        silence: None,
    }
}

fn unreachable(number: u8) -> End {
    End::Failed {
        event: event(number),
        unreachable: true,
        silence: None,
    }
}

#[test]
fn a_target_that_is_down_gets_one_probe_at_a_time_ever_more_slowly() {
    let clock = Clock::manual(0);
    let mut pacing = Pacing::new(&settings(8, 3));
    let passes: Vec<Pass> = (0..8).map(|_| pacing.start()).collect();
    assert_eq!(pacing.room(clock.moment()), 0);

    let changes: Vec<Change> = passes
        .into_iter()
        .zip(0..)
        .map(|(pass, number)| pacing.end(pass, failed(number), clock.moment()))
        .collect();

    assert_eq!(changes[..3], [Change::None, Change::None, Change::Suspended]);
    assert!(changes[3..].iter().all(|change| *change == Change::None));
    for pause in [1000, 2000, 4000, 4000] {
        assert_eq!(pacing.room(clock.moment()), 0);
        clock.advance(Duration::from_millis(pause - 1));
        assert_eq!(pacing.room(clock.moment()), 0, "{pause}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(pacing.room(clock.moment()), 1, "{pause}");
        let pass = pacing.start();
        assert!(pass.probe && pacing.room(clock.moment()) == 0);
        assert_eq!(pacing.end(pass, unreachable(9), clock.moment()), Change::None);
    }
    clock.advance(Duration::from_millis(4000));
    let pass = pacing.start();
    assert_eq!(pacing.end(pass, End::Taken, clock.moment()), Change::Resumed);
    assert_eq!(pacing.room(clock.moment()), 8);
}

#[test]
fn a_silence_that_is_over_wakes_nobody() {
    let clock = Clock::manual(0);
    let mut pacing = Pacing::new(&settings(1, 2));
    let silent = End::Failed {
        event: event(1),
        unreachable: false,
        silence: Some(Duration::from_secs(3)),
    };
    let pass = pacing.start();
    pacing.end(pass, silent, clock.moment());
    assert_eq!(
        pacing.wake(clock.moment()),
        Some(clock.moment().after(Duration::from_secs(3)))
    );
    clock.advance(Duration::from_secs(3));

    let pass = pacing.start();
    assert_eq!(pacing.room(clock.moment()), 0);
    assert_eq!(
        pacing.wake(clock.moment()),
        None,
        "only the end of a delivery makes room"
    );
    assert_eq!(pacing.end(pass, failed(2), clock.moment()), Change::Suspended);
    clock.advance(Duration::from_secs(1));
    let _probe = pacing.start();
    assert_eq!(pacing.wake(clock.moment()), None, "nor does a time while a probe runs");
}

#[test]
fn one_event_that_always_fails_does_not_suspend_its_target() {
    let clock = Clock::manual(0);
    let mut pacing = Pacing::new(&settings(8, 3));
    for _ in 0..20 {
        let pass = pacing.start();
        assert_eq!(pacing.end(pass, failed(1), clock.moment()), Change::None);
    }
    assert_eq!(pacing.room(clock.moment()), 8);
}

#[test]
fn one_event_that_finds_nobody_there_does() {
    let clock = Clock::manual(0);
    let mut pacing = Pacing::new(&settings(8, 3));
    let mut fail = || {
        let pass = pacing.start();
        pacing.end(pass, unreachable(1), clock.moment())
    };

    assert_eq!(
        [fail(), fail(), fail()],
        [Change::None, Change::None, Change::Suspended]
    );
}

#[test]
fn silence_that_the_his_asks_for_is_kept() {
    let clock = Clock::manual(0);
    let mut pacing = Pacing::new(&settings(8, 3));
    let pass = pacing.start();
    let asked = End::Failed {
        event: event(1),
        unreachable: false,
        silence: Some(Duration::from_secs(7)),
    };
    pacing.end(pass, asked, clock.moment());

    assert_eq!(
        pacing.wake(clock.moment()),
        Some(clock.moment().after(Duration::from_secs(7)))
    );
    clock.advance(Duration::from_millis(6999));
    assert_eq!(pacing.room(clock.moment()), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(pacing.room(clock.moment()), 8);
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    End { which: usize, how: u8, event: u8 },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Start),
        (any::<usize>(), 0_u8..4, 0_u8..4).prop_map(|(which, how, event)| Step::End { which, how, event }),
        (0_u64..5000).prop_map(|millis| Step::Wait { millis }),
    ]
}

proptest! {
    #[test]
    fn bounds_hold_and_no_target_is_forgotten(steps in prop::collection::vec(step(), 0..200)) {
        let clock = Clock::manual(0);
        let mut pacing = Pacing::new(&settings(4, 3));
        let mut running: Vec<Pass> = Vec::new();
        for step in steps {
            match step {
                Step::Start => {
                    let room = pacing.room(clock.moment());
                    prop_assert!(running.len() + room <= 4);
                    if pacing.is_suspended() && room > 0 {
                        prop_assert!(room == 1 && running.is_empty(), "a probe is alone");
                    }
                    if room > 0 {
                        running.push(pacing.start());
                    }
                }
                Step::End { which, how, event } if !running.is_empty() => {
                    let pass = running.swap_remove(which % running.len());
                    let end = match how {
                        0 => End::Taken,
                        1 => failed(event),
                        2 => unreachable(event),
                        _ => End::Neither,
                    };
                    let suspended = pacing.is_suspended();
                    let change = pacing.end(pass, end, clock.moment());
                    let expected = match (suspended, pacing.is_suspended()) {
                        (false, true) => Change::Suspended,
                        (true, false) => Change::Resumed,
                        _ => Change::None,
                    };
                    prop_assert_eq!(change, expected);
                    prop_assert!(end != End::Taken || !pacing.is_suspended());
                }
                Step::End { .. } => {}
                Step::Wait { millis } => clock.advance(Duration::from_millis(millis)),
            }
        }
        // Whatever happened: once nothing is under way, something may be, by the time it says.
        for pass in running {
            pacing.end(pass, End::Neither, clock.moment());
        }
        if pacing.room(clock.moment()) == 0 {
            let wake = pacing.wake(clock.moment()).expect("there is a time for the next");
            clock.advance(wake.since(clock.moment()));
            prop_assert!(pacing.room(clock.moment()) > 0);
        }
    }
}
