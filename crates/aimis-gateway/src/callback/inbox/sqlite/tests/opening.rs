//! Opening: what is refused, what is made, and with which rights.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rusqlite::{Connection, StatementStatus};

use crate::callback::inbox::sqlite::arrive::LAST_OF_IDENTITY;
use crate::callback::inbox::sqlite::{OpenError, Role};
use crate::callback::inbox::testing::{Bed, append, arrival, lease, list, wait};
use crate::callback::inbox::{Inbox, Outcome, Reason};

#[test]
fn its_files_are_the_gateways_alone() {
    let bed = Bed::new();
    let data = bed.settings.path.parent().unwrap().to_owned();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(&bed.settings.path, "").unwrap();
    std::fs::set_permissions(&bed.settings.path, std::fs::Permissions::from_mode(0o666)).unwrap();

    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));

    let mut seen = 0;
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        seen += 1;
    }
    assert_eq!(seen, 4, "database, log, index, lock");
}

#[test]
fn one_gateway_at_a_time_has_it_and_commands_may_look() {
    let bed = Bed::new();
    let absent = bed.try_open(Role::Command);
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    let leased = lease(&inbox, 1);

    let second = bed.try_open(Role::Gateway);
    let command = bed.try_open(Role::Command).unwrap();

    assert!(matches!(absent, Err(OpenError::NotThere(_))));
    assert!(matches!(second, Err(OpenError::InUse(_))));
    assert_eq!(list(&command)[0].id, leased[0].0.event);
    assert!(
        lease(&command, 1).is_empty(),
        "a look does not end the gateway's leases"
    );
    drop((inbox, command));
    assert_eq!(lease(&bed.open(), 1).len(), 1, "a new start does");
}

#[test]
fn what_is_newer_or_something_else_is_left_alone() {
    let bed = Bed::new();
    drop(bed.open());
    let change = |statement: &str| {
        Connection::open(&bed.settings.path)
            .unwrap()
            .execute_batch(statement)
            .unwrap();
    };

    change("PRAGMA user_version = 4");
    let newer = bed.try_open(Role::Gateway).err().unwrap();
    change("PRAGMA user_version = 3; PRAGMA application_id = 5");
    let other = bed.try_open(Role::Gateway).err().unwrap();

    assert!(matches!(newer, OpenError::Newer { found: 4, known: 3 }), "{newer}");
    assert!(matches!(other, OpenError::NotAnInbox), "{other}");
}

#[test]
fn settings_that_durability_rests_on_are_in_force() {
    let bed = Bed::new();
    let inbox = bed.open();
    let read = |name: &'static str| {
        let call = inbox.writer.calls().call(move |store| {
            store.connection.query_row(&format!("PRAGMA {name}"), [], |row| {
                row.get::<_, rusqlite::types::Value>(0)
            })
        });
        format!("{:?}", wait(call).unwrap())
    };

    assert_eq!(read("journal_mode"), "Text(\"wal\")");
    assert_eq!(read("synchronous"), "Integer(2)");
    assert_eq!(read("secure_delete"), "Integer(1)");
    assert_eq!(read("auto_vacuum"), "Integer(2)");
    assert!(inbox.changes().has_changed().is_ok());
}

#[test]
fn a_statement_is_parsed_once_and_not_for_each_arrival() {
    let bed = Bed::new();
    let inbox = bed.open();
    for study in 0..3 {
        append(&bed, &inbox, &arrival(study, "{\"a\":1}"));
    }

    let parsed_anew = inbox.writer.calls().call(|store| {
        let statement = store.connection.prepare_cached(LAST_OF_IDENTITY)?;
        let run = statement.get_status(StatementStatus::Run);
        Ok((run, statement.get_status(StatementStatus::RePrepare)))
    });

    assert_eq!(wait(parsed_anew), Ok((3, 0)));
}

#[test]
fn only_a_gateway_brings_a_database_up_to_date() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    drop(inbox);
    Connection::open(&bed.settings.path)
        .unwrap()
        .execute_batch(
            "DROP TABLE acts; ALTER TABLE events DROP COLUMN gist; ALTER TABLE tenants DROP COLUMN reconciled_from;
             PRAGMA user_version = 1",
        )
        .unwrap();

    let command = bed.try_open(Role::Command).err().unwrap();
    let gateway = bed.open();

    assert!(matches!(command, OpenError::Older { found: 1, known: 3 }), "{command}");
    assert_eq!(list(&gateway).len(), 1);
    assert_eq!(wait(gateway.acts(0, 10)), Ok(Vec::new()));
    assert!(bed.try_open(Role::Command).is_ok());
}

#[test]
fn to_open_one_that_is_as_it_should_be_writes_nothing() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    drop(inbox);
    let beside = Connection::open(&bed.settings.path).unwrap();
    let changes = || beside.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
    let before = changes();

    let _inbox = bed.open();

    assert_eq!(
        changes(),
        before,
        "on a disk without a free byte it could not be opened"
    );
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_puts_nothing_off() {
    let day = Duration::from_secs(25 * 3600);
    let mut bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    append(&bed, &inbox, &arrival(2, "{\"a\":2}"));
    let leased = lease(&inbox, 2);
    let again = Outcome::Retry {
        after: Duration::from_secs(1),
        reason: Reason::word("reset"),
    };
    wait(inbox.settle(leased[0].0, again)).unwrap();
    bed.clock.sleep(day);
    // Nothing that is left is touched by the clock that is ahead.
    wait(inbox.settle(leased[1].0, Outcome::Delivered)).unwrap();
    drop(inbox);

    bed.clock = bed.clock.shifted(-(day.as_millis() as i64));
    let inbox = bed.open();
    bed.clock.advance(Duration::from_secs(1));

    assert_eq!(lease(&inbox, 2).len(), 1);
}
