//! Somebody sets the machine's clock, under load, while events wait, and while the process is down.

use std::fs::File;
use std::os::unix::fs::FileExt;

use aimis_simulator::{Clock, Fault};

use super::LOAD;
use super::bed::{Bed, kill};
use super::chance::{Chance, load, rounds};
use super::senders::{After, Senders};

const HOUR: i64 = 3_600_000;

/// The clock of gateway and platform: ahead of this machine's, or behind.
struct Set {
    file: File,
    platform: Clock,
}

impl Set {
    /// Of the bed's processes from now on.
    fn of(bed: &mut Bed) -> Self {
        let path = bed.directory.file("clock", 0_i64.to_ne_bytes());
        bed.preload("tests/it/crash/clock.c");
        let file = File::options().write(true).open(&path).unwrap();
        bed.variables.push(("SHIM_CLOCK", path));
        Self {
            file,
            platform: Clock::system(),
        }
    }

    fn ahead(&self, ms: i64) {
        self.file.write_all_at(&ms.to_ne_bytes(), 0).unwrap();
        self.platform.set_offset_ms(ms);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_put_off_when_the_clock_jumps() {
    let mut chance = Chance::new("clock");
    let mut bed = Bed::new().await;
    let clock = Set::of(&mut bed);
    let (rounds, jumps) = (rounds(8), [-24 * HOUR, -HOUR, 0, HOUR, 24 * HOUR, 25 * 24 * HOUR]);

    for _ in 0..rounds {
        // Half of what comes waits for another try when the clock jumps.
        bed.trouble(Fault::ResetBeforeHead, 2);
        let serve = bed.start();
        let senders = Senders::start_with(
            &Bed::callback_url(&serve),
            &bed.ledger,
            &mut chance,
            16,
            &clock.platform,
        );
        for _ in 0..2 {
            senders
                .wait(After::Acknowledgements(1 + chance.below(load(LOAD) / 2)))
                .await;
            clock.ahead(*chance.one_of(&jumps));
        }
        senders
            .wait(After::Acknowledgements(1 + chance.below(load(LOAD) / 2)))
            .await;
        kill(serve.process);
        senders.stop().await;
        bed.collect();
        // While the process is down.
        clock.ahead(*chance.one_of(&jumps));
    }

    let figures = bed.settle().await;
    println!("{rounds} kills, {} jumps: {figures:?}", 3 * rounds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_set_back_while_nothing_ran_puts_nothing_off() {
    let mut chance = Chance::new("set back");
    let mut bed = Bed::new().await;
    let clock = Set::of(&mut bed);
    // Some events wait for their first try, some for another, and some are on their way.
    bed.trouble(Fault::ResetBeforeHead, 2);
    let serve = bed.start();
    let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
    senders.wait(After::Acknowledgements(100)).await;
    kill(serve.process);
    senders.stop().await;
    bed.collect();

    clock.ahead(-24 * HOUR);

    bed.settle().await;
}
