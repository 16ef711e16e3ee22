//! What study lists told beside callbacks, bodies that come back, and how long acts are kept.

use std::time::Duration;

use aimis_core::sign::Timestamp;

use super::super::Sqlite;
use crate::callback::event::{NewEvent, Origin, Verified};
use crate::callback::inbox::testing::{Arrival, Bed, START, append, arrival, lease, list, north, settle, wait};
use crate::callback::inbox::{Act, Appended, Filter, Inbox, Kind, Outcome, Run};

/// The study of [`arrival`] as a list has it: with a report, so of status 1.
fn listed(bed: &Bed, inbox: &Sqlite, like: &Arrival, has: u8) -> NewEvent {
    let (tags, tenant) = (inbox.tags(), north());
    let (study, report) = (format!("S{}", like.study), format!("R{}", like.report));
    let identity = |status: u8| tags.identity(&tenant, "H1", &study, &report, i64::from(status));
    let told_by = [0, 1, 2, 3].map(identity);
    NewEvent {
        identity: identity(has),
        body: tags.body(&tenant, format!("listed {has} {}", like.body).as_bytes()),
        origin: Origin::List {
            gist: tags.gist(&tenant, identity(has), ["0", "", "", &like.body]),
            has,
            told_by,
        },
        ..like.event(tags, bed.now())
    }
}

fn append_listed(bed: &Bed, inbox: &Sqlite, like: &Arrival, has: u8) -> Appended {
    wait(inbox.append(listed(bed, inbox, like, has))).unwrap()
}

#[test]
fn what_a_list_told_first_is_not_told_again_by_its_callback_and_a_revision_is() {
    let bed = Bed::new();
    let inbox = bed.open();
    let study = arrival(1, "{\"a\":1}");

    let found = append_listed(&bed, &inbox, &study, 1);
    assert_eq!((found.kind, found.verified), (Kind::Accepted, Verified::Reconciled));
    let again = append_listed(&bed, &inbox, &study, 1);
    assert_eq!((again.kind, again.event), (Kind::Duplicate, found.event));

    let callback = append(&bed, &inbox, &study);
    assert_eq!((callback.kind, callback.event), (Kind::Duplicate, found.event));
    let repeated = append(&bed, &inbox, &study);
    assert_eq!((repeated.kind, repeated.event), (Kind::Duplicate, found.event));
    let revised = append(&bed, &inbox, &arrival(1, "{\"a\":2}"));
    assert_eq!(revised.kind, Kind::Updated);
    assert_eq!(
        append_listed(&bed, &inbox, &arrival(1, "{\"a\":2}"), 1).kind,
        Kind::Duplicate
    );
    assert_eq!(list(&inbox).len(), 2);
}

#[test]
fn a_page_goes_on_behind_an_event_that_is_gone_by_then() {
    let bed = Bed::new();
    let inbox = bed.open();
    let one = |study| {
        bed.clock.advance(Duration::from_millis(1));
        append(&bed, &inbox, &arrival(study, "{}")).event
    };
    let ids: Vec<_> = (0..4).map(one).collect();
    let page = |after| {
        let events = wait(inbox.list(Filter::default(), after, 2)).unwrap();
        events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None), ids[..2]);
    let (lease, _) = lease(&inbox, 2).remove(1);
    assert_eq!(lease.event, ids[1]);
    settle(&inbox, lease, Outcome::Delivered);

    // As retention does beside a command.
    wait(inbox.remove(Filter::default(), Run::Real)).unwrap();

    assert_eq!(page(Some(ids[1])), ids[2..]);
}

#[test]
fn a_callback_that_says_something_else_goes_through_behind_a_list() {
    let bed = Bed::new();
    let inbox = bed.open();
    append_listed(&bed, &inbox, &arrival(1, "{\"a\":1}"), 1);

    let other = append(&bed, &inbox, &arrival(1, "{\"a\":2}"));
    assert_eq!(other.kind, Kind::Updated);
    // It is the last word now: the callback of before says something new.
    assert_eq!(append(&bed, &inbox, &arrival(1, "{\"a\":1}")).kind, Kind::Updated);
}

#[test]
fn a_list_tells_what_is_missing_and_nothing_that_callbacks_told() {
    let bed = Bed::new();
    let inbox = bed.open();
    let study = arrival(1, "{\"a\":1}");
    // Status 1: a report.
    append(&bed, &inbox, &study);

    assert_eq!(append_listed(&bed, &inbox, &study, 0).kind, Kind::Duplicate);
    assert_eq!(append_listed(&bed, &inbox, &study, 1).kind, Kind::Duplicate);
    assert_eq!(
        append_listed(&bed, &inbox, &study, 3).kind,
        Kind::Accepted,
        "there are images, too"
    );
    assert_eq!(append_listed(&bed, &inbox, &study, 2).kind, Kind::Duplicate);
    assert_eq!(append_listed(&bed, &inbox, &arrival(2, "{}"), 0).kind, Kind::Accepted);
}

#[test]
fn it_is_remembered_since_when_a_tenant_is_looked_after() {
    let mut bed = Bed::new();
    let inbox = bed.open();
    assert_eq!(wait(inbox.reconciles(&north())), Ok(Timestamp::from_millis(START)));
    drop(inbox);
    bed.crash();
    bed.clock.advance(Duration::from_secs(3600));

    assert_eq!(wait(bed.open().reconciles(&north())), Ok(Timestamp::from_millis(START)));
}

#[test]
fn the_last_body_reaches_the_his_also_when_it_was_there_before() {
    let bed = Bed::new();
    let inbox = bed.open();
    let (one, other) = (arrival(1, "{\"a\":1}"), arrival(1, "{\"a\":2}"));
    let kinds: Vec<Kind> = [&one, &other, &one, &one, &other, &other, &one]
        .map(|arrival| append(&bed, &inbox, arrival).kind)
        .to_vec();

    assert_eq!(
        kinds,
        [
            Kind::Accepted,
            Kind::Updated,
            Kind::Updated,
            Kind::Duplicate,
            Kind::Updated,
            Kind::Duplicate,
            Kind::Updated
        ]
    );
    let events = list(&inbox);
    let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each with an id of its own");
}

#[test]
fn a_request_that_is_sent_again_is_not_the_last_word() {
    let bed = Bed::new();
    let inbox = bed.open();
    let signed = |body: &str, triple| Arrival {
        triple: Some(triple),
        ..arrival(1, body)
    };
    append(&bed, &inbox, &signed("{\"a\":1}", 1));
    append(&bed, &inbox, &signed("{\"a\":2}", 2));

    assert_eq!(append(&bed, &inbox, &signed("{\"a\":1}", 1)).kind, Kind::Duplicate);
    assert_eq!(append(&bed, &inbox, &signed("{\"a\":1}", 3)).kind, Kind::Updated);
}

#[test]
fn acts_are_kept_for_their_time() {
    let bed = Bed::new();
    let inbox = bed.open();
    let act = |what: &str| Act {
        at: bed.now(),
        who: "root".to_owned(),
        what: what.to_owned(),
        events: Vec::new(),
    };
    wait(inbox.note(act("reveal"))).unwrap();
    bed.clock.advance(Duration::from_secs(3600));
    wait(inbox.note(act("redeliver"))).unwrap();

    bed.clock.advance(bed.settings.acts - Duration::from_secs(1800));
    wait(inbox.retain()).unwrap();
    let left = wait(inbox.acts(0, 10)).unwrap();
    assert_eq!(
        left.iter().map(|(_, act)| act.what.as_str()).collect::<Vec<_>>(),
        ["redeliver"]
    );
}
