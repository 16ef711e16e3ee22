//! The disk budget, the write-ahead log, and what the metrics tell of both.

use futures_util::future::join_all;

use crate::callback::event::QuarantineReason;
use crate::callback::inbox::sqlite::room::log_of;
use crate::callback::inbox::testing::{Arrival, Bed, START, append, arrival, lease, settle, wait};
use crate::callback::inbox::{AppendError, Inbox, Outcome, Reason, Run};
use crate::disk;

fn large(study: u8) -> Arrival {
    arrival(
        study,
        &format!("{{\"study\":{study},\"fill\":\"{}\"}}", "x".repeat(60_000)),
    )
}

#[test]
fn a_full_inbox_refuses_and_still_notes_what_became_of_the_rest() {
    let mut bed = Bed::new();
    bed.settings.max_bytes = 4 << 20;
    bed.settings.wal_target_bytes = 256 << 10;
    bed.settings.wal_max_bytes = 1 << 20;
    let inbox = bed.open();
    let try_append = |study| wait(inbox.append(large(study).event(inbox.tags(), bed.now()))).map(drop);

    let stored = (0..=255).take_while(|study| try_append(*study).is_ok()).count();

    assert!((20..80).contains(&stored), "{stored}");
    assert_eq!(try_append(255), Err(AppendError::Full));
    let on_disk = wait(inbox.stats()).unwrap().disk_bytes;
    assert!(on_disk <= 4 << 20, "{on_disk}");
    for (lease, _) in lease(&inbox, 100) {
        settle(&inbox, lease, Outcome::Delivered);
    }
    wait(inbox.remove(Default::default(), Run::Real)).unwrap();
    assert_eq!(try_append(255), Ok(()), "room that was given back is used again");
    let on_disk = wait(inbox.stats()).unwrap().disk_bytes;
    assert!(on_disk <= 4 << 20, "{on_disk}");
}

#[test]
fn a_flood_of_bad_events_leaves_room_for_good_ones() {
    let mut bed = Bed::new();
    bed.settings.quarantine_max_bytes = 300_000;
    let inbox = bed.open();
    let bad = |study| {
        let arrival = Arrival {
            quarantine: Some(QuarantineReason::LinkHost),
            ..large(study)
        };
        wait(inbox.append(arrival.event(inbox.tags(), bed.now()))).map(drop)
    };

    let stored = (0..=255).take_while(|study| bad(*study).is_ok()).count();

    assert_eq!(stored, 4);
    assert_eq!(bad(255), Err(AppendError::QuarantineFull));
    append(&bed, &inbox, &large(9));
}

#[test]
fn the_log_stays_short_whatever_is_written() {
    let bed = Bed::new();
    let inbox = bed.open();

    for round in 0..8 {
        let many = (0..40).map(|study| {
            let arrival = Arrival {
                report: round,
                ..large(study)
            };
            inbox.append(arrival.event(inbox.tags(), bed.now()))
        });
        for taken in wait(join_all(many.collect::<Vec<_>>())) {
            assert!(taken.is_ok(), "{taken:?}");
        }
    }

    let log = disk::size_of(&log_of(&bed.settings.path));
    assert!(log <= bed.settings.wal_max_bytes, "{log}");
}

#[test]
fn the_metrics_tell_what_is_there() {
    let bed = Bed::new();
    let inbox = bed.open();
    for study in 0..5 {
        append(&bed, &inbox, &arrival(study, "{\"a\":1}"));
    }
    bed.clock.advance(std::time::Duration::from_secs(10));
    append(&bed, &inbox, &arrival(0, "{\"a\":2}"));
    let leased = lease(&inbox, 4);
    settle(&inbox, leased[0].0, Outcome::Delivered);
    let reason = Reason::word("timeout");
    settle(&inbox, leased[1].0, Outcome::Dead { reason: reason.clone() });
    let after = std::time::Duration::ZERO;
    settle(&inbox, leased[2].0, Outcome::Retry { after, reason });
    // The gauges are set behind the answer: another call waits for that.
    wait(inbox.retain()).unwrap();
    wait(inbox.retain()).unwrap();

    let text = String::from_utf8(bed.metrics.encode()).unwrap();

    let expected = [
        "aimis_inbox_items{state=\"ready\"} 2",
        "aimis_inbox_items{state=\"in_flight\"} 1",
        "aimis_inbox_items{state=\"retrying\"} 1",
        "aimis_inbox_items{state=\"dead\"} 1",
        "aimis_inbox_items{state=\"quarantined\"} 0",
        &format!("aimis_inbox_oldest_item_timestamp_seconds {}", START / 1000),
        "aimis_inbox_disk_limit_bytes 67108864",
    ];
    for line in expected {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert!(!text.contains("aimis_inbox_disk_bytes 0\n"));
    assert!(!text.contains("aimis_inbox_fsync_duration_seconds_count 0\n"));
}
