//! Syncs: when they fail, and that they come before the answer.

use aimis_simulator::{Account, Callback, CallbackSender};
use tokio::task::block_in_place;

use super::LOAD;
use super::bed::Bed;
use super::chance::{Chance, load, rounds};
use super::power::Power;
use super::senders::{After, Senders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_acknowledges_nothing_and_ends_the_process_which_recovers() {
    let mut chance = Chance::new("failing syncs");
    let mut bed = Bed::new().await;
    let mut power = Power::watch(&mut bed);
    let fault = bed.directory.path().join("fault");
    bed.variables
        .push(("SHIM_SYNC_FAULT", fault.to_str().unwrap().to_owned()));

    let failures = rounds(5);
    for _ in 0..failures {
        let serve = bed.start();
        let senders = Senders::start(&Bed::callback_url(&serve), &bed.ledger, &mut chance);
        let count = 1 + chance.below(load(LOAD));
        senders.wait(After::Acknowledgements(count)).await;

        std::fs::write(&fault, "").unwrap();

        // It ends by itself.
        let ended = block_in_place(|| serve.process.ended());
        senders.stop().await;
        bed.collect();
        assert_eq!(ended.status.code(), None, "{}", ended.stderr);
        assert!(
            ended.stdout.contains("\"event.name\":\"inbox_broken\""),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stderr.contains("nothing more is acknowledged"),
            "{}",
            ended.stderr
        );
        std::fs::remove_file(&fault).unwrap();
        // What it failed to sync, the disk may never have got. An acknowledgement behind the failure would be missing.
        power.lose(&mut chance);
    }

    let figures = bed.settle().await;
    println!("{failures} failures, {} blocks dropped: {figures:?}", power.dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_returns_before_each_acknowledgement_is_written() {
    const CALLBACKS: usize = 20;
    let mut bed = Bed::new().await;
    let trace = bed.directory.path().join("trace");
    let trace = trace.to_str().unwrap();
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,recvfrom,recvmsg,read,readv";
    // With -D it watches from aside, and the process that was started is the gateway itself.
    let strace = ["strace", "-D", "-f", "-qq", "-s", "400", "-e", calls, "-o", trace];
    bed.starter = strace.map(str::to_owned).to_vec();
    // So that there are no syncs but those of arrivals.
    bed.without_target();
    let serve = bed.start();
    let sender = CallbackSender::new(&Bed::callback_url(&serve), &Account::demo()).unwrap();

    for study in 0..CALLBACKS {
        let callback = Callback::demo().study(&format!("S{study}"));
        assert!(sender.send(&callback).await.unwrap().is_received());
    }
    serve.process.signal("TERM");
    block_in_place(|| serve.process.ended());

    // Of one callback after the other: how far it has come. A call that another one interrupts stands in two lines, of
    // which the second tells how it ended.
    let (mut asked, mut synced, mut proven) = (false, false, 0);
    let text = String::from_utf8_lossy(&std::fs::read(trace).unwrap()).into_owned();
    for line in text.lines() {
        if line.contains("POST /callback/") {
            (asked, synced) = (true, false);
        } else if (line.contains("fdatasync") || line.contains("fsync")) && line.ends_with("= 0") {
            synced = asked;
        } else if line.contains("{\\\"code\\\":0,") && line.contains("HTTP/1.1 200") {
            assert!(synced, "answered before a sync returned: {line}");
            (asked, proven) = (false, proven + 1);
        }
    }
    assert_eq!(proven, CALLBACKS, "{text}");
}
