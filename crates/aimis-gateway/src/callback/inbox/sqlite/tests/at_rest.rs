//! What stands on the disk, and what becomes of it when somebody changes it there.

use std::time::Duration;

use base64::Engine;
use rusqlite::{Connection, params};

use crate::callback::inbox::sqlite::{KeyFiles, OpenError, Role, Sqlite};
use crate::callback::inbox::testing::{Bed, append, arrival, lease, list, settle, states, wait};
use crate::callback::inbox::{Inbox, InboxError, Kind, Outcome, RekeyError, Run, State};

const CANARY: &str = "{\"phoneNum\":\"13812345678\",\"idNum\":\"11010519491231002X\",\"studyId\":\"CT-CANARY-4711\"}";

/// `plain`, in the forms that a leak would have.
fn forms(plain: &str) -> Vec<Vec<u8>> {
    let reversed: String = plain.chars().rev().collect();
    vec![
        plain.as_bytes().to_vec(),
        reversed.into_bytes(),
        hex::encode(plain).into_bytes(),
        hex::encode_upper(plain).into_bytes(),
        base64::engine::general_purpose::STANDARD.encode(plain).as_bytes()[..8].to_vec(),
    ]
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}

#[test]
fn nothing_of_a_person_stands_on_the_disk() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, CANARY));
    append(&bed, &inbox, &arrival(2, &CANARY.replace("4711", "4712")));
    let leased = lease(&inbox, 1);
    settle(&inbox, leased[0].0, Outcome::Delivered);

    let check = |when: &str| {
        let bytes = bed.bytes_on_disk();
        assert!(contains(&bytes, b"north"), "the files are those of the inbox, {when}");
        for plain in ["13812345678", "11010519491231002X", "CT-CANARY-471"] {
            for form in forms(plain) {
                assert!(!contains(&bytes, &form), "{plain}, {when}");
            }
        }
    };

    check("with the log");
    drop(inbox);
    check("without");
}

/// The sealed payload of the only event.
fn sealed(path: &std::path::Path) -> Vec<u8> {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row("SELECT sealed FROM payloads", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_wiped_payload_is_gone_from_the_disk_also_in_its_sealed_form() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, &CANARY.repeat(100)));
    let sealed = sealed(&bed.settings.path);
    let (front, back) = (&sealed[..64], &sealed[sealed.len() - 64..]);
    let kept = |bytes: &[u8]| contains(bytes, front) || contains(bytes, back);
    assert!(kept(&bed.bytes_on_disk()));
    let leased = lease(&inbox, 1);
    settle(&inbox, leased[0].0, Outcome::Delivered);

    bed.clock.advance(Duration::from_secs(24 * 3600 + 1));
    let retained = wait(inbox.retain()).unwrap();
    drop(inbox);

    assert_eq!((retained.wiped, retained.forgotten), (1, 0));
    assert!(!kept(&bed.bytes_on_disk()));
    let inbox = bed.open();
    let redelivered = wait(inbox.redeliver(Default::default(), Default::default(), Run::Real)).unwrap();
    assert_eq!((redelivered.changed, redelivered.wiped), (0, 1));
    assert_eq!(
        append(&bed, &inbox, &arrival(1, &CANARY.repeat(100))).kind,
        Kind::Duplicate
    );
}

/// Changes the database behind the inbox's back.
fn tamper(bed: &Bed, statement: &str) {
    Connection::open(&bed.settings.path)
        .unwrap()
        .execute_batch(statement)
        .unwrap();
}

/// Both events are found out, told, and hold up nobody.
fn found_out(inbox: &Sqlite) {
    let ids: Vec<_> = list(inbox).iter().map(|event| event.id).collect();
    let verdict = wait(inbox.verify()).unwrap();
    assert_eq!((verdict.opened, &verdict.broken), (0, &ids));
    assert_eq!(wait(inbox.show(ids[0])).map(drop), Err(InboxError::Unreadable));
    assert!(lease(inbox, 10).is_empty());
    assert_eq!(states(inbox), [State::Dead, State::Dead]);
    assert_eq!(list(inbox)[0].reason.as_ref().unwrap().as_str(), "unreadable");
}

#[test]
fn payloads_that_change_places_do_not_open() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    append(&bed, &inbox, &arrival(2, "{\"a\":2}"));

    tamper(
        &bed,
        "UPDATE payloads SET seq = -seq; UPDATE payloads SET seq = 3 + seq;",
    );

    found_out(&inbox);
}

