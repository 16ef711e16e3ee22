//! What can happen to an inbox, at random.

use proptest::prelude::*;

use crate::callback::event::QuarantineReason;
use crate::callback::inbox::testing::Arrival;
use crate::callback::inbox::{Run, State};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Append(Arrival),
    Lease {
        limit: usize,
        seconds: u64,
    },
    Settle {
        which: usize,
        how: How,
    },
    Resume,
    Redeliver {
        states: Vec<State>,
        rate: Option<u8>,
        run: Run,
    },
    Release {
        run: Run,
    },
    Remove {
        state: State,
    },
    Retain,
    Pass {
        seconds: u64,
    },
    Crash,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Delivered,
    Retry { seconds: u64 },
    Dead,
    Parked,
    Unused,
}

pub(super) fn arrivals() -> impl Strategy<Value = Arrival> {
    let quarantine = prop_oneof![9 => Just(None), 1 => Just(Some(QuarantineReason::LinkHost))];
    let triple = prop_oneof![1 => Just(None), 2 => (0..2_u8).prop_map(Some)];
    (
        0..3_u8,
        0..2_u8,
        0..20_u8,
        triple,
        prop_oneof![3 => Just(0_u64), 1 => 0..100_u64],
        quarantine,
    )
        .prop_map(|(study, report, body, triple, signed_ago_s, quarantine)| Arrival {
            study,
            report,
            body: format!("{{\"study\":{study},\"report\":{report},\"body\":{body}}}"),
            triple,
            signed_ago_s,
            quarantine,
        })
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        4 => Just(How::Delivered),
        2 => prop_oneof![Just(5_u64), Just(1_000_000)].prop_map(|seconds| How::Retry { seconds }),
        1 => Just(How::Dead),
        1 => Just(How::Parked),
        1 => Just(How::Unused),
    ];
    let state = prop::sample::select(State::ALL.to_vec());
    let run = || prop_oneof![3 => Just(Run::Real), 1 => Just(Run::Preview)];
    let states = prop_oneof![
        Just(vec![State::Dead]),
        Just(vec![State::Delivered]),
        Just(State::ALL.to_vec())
    ];
    prop_oneof![
        10 => arrivals().prop_map(Step::Append),
        6 => (1..4_usize, 1..60_u64).prop_map(|(limit, seconds)| Step::Lease { limit, seconds }),
        8 => (any::<usize>(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => Just(Step::Resume),
        1 => (states, prop::option::of(1..4_u8), run()).prop_map(|(states, rate, run)| Step::Redeliver { states, rate, run }),
        1 => run().prop_map(|run| Step::Release { run }),
        1 => state.prop_map(|state| Step::Remove { state }),
        1 => Just(Step::Retain),
        3 => prop_oneof![Just(1_u64), Just(30), Just(61), Just(3_600), Just(90_000), Just(700_000)]
            .prop_map(|seconds| Step::Pass { seconds }),
        2 => Just(Step::Crash),
    ]
}
