//! What only the inbox in a database has to do: several gateways, and a server that goes away.

mod alone;
mod hung;
mod standby;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::schema::{IN_USE, LOCK_CLASS};
use super::session::{Connector, Use};
use super::testing::{DatabaseBed, server};
use super::{OpenError, Role};
use crate::callback::inbox::keys::KeyError;
use crate::callback::inbox::sqlite::KeyFiles;
use crate::callback::inbox::testing::{arrival, lease, list, north, settle, states, wait};
use crate::callback::inbox::{AppendError, Inbox, InboxError, Kind, Outcome, RekeyError, Run, SettleError, State};

fn append(bed: &DatabaseBed, inbox: &dyn Inbox, study: u8, body: &str) -> Result<Kind, AppendError> {
    let event = arrival(study, body).event(inbox.tags(), bed.clock.now());
    wait(inbox.append(event)).map(|appended| appended.kind)
}

#[test]
fn two_that_start_at_once_make_one_inbox() {
    let bed = DatabaseBed::new();

    let inboxes: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| bed.open())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });

    // One key of tags, or the same again would not be known elsewhere.
    assert_eq!(append(&bed, &inboxes[0], 1, "a"), Ok(Kind::Accepted));
    assert_eq!(append(&bed, &inboxes[3], 1, "a"), Ok(Kind::Duplicate));
}

#[test]
fn a_batch_of_arrivals_is_judged_as_if_they_came_one_by_one() {
    let bed = DatabaseBed::new();
    let inboxes = [bed.open(), bed.open()];
    let now = bed.clock.now();

    // Both gateways get everything, at once: studies, updates, the same again, one signature for many.
    let kinds = wait(futures_util::future::join_all((0..200_u32).map(|number| {
        let inbox = &inboxes[(number % 2) as usize];
        let mut arrival = arrival((number % 7) as u8, &format!("body {}", number / 4));
        arrival.triple = (number % 5 == 0).then_some((number % 3) as u8);
        inbox.append(arrival.event(inbox.tags(), now))
    })));

    let kinds: Vec<Kind> = kinds.into_iter().map(|appended| appended.unwrap().kind).collect();
    let accepted = kinds.iter().filter(|kind| **kind == Kind::Accepted).count();
    assert_eq!(accepted, 7, "one first a study: {kinds:?}");
    let verdict = wait(inboxes[0].verify()).unwrap();
    assert_eq!((&verdict.broken[..], &verdict.faults[..]), (&[][..], &[][..]));
    let stored = kinds.iter().filter(|kind| **kind != Kind::Duplicate).count();
    assert_eq!(verdict.opened, stored as u64);
}

#[test]
fn gateways_that_lease_at_once_share_no_study() {
    let bed = DatabaseBed::new();
    let inboxes = [bed.open(), bed.open(), bed.open()];
    for number in 0..60 {
        append(&bed, &inboxes[0], number % 20, &format!("{number}")).unwrap();
    }

    let mut delivered: Vec<Vec<u32>> = vec![Vec::new(); 20];
    loop {
        let leases = wait(futures_util::future::join_all(
            inboxes
                .iter()
                .map(|inbox| inbox.lease(&north(), 9, Duration::from_secs(60))),
        ));
        let leased: Vec<_> = leases.into_iter().flat_map(|leases| leases.unwrap().events).collect();
        let numbers: Vec<u32> = leased
            .iter()
            .map(|leased| str::from_utf8(leased.payload.as_bytes()).unwrap().parse().unwrap())
            .collect();
        let studies: HashSet<u32> = numbers.iter().map(|number| number % 20).collect();
        assert_eq!(studies.len(), numbers.len(), "one at a time of a study: {numbers:?}");
        if leased.is_empty() {
            break;
        }
        for (turn, (leased, number)) in leased.iter().zip(numbers).enumerate() {
            delivered[(number % 20) as usize].push(number);
            settle(&inboxes[turn % 3], leased.lease, Outcome::Delivered);
        }
    }

    for (study, numbers) in (0..).zip(delivered) {
        assert_eq!(numbers, [study, study + 20, study + 40]);
    }
}

