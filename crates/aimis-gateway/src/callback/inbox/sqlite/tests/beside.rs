//! A command beside the gateway: what it does is noticed, and it is not in the way.

use crate::callback::event::EventId;
use crate::callback::inbox::sqlite::Role;
use crate::callback::inbox::testing::{Bed, append, arrival, lease, north, wait};
use crate::callback::inbox::{Act, Filter, Inbox, Outcome, Pace, Reason, Run};

#[test]
fn what_a_command_redelivers_is_noticed_by_the_gateway() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    let (leased, _) = lease(&inbox, 1).remove(0);
    let dead = Outcome::Dead {
        reason: Reason::word("dead"),
    };
    wait(inbox.settle(leased, dead)).unwrap();
    let mut changes = inbox.changes();

    let command = bed.try_open(Role::Command).unwrap();
    let touched = wait(command.redeliver(Filter::default(), Pace::default(), Run::Real)).unwrap();
    drop(command);

    assert_eq!(touched.changed, 1);
    wait(changes.changed()).unwrap();
    assert_eq!(lease(&inbox, 1).len(), 1);
}

#[test]
fn a_command_leaves_the_log_to_the_gateway() {
    let bed = Bed::new();
    let inbox = bed.open();
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));
    let log = std::path::PathBuf::from(format!("{}-wal", bed.settings.path.display()));
    let before = std::fs::metadata(&log).unwrap().len();

    drop(bed.try_open(Role::Command).unwrap());

    assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
    assert_eq!(lease(&inbox, 1).len(), 1);
}

#[test]
fn a_tenant_that_is_parked_gets_nothing_until_it_is_resumed() {
    let bed = Bed::new();
    let inbox = bed.open();

    assert_eq!(wait(inbox.park(&north())), Ok(true));
    assert_eq!(wait(inbox.park(&north())), Ok(false));
    append(&bed, &inbox, &arrival(1, "{\"a\":1}"));

    assert!(lease(&inbox, 1).is_empty());
    assert_eq!(wait(inbox.stats()).unwrap().parked, [north()]);
    assert_eq!(wait(inbox.resume(&north())), Ok(true));
    assert_eq!(lease(&inbox, 1).len(), 1);
}

#[test]
fn acts_are_kept_in_their_order() {
    let bed = Bed::new();
    let inbox = bed.open();
    let act = |what: &str, events: u8| Act {
        at: bed.now(),
        who: "uid=0 (root)".to_owned(),
        what: what.to_owned(),
        events: (0..events).map(|n| EventId::from_bytes([n; 16])).collect(),
    };
    let acts = [act("reveal", 2), act("park", 0), act("purge", 9)];

    for act in &acts {
        wait(inbox.note(act.clone())).unwrap();
    }
    drop(inbox);

    let inbox = bed.open();
    let kept = wait(inbox.acts(0, 10)).unwrap();
    assert_eq!(kept.iter().map(|(_, act)| act.clone()).collect::<Vec<_>>(), acts);
    let rest = wait(inbox.acts(kept[0].0, 1)).unwrap();
    assert_eq!(rest, [(kept[1].0, acts[1].clone())]);
}
