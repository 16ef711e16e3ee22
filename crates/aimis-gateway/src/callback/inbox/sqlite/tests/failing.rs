//! Writes that fail: what is undone, what is told, and what ends the process.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use rusqlite::ffi;

use crate::callback::inbox::testing::{Bed, append, arrival, lease, list, wait};
use crate::callback::inbox::{AppendError, Inbox, InboxError, Kind};

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    let try_append = |study| wait(inbox.append(arrival(study, "{\"a\":2}").event(inbox.tags(), bed.now()))).map(drop);

    inbox.faults.lock().unwrap().push(ffi::SQLITE_IOERR_FSYNC);

    let broken = Err(AppendError::Inbox(InboxError::Broken));
    assert_eq!(try_append(2), broken);
    assert_eq!(try_append(3), broken);
    assert_eq!(wait(inbox.retain()).map(drop), Err(InboxError::Broken));
    assert_eq!(bed.aborts.load(Ordering::Relaxed), 1);
    bed.crash();
    drop(inbox);
    let inbox = bed.open();
    assert_eq!(lease(&inbox, 10).len(), 1);
    assert_eq!(append(&bed, &inbox, &arrival(2, "{\"a\":2}")).kind, Kind::Accepted);
}

/// Names the file whose presence makes every sync of this process fail (`sync_fault.c`).
const SYNC_FAULT: &str = "AIMIS_TEST_SYNC_FAULT";

#[test]
fn after_a_sync_that_the_system_failed_nothing_is_acknowledged() {
    match std::env::var_os(SYNC_FAULT) {
        None => with_failing_syncs(
            "callback::inbox::sqlite::tests::failing::after_a_sync_that_the_system_failed_nothing_is_acknowledged",
        ),
        Some(fault) => the_process_with_failing_syncs(Path::new(&fault)),
    }
}

/// Runs one test in a process of its own whose syncs can be made to fail.
fn with_failing_syncs(test: &str) {
    let bed = Bed::new();
    let (library, fault) = (bed.dir.path().join("sync_fault.so"), bed.dir.path().join("fault"));
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/callback/inbox/sqlite/tests/sync_fault.c"
    );
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(built.expect("the C compiler that SQLite was built with").success());

    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("LD_PRELOAD", &library)
        .env(SYNC_FAULT, &fault)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert!(fault.exists(), "the fault was used");
}

fn the_process_with_failing_syncs(fault: &Path) {
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    std::fs::write(fault, "").unwrap();

    let many = (2..30).map(|study| inbox.append(arrival(study, "{\"a\":2}").event(inbox.tags(), bed.now())));
    let taken = wait(join_all(many.collect::<Vec<_>>()));

    assert!(
        taken
            .iter()
            .all(|taken| matches!(taken, Err(AppendError::Inbox(InboxError::Broken))))
    );
    assert_eq!(bed.aborts.load(Ordering::Relaxed), 1);
    bed.crash();
    drop(inbox);
    std::fs::rename(fault, fault.with_extension("over")).unwrap();
    let inbox = bed.open();
    assert!(!lease(&inbox, 1).is_empty());
    assert_eq!(wait(inbox.verify()).unwrap().faults, [""; 0]);
    std::fs::write(fault, "").unwrap();
}

#[test]
fn a_full_disk_refuses_and_is_no_reason_to_end() {
    for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
        let bed = Bed::new();
        let inbox = bed.open();
        let try_append = || wait(inbox.append(arrival(1, "{\"a\":1}").event(inbox.tags(), bed.now()))).map(drop);
        // It is tried again once the log can be written anew.
        inbox.faults.lock().unwrap().extend([code; 2]);

        assert_eq!(try_append(), Err(AppendError::Full));

        assert!(list(&inbox).is_empty());
        assert_eq!(try_append(), Ok(()));
        assert_eq!(bed.aborts.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_failure_in_company_is_repeated_alone() {
    let bed = Bed::new();
    let inbox = bed.open();
    inbox.faults.lock().unwrap().push(ffi::SQLITE_CONSTRAINT);

    let company = (0..20).map(|study| inbox.append(arrival(study, "{\"a\":1}").event(inbox.tags(), bed.now())));
    let taken = wait(join_all(company.collect::<Vec<_>>()));

    let refused = taken.iter().filter(|taken| taken.is_err()).count();
    assert!(
        refused <= 1,
        "at most the one that was alone when the fault came: {refused}"
    );
    assert_eq!(list(&inbox).len(), 20 - refused);
    assert_eq!(bed.aborts.load(Ordering::Relaxed), 0);
}

#[test]
fn of_the_same_event_coming_many_times_at_once_one_is_stored() {
    let bed = Bed::new();
    let inbox = bed.open();

    let many = (0..100).map(|_| inbox.append(arrival(1, "{\"a\":1}").event(inbox.tags(), bed.now())));
    let taken = wait(join_all(many.collect::<Vec<_>>()));

    let kinds: Vec<Kind> = taken.iter().map(|taken| taken.as_ref().unwrap().kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Accepted).count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Duplicate).count(), 99);
    assert_eq!(list(&inbox).len(), 1);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let mut bed = Bed::new();
    bed.settings.queue = 2;
    bed.settings.batch = 1;
    let inbox = bed.open();
    // Somebody else writes: the thread waits for the lock, and the queue behind it fills up.
    let other = rusqlite::Connection::open(&bed.settings.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let many = (0..20).map(|study| inbox.append(arrival(study, "{\"a\":1}").event(inbox.tags(), bed.now())));
    let answers: Vec<_> = many.collect();
    other.execute_batch("ROLLBACK").unwrap();
    let taken = wait(join_all(answers));

    let stored = taken.iter().filter(|taken| taken.is_ok()).count();
    assert!((2..=4).contains(&stored), "{stored}");
    assert!(
        taken
            .iter()
            .all(|taken| matches!(taken, Ok(_) | Err(AppendError::Busy)))
    );
    assert_eq!(list(&inbox).len(), stored);
}