#[test]
fn who_lost_a_lease_settles_nothing() {
    let bed = DatabaseBed::new();
    let (slow, quick) = (bed.open(), bed.open());
    append(&bed, &slow, 1, "a").unwrap();
    let (old, _) = lease(&slow, 1).remove(0);
    bed.clock.advance(Duration::from_secs(61));
    let (new, _) = lease(&quick, 1).remove(0);

    assert_eq!(wait(slow.settle(old, Outcome::Delivered)), Err(SettleError::Lost));

    assert_eq!(states(&quick), [State::InFlight]);
    settle(&quick, new, Outcome::Delivered);
    assert_eq!(states(&slow), [State::Delivered]);
}

#[tokio::test]
async fn what_one_gateway_takes_wakes_the_others() {
    let bed = DatabaseBed::new();
    let (one, other) = (bed.open(), bed.open());
    let mut changes = other.changes();
    changes.borrow_and_update();

    let event = arrival(1, "a").event(one.tags(), bed.clock.now());
    let _ = one.append(event).await.unwrap();

    loop {
        changes.changed().await.unwrap();
        let leases = other.lease(&north(), 1, Duration::from_secs(60)).await.unwrap();
        if !leases.events.is_empty() {
            break;
        }
    }
}

#[test]
fn a_payload_that_does_not_open_is_dead_and_told() {
    let bed = DatabaseBed::new();
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();
    append(&bed, &inbox, 1, "b").unwrap();
    let change = "UPDATE aimis_inbox.payloads SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE seq =
                  (SELECT min(seq) FROM aimis_inbox.payloads)";
    server::shared().sql(&bed.database, change);

    let leases = wait(inbox.lease(&north(), 9, Duration::from_secs(60))).unwrap();

    let first = list(&inbox)[0].id;
    assert_eq!((leases.events.len(), leases.unopened), (0, vec![first]));
    assert_eq!(states(&inbox), [State::Dead, State::Ready]);
    assert_eq!(wait(inbox.verify()).unwrap().broken, [first]);
}

#[test]
fn a_key_is_never_made_and_must_be_the_same_everywhere() {
    let mut bed = DatabaseBed::new();
    let good = bed.keys.current.clone();
    bed.keys.current = good.with_extension("none");
    let missing = bed.try_open(Role::Gateway).err().unwrap();
    assert!(matches!(missing, OpenError::Key(KeyError::NotShared(_))), "{missing}");
    bed.keys.current = good.clone();
    append(&bed, &bed.open(), 1, "a").unwrap();

    let other = good.with_extension("other");
    std::fs::write(&other, [8; 32]).unwrap();
    bed.keys.current = other;
    let refused = bed.try_open(Role::Gateway).err().unwrap();
    assert!(matches!(refused, OpenError::KeyMissing { rows: 1, .. }), "{refused}");

    // The new key in front, the old one behind it: what was known stays known.
    bed.keys.previous = vec![good];
    assert_eq!(append(&bed, &bed.open(), 1, "a"), Ok(Kind::Duplicate));
}

#[test]
fn a_gateway_leaves_what_it_has_no_key_for_to_one_that_has() {
    let mut bed = DatabaseBed::new();
    let old = bed.open();
    let new_key = bed.keys.current.with_extension("new");
    std::fs::write(&new_key, [8; 32]).unwrap();
    bed.keys.previous = vec![std::mem::replace(&mut bed.keys.current, new_key)];
    let new = bed.open();
    append(&bed, &new, 1, "a").unwrap();

    assert_eq!(lease(&old, 9).len(), 0);
    assert_eq!(lease(&new, 9).len(), 1);
}

