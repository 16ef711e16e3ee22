//! The built binary is killed under load, and what it acknowledged is there.
//!
//! | file | is about |
//! |---|---|
//! | `bed` | the binary, its inbox, its HIS; all but the process outlives a crash |
//! | `senders` | the platform: many senders, new callbacks, updates, the same again; and a moment in the midst of it |
//! | `ledger` | what was sent, acknowledged and delivered: the books that have to agree |
//! | `power` | the disk as a loss of power leaves it: `power.c` keeps apart what was synced |
//! | `syncs` | syncs that fail, and the order of sync and answer as the kernel saw it |
//! | `clock` | clocks that jump, by `clock.c` |
//! | `full` | a disk that is full |
//! | `database` | several gateways on one database: killed, cut off, the database restarted and failing over |
//! | `hung` | a database that hangs: noticed, refused, and left within the bounds that are configured |
//! | `standby` | a synchronous standby that is away: what is given up leaves nothing at the server, and the log says what for |
//! | `wire` | the way to a database, which can be cut |
//! | `chance` | the seed, which is printed, and the number of rounds |
//!
//! A round: the binary starts on what the last one left, senders send, the process is killed at a moment that is a number
//! of acknowledgements, sends, deliveries or log lines and no time, and the disk loses what it may lose. In the end the
//! HIS gets what is left, and then holds:
//!
//! 1. every acknowledged event was delivered, in the words of the callback;
//! 2. there is one event id for an identity and body, and one identity and body for an event id;
//! 3. nothing was delivered that was never sent. What was sent and not acknowledged may be delivered: the answer was lost;
//! 4. of a study, what was acknowledged before something else was sent was not delivered behind it;
//! 5. the inbox is whole, and holds what was delivered and nothing else.
//!
//! `AIMIS_CRASH_ROUNDS` asks for more rounds, `AIMIS_CRASH_LOAD` for more callbacks in each, `AIMIS_CRASH_SEED` for the same
//! chance again, as far as the machine lets it be the same.
#![expect(
    clippy::print_stdout,
    reason = "the seed, which a failure has to show, and figures for who asks for them"
)]

mod bed;
mod chance;
mod clock;
mod database;
mod full;
mod hung;
mod ledger;
mod power;
mod senders;
mod standby;
mod syncs;
mod wire;

use aimis_simulator::Fault;
use bed::{Bed, kill};
use chance::{Chance, load, rounds};
use power::Power;
use senders::{After, Senders};
use tokio::task::block_in_place;

/// Callbacks that a round acknowledges at most.
const LOAD: u64 = 100;

/// One round up to the kill, at a moment of chance.
async fn round(bed: &Bed, chance: &mut Chance) {
    if chance.once_in(8) {
        // In the midst of the start, when it may be recovering.
        let process = bed.launch();
        for _ in 0..chance.below(4) {
            block_in_place(|| process.line(|_| true));
        }
        kill(process);
        return;
    }
    let serve = bed.start();
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, chance);
    let so_far = bed.deliveries();
    let count = 1 + chance.below(load(LOAD));
    match chance.below(4) {
        0 => senders.wait(After::Sends(count)).await,
        1 if bed.takes() => bed.arrived(so_far + count).await,
        _ => senders.wait(After::Acknowledgements(count)).await,
    }
    kill(serve.process);
    senders.stop().await;
    bed.collect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let mut chance = Chance::new("kill");
    let mut bed = Bed::new().await;
    let kills = rounds(20);

    for _ in 0..kills {
        round(&bed, &mut chance).await;
    }

    let figures = bed.settle().await;
    println!("{kills} kills: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_with_the_power() {
    let mut chance = Chance::new("power");
    let mut bed = Bed::new().await;
    let mut power = Power::watch(&mut bed);
    let losses = rounds(20);

    for _ in 0..losses {
        round(&bed, &mut chance).await;
        power.lose(&mut chance);
    }

    let figures = bed.settle().await;
    println!(
        "{losses} losses, {} of {} unsynced blocks dropped, {} unsynced names: {figures:?}",
        power.dropped, power.unsynced, power.names
    );
    assert!(power.dropped > 0, "nothing was unsynced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_loses_power_is_followed_by_one_that_succeeds() {
    let mut chance = Chance::new("first start");
    let mut bed = Bed::new().await;
    let mut power = Power::watch(&mut bed);

    for synced in 0..5 {
        power.renew();
        let process = bed.launch();
        block_in_place(|| power.after(synced));
        kill(process);
        power.lose(&mut chance);
        kill(bed.start().process);
    }

    println!("{} unsynced names", power.names);
    bed.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_his_is_in_trouble_too() {
    let mut chance = Chance::new("trouble");
    let mut bed = Bed::new().await;
    let failing = Fault::Status {
        code: 500,
        envelope: false,
    };
    let kills = rounds(10);

    for kill in 0..kills {
        match kill % 6 {
            0 => bed.his_down().await,
            1 => bed.trouble(Fault::Latency { ms: 50 }, 1),
            2 => bed.trouble(Fault::Hang, 4),
            3 => bed.trouble(Fault::ResetBeforeHead, 2),
            4 => bed.trouble(Fault::HalfBody, 2),
            _ => bed.trouble(failing.clone(), 2),
        }
        round(&bed, &mut chance).await;
        bed.his_up().await;
    }

    let figures = bed.settle().await;
    println!("{kills} kills: {figures:?}");
}
