//! A server that says nothing: its own bounds are no help then, and none of them may be waited for.

use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;

use super::append;
use crate::callback::inbox::postgres::Postgres;
use crate::callback::inbox::postgres::testing::{DatabaseBed, server};
use crate::callback::inbox::testing::{arrival, north};
use crate::callback::inbox::{AppendError, Inbox, InboxError, Kind};

/// Far below all bounds of the beds below but the one that is looked at.
const PATIENCE: Duration = Duration::from_secs(60);

fn bed(server: &server::Server) -> DatabaseBed {
    let (database, url) = server.database();
    let mut bed = DatabaseBed::at(database, &url);
    let reach = &mut bed.settings.reach;
    reach.answer_timeout = Duration::from_millis(300);
    let long = Duration::from_secs(600);
    (reach.connect_timeout, reach.statement_timeout, reach.lock_timeout) = (long, long, long);
    (reach.read_timeout, reach.tcp_user_timeout) = (long, long);
    bed
}

/// Ends it on a thread of its own, and waits for that.
fn close(inbox: Postgres) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(inbox);
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("it ends in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_noticed_within_the_bound_by_whoever_waits() {
    let server = tokio::task::block_in_place(|| server::Server::new("", &[]));
    let bed = bed(&server);
    let inbox = tokio::task::block_in_place(|| bed.open());
    let event = |body: &str| arrival(1, body).event(inbox.tags(), bed.clock.now());
    assert_eq!(inbox.append(event("a")).await.unwrap().kind, Kind::Accepted);

    let hung = server.hang();
    let all = async {
        let (append, lease, list) = tokio::join!(
            inbox.append(event("b")),
            inbox.lease(&north(), 1, Duration::from_secs(60)),
            inbox.list(Default::default(), None, 9),
        );
        assert_eq!(append.err(), Some(AppendError::Inbox(InboxError::Late)));
        assert_eq!(lease.err(), Some(InboxError::Late));
        assert_eq!(list.err(), Some(InboxError::Late));
        // Not only while its connections seem to be there.
        let again = inbox.append(event("b")).await;
        assert_eq!(again.err(), Some(AppendError::Inbox(InboxError::Late)));
        while bed.lost.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("nobody hangs");
    assert_eq!(bed.lost.load(Ordering::Relaxed), 1, "told once");
    tokio::task::block_in_place(|| close(inbox));
    drop(hung);

    // What was given up may have been stored or not; sent again, it is there once.
    let inbox = tokio::task::block_in_place(|| bed.open());
    let event = arrival(1, "b").event(inbox.tags(), bed.clock.now());
    inbox.append(event).await.unwrap();
    assert_eq!(inbox.list(Default::default(), None, 9).await.unwrap().len(), 2);
}

#[test]
fn an_inbox_that_hangs_ends_all_the_same() {
    let server = server::Server::new("", &[]);
    let bed = bed(&server);
    let inbox = bed.open();
    append(&bed, &inbox, 1, "a").unwrap();

    let _hung = server.hang();
    // Under way, and nobody waits for it any more.
    assert!(
        inbox
            .lease(&north(), 1, Duration::from_secs(60))
            .now_or_never()
            .is_none()
    );
    assert!(inbox.stats().now_or_never().is_none());
    close(inbox);
}