#[test]
fn a_key_that_is_changed_while_it_is_open_loses_nothing() {
    let mut bed = DatabaseBed::new();
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();
    let rekey = |keys: &KeyFiles| wait(inbox.rekey(keys.clone()));
    assert!(matches!(rekey(&bed.keys), Ok(None)));
    let new_key = bed.keys.current.with_extension("new");
    std::fs::write(&new_key, [8; 32]).unwrap();
    let retired = std::mem::replace(&mut bed.keys.current, new_key);

    assert!(matches!(rekey(&bed.keys), Err(RekeyError::Needed { .. })));
    bed.keys.previous = vec![retired];
    let rekeyed = rekey(&bed.keys).unwrap().unwrap();

    assert_ne!(rekeyed.before, rekeyed.now);
    assert_eq!(append(&bed, &inbox, 1, "a"), Ok(Kind::Duplicate));
    append(&bed, &inbox, 2, "a").unwrap();
    let leased = lease(&inbox, 10);
    assert_eq!(leased.len(), 2);
    bed.keys.previous.clear();
    assert!(matches!(rekey(&bed.keys), Err(RekeyError::Needed { rows: 1, .. })));
    settle(&inbox, leased[0].0, Outcome::Delivered);
    wait(inbox.remove(Default::default(), Run::Real)).unwrap();
    assert!(
        matches!(rekey(&bed.keys), Ok(None)),
        "nothing is sealed with it any more"
    );
    // Another gateway opens with the new key alone what was sealed with it.
    drop(inbox);
    assert_eq!(wait(bed.open().verify()).unwrap().broken, []);
}

#[test]
fn a_command_makes_nothing_and_a_full_inbox_takes_nothing() {
    let mut bed = DatabaseBed::new();
    assert!(matches!(bed.try_open(Role::Command), Err(OpenError::NotThere)));
    bed.settings.max_bytes = 10_000;
    bed.settings.quarantine_max_bytes = 2_500;
    let inbox = bed.open();

    let mut full = 0;
    for number in 0..10 {
        match append(&bed, &inbox, number, "a") {
            Ok(kind) => assert_eq!(kind, Kind::Accepted),
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                full += 1;
            }
        }
    }
    assert!(full > 0);
    bed.try_open(Role::Command).unwrap();
}

#[test]
fn while_somebody_has_the_inbox_alone_nothing_is_changed_though_our_lock_was_lost() {
    let bed = DatabaseBed::new();
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connector = Connector::new(Arc::new(bed.settings.reach.clone())).unwrap();
    let session = runtime.block_on(connector.connect(Use::Read, tokio::sync::watch::channel(0).0));
    let session = session.unwrap_or_else(|_| panic!("the server is there"));
    // As a restart of the server would; whoever waits for the lock has it before the inbox asks for it again.
    let alone = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
         SELECT pg_advisory_lock({LOCK_CLASS}, {IN_USE})"
    );
    runtime.block_on(session.client.batch_execute(&alone)).unwrap();

    for study in 2..12 {
        assert_eq!(append(&bed, &inbox, study, "b"), Err(InboxError::Failed.into()));
    }
    drop((session, runtime));
    while append(&bed, &inbox, 2, "b").is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn a_database_that_is_away_is_told_and_found_again() {
    let server = server::Server::new("", &[]);
    let (database, url) = server.database();
    let bed = DatabaseBed::at(database, &url);
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();

    server.stop("immediate");
    let refused = append(&bed, &inbox, 2, "b");
    assert_eq!(refused, Err(InboxError::Failed.into()));
    let lost = wait(inbox.lease(&north(), 1, Duration::from_secs(60)));
    assert_eq!(lost.err(), Some(InboxError::Failed));
    server.start();

    // The platform sends it again until it is taken.
    while append(&bed, &inbox, 2, "b").is_err() {
        std::thread::yield_now();
    }
    assert_eq!(lease(&inbox, 9).len(), 2);
    while bed.found.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(bed.lost.load(Ordering::Relaxed), 1);
    let away = bed.try_open(Role::Command).err();
    assert!(away.is_none());
}

#[test]
fn a_server_that_may_lose_what_it_committed_is_refused() {
    let server = server::Server::new("fsync = off", &[]);
    let (database, url) = server.database();

    let refused = DatabaseBed::at(database, &url).try_open(Role::Gateway).err().unwrap();

    assert!(matches!(refused, OpenError::Unsafe("fsync")), "{refused}");
}
