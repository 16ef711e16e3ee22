//! Who has the inbox alone, who only looks at it, and who changed it unseen.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::append;
use crate::callback::inbox::postgres::schema::{IN_USE, LOCK_CLASS};
use crate::callback::inbox::postgres::session::{Connector, Session, Use};
use crate::callback::inbox::postgres::testing::{DatabaseBed, server};
use crate::callback::inbox::postgres::{OpenError, Role, Whole};
use crate::callback::inbox::testing::{lease, north, states, wait};
use crate::callback::inbox::{CopyError, Inbox, InboxError, State};

/// A further connection to the same tables.
fn beside(bed: &DatabaseBed) -> (Runtime, Session) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connector = Connector::new(Arc::new(bed.settings.reach.clone())).unwrap();
    let session = runtime.block_on(connector.connect(Use::Read, tokio::sync::watch::channel(0).0));
    (runtime, session.unwrap_or_else(|_| panic!("the server is there")))
}

fn tables(bed: &DatabaseBed) -> String {
    let dump = |table: &str| {
        let rows = format!("SELECT string_agg(t::text, ';' ORDER BY t::text) FROM aimis_inbox.{table} t");
        server::shared().sql(&bed.database, &rows)
    };
    ["keys", "meta", "tenants", "events", "tally"].map(dump).join("\n")
}

#[test]
fn while_somebody_has_the_inbox_alone_nothing_is_leased_parked_or_resumed() {
    let bed = DatabaseBed::new();
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();
    let (runtime, session) = beside(&bed);
    // Its connection that shares the lock breaks, and others of it do not.
    let alone = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS}
           AND objid = {IN_USE} AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
         SELECT pg_advisory_lock({LOCK_CLASS}, {IN_USE})"
    );
    runtime.block_on(session.client.batch_execute(&alone)).unwrap();
    let before = tables(&bed);

    assert_eq!(lease(&inbox, 9).len(), 0);
    assert_eq!(wait(inbox.park(&north())), Err(InboxError::Failed));
    assert_eq!(wait(inbox.resume(&north())), Err(InboxError::Failed));
    assert_eq!(wait(inbox.reconciles(&north())), Err(InboxError::Failed));

    assert_eq!(tables(&bed), before);
    assert_eq!(states(&inbox), [State::Ready]);
    drop((session, runtime));
    while lease(&inbox, 9).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn a_copy_reads_one_state_whatever_is_written_beside_it() {
    use crate::callback::inbox::copy::Store;

    let bed = DatabaseBed::new();
    append(&bed, &bed.open(), 1, "a").unwrap();
    let mut whole = Whole::open(&bed.settings).unwrap();
    assert_eq!(whole.events(0).unwrap().len(), 1);

    // Whoever does not ask for the lock.
    server::shared().sql(&bed.database, "UPDATE aimis_inbox.events SET attempts = 7");

    assert_eq!(whole.events(0).unwrap()[0].attempts, 0);
    let mut hasty = bed.settings.clone();
    hasty.reach.connect_timeout = Duration::from_secs(1);
    let second = Whole::open(&hasty).err().unwrap();
    assert!(matches!(second, CopyError::InUse), "{second}");
}

#[test]
fn a_command_with_other_keys_changes_nothing_and_says_that_they_are_others() {
    let mut bed = DatabaseBed::new();
    drop(bed.open());
    let own = bed.keys.current.clone();
    let before = tables(&bed);

    let other = own.with_extension("other");
    std::fs::write(&other, [8; 32]).unwrap();
    bed.keys.current = other;
    let refused = bed.try_open(Role::Command).err().unwrap();
    assert!(matches!(refused, OpenError::KeyMissing { rows: 0, .. }), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("holds another key"), "{told}");
    assert!(!told.contains("0 events"), "{told}");
    assert_eq!(tables(&bed), before);

    // As in the midst of a change of keys: it looks, and leaves the change to the gateways.
    bed.keys.previous = vec![own.clone()];
    drop(bed.try_open(Role::Command).unwrap());
    assert_eq!(tables(&bed), before);
    (bed.keys.current, bed.keys.previous) = (own, Vec::new());
    drop(bed.open());
}

#[tokio::test]
async fn a_change_is_seen_when_it_is_committed_though_nobody_tells_of_it() {
    let bed = DatabaseBed::new();
    let inbox = tokio::task::spawn_blocking({
        let opened = bed.try_open(Role::Gateway);
        || opened.unwrap()
    });
    let inbox = inbox.await.unwrap();
    let connector = Connector::new(Arc::new(bed.settings.reach.clone())).unwrap();
    let connect = async || {
        let session = connector.connect(Use::Work, tokio::sync::watch::channel(0).0).await;
        session.unwrap_or_else(|_| panic!("the server is there"))
    };
    let (slow, quick) = (connect().await, connect().await);
    let mut changes = inbox.changes();
    let mut woken = async |times: u64| {
        let woken = changes.wait_for(|count| *count >= times);
        let woken = tokio::time::timeout(Duration::from_secs(30), woken).await;
        *woken.expect("the change is seen").unwrap()
    };
    // By what was changed before it listened.
    woken(1).await;
    // What a gateway's change leaves behind, without the word to others that may die with it.
    let change = "INSERT INTO tally (tenant, state, items, bytes) VALUES (1, 0, 0, 0)";
    let begun = format!("BEGIN; {change}");
    slow.client.batch_execute(&begun).await.unwrap();
    // The next has a higher number, and is committed before.
    quick.client.batch_execute(change).await.unwrap();
    let before = woken(2).await;

    slow.client.batch_execute("COMMIT").await.unwrap();

    woken(before + 1).await;
}