#[test]
fn a_changed_bit_and_another_tenant_are_found_out() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    append(&bed, &inbox, &arrival(2, "{\"a\":2}"));
    let mut changed = {
        let connection = Connection::open(&bed.settings.path).unwrap();
        let sealed: Vec<u8> = connection
            .query_row("SELECT sealed FROM payloads WHERE seq = 1", [], |row| row.get(0))
            .unwrap();
        sealed
    };
    *changed.last_mut().unwrap() ^= 1;
    Connection::open(&bed.settings.path)
        .unwrap()
        .execute("UPDATE payloads SET sealed = ?1 WHERE seq = 1", params![changed])
        .unwrap();
    // The second event is said to be the first one's tenant's neighbour's.
    tamper(
        &bed,
        "INSERT INTO tenants (name) VALUES ('south'); UPDATE events SET tenant = 2 WHERE seq = 2;",
    );

    let south = crate::tenant::TenantName::new("south");
    let stolen = wait(inbox.lease(&south, 10, Duration::from_secs(60))).unwrap();

    assert!(stolen.events.is_empty());
    assert!(lease(&inbox, 10).is_empty());
    assert_eq!(states(&inbox), [State::Dead, State::Dead]);
}

#[test]
fn a_retired_key_still_opens_and_a_removed_one_is_missed() {
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    append(&bed, &inbox, &arrival(2, "{\"a\":2}"));
    let old = wait(inbox.stats()).unwrap().keys;
    drop(inbox);
    let retired = bed.dir.path().join("secrets/retired.key");
    std::fs::rename(&bed.keys.current, &retired).unwrap();

    let error = bed.try_open(Role::Gateway).err().unwrap();
    assert!(error.to_string().contains("put it back"), "{error}");
    assert!(!bed.keys.current.exists(), "no new key in the place of a lost one");
    std::fs::write(&bed.keys.current, [7; 32]).unwrap();
    let error = bed.try_open(Role::Gateway).err().unwrap();
    let told = error.to_string();
    assert!(matches!(error, OpenError::KeyMissing { rows: 2, .. }), "{told}");
    assert!(told.contains(&old[0].0) && told.contains("2 events"), "{told}");

    bed.keys.previous = vec![retired];
    let inbox = bed.open();
    assert_eq!(
        append(&bed, &inbox, &arrival(1, "{\"a\":1}")).kind,
        Kind::Duplicate,
        "tags stay"
    );
    append(&bed, &inbox, &arrival(3, "{\"a\":3}"));
    let counts: Vec<u64> = wait(inbox.stats())
        .unwrap()
        .keys
        .iter()
        .map(|(_, rows)| *rows)
        .collect();
    assert_eq!(counts, [2, 1]);
    assert_eq!(lease(&inbox, 10).len(), 3);
    assert_eq!(wait(inbox.verify()).unwrap().opened, 3);
    wait(inbox.retain()).unwrap();
    drop(inbox);

    bed.keys.previous.clear();
    assert!(matches!(
        bed.try_open(Role::Gateway),
        Err(OpenError::KeyMissing { rows: 2, .. })
    ));
}

#[test]
fn a_retired_key_is_not_needed_once_nothing_is_sealed_with_it() {
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    drop(inbox);
    let retired = bed.dir.path().join("secrets/retired.key");
    std::fs::rename(&bed.keys.current, &retired).unwrap();
    std::fs::write(&bed.keys.current, [7; 32]).unwrap();
    bed.keys.previous = vec![retired];
    let inbox = bed.open();
    let leased = lease(&inbox, 1);
    settle(&inbox, leased[0].0, Outcome::Delivered);
    wait(inbox.remove(Default::default(), Run::Real)).unwrap();
    drop(inbox);

    bed.keys.previous.clear();

    append(&bed, &bed.open(), &arrival(1, "{\"a\":1}"));
}

#[test]
fn a_key_that_is_changed_while_it_is_open_loses_nothing() {
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    let rekey = |keys: &KeyFiles| wait(inbox.rekey(keys.clone()));
    assert!(matches!(rekey(&bed.keys), Ok(None)));
    let retired = bed.dir.path().join("secrets/retired.key");
    std::fs::rename(&bed.keys.current, &retired).unwrap();
    std::fs::write(&bed.keys.current, [7; 32]).unwrap();

    assert!(matches!(rekey(&bed.keys), Err(RekeyError::Needed { .. })));
    bed.keys.previous = vec![retired];
    let rekeyed = rekey(&bed.keys).unwrap().unwrap();

    assert_ne!(rekeyed.before, rekeyed.now);
    assert_eq!(append(&bed, &inbox, &arrival(1, "{\"a\":1}")).kind, Kind::Duplicate);
    append(&bed, &inbox, &arrival(2, "{\"a\":2}"));
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
    drop(inbox);
    assert_eq!(lease(&bed.open(), 10).len(), 1);
}
