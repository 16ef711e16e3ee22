//! A server that answers and confirms no commit, since its synchronous standby is away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::append;
use crate::callback::inbox::postgres::testing::{DatabaseBed, server};
use crate::callback::inbox::testing::{arrival, north};
use crate::callback::inbox::{AppendError, Inbox, InboxError, Kind};

/// Longer than it takes until a commit is given up.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_commit_is_told_that_it_is_not_confirmed() {
    let server = tokio::task::block_in_place(|| server::Server::new("", &[]));
    let (database, url) = server.database();
    let mut bed = DatabaseBed::at(database, &url);
    bed.settings.reach.statement_timeout = Duration::from_secs(1);
    bed.settings.reach.answer_timeout = LONG;
    let inbox = tokio::task::block_in_place(|| bed.open());
    let event = || arrival(1, "a").event(inbox.tags(), bed.clock.now());
    let standby = |name: &str| {
        tokio::task::block_in_place(|| {
            let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
            server.sql("postgres", &set);
            server.sql("postgres", "SELECT pg_reload_conf()");
        });
    };
    standby("nobody");
    // Not every process of the server knows it at once.
    while inbox.park(&north()).await.is_ok() {}

    let (first, parked) = tokio::join!(inbox.append(event()), inbox.park(&north()));
    // On a new connection, to which nothing is known to have been refused.
    let second = inbox.append(event()).await;

    let unconfirmed = AppendError::Inbox(InboxError::Unconfirmed);
    assert_eq!(first.map(|appended| appended.kind), Err(unconfirmed));
    assert_eq!(second.map(|appended| appended.kind), Err(unconfirmed));
    assert_eq!(parked, Err(InboxError::Unconfirmed));
    assert_eq!(bed.lost.load(Ordering::Relaxed), 0, "it answers");
    standby("");
    tokio::task::block_in_place(|| {
        while append(&bed, &inbox, 2, "b") != Ok(Kind::Accepted) {
            std::thread::yield_now();
        }
    });
}
