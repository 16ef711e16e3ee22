//! A synchronous standby that is away: the database keeps every commit until it has told the standby.

use std::collections::HashSet;

use aimis_simulator::{Account, Callback, CallbackSender};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::database::{Fleet, TENANT};
use crate::support::client::PATIENCE;
use crate::support::postgres::Server;

/// Connections of one gateway on which something may be committed.
const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_given_up_leave_nothing_at_the_server() {
    let server = Server::new("", &[]);
    let (database, url) = server.database();
    let fleet = Fleet::new(&url).await;
    let gateway = fleet.start();
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    let set = |to: &str| {
        block_in_place(|| {
            server.sql(
                "postgres",
                &format!("ALTER SYSTEM SET synchronous_standby_names = '{to}'"),
            );
            server.sql("postgres", "SELECT pg_reload_conf()");
        });
    };
    set("nobody");

    let mut refused = Vec::new();
    let given_up = async {
        let mut seen = HashSet::new();
        for number in 0.. {
            let callback = Callback::demo().study(&format!("S{number}"));
            let reply = sender.send(&callback).await.unwrap();
            if !reply.is_received() {
                assert_eq!((reply.status, reply.code), (503, Some(800_202)));
                refused.push(callback);
            }
            let waiting = block_in_place(|| {
                server.sql(
                    &database,
                    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'aimis'",
                )
            });
            let waiting: Vec<String> = waiting.lines().map(str::to_owned).collect();
            assert!(
                waiting.len() <= CONNECTIONS,
                "{} commits wait for nobody",
                waiting.len()
            );
            seen.extend(waiting);
            if seen.len() > CONNECTIONS {
                return;
            }
        }
    };
    timeout(PATIENCE, given_up).await.expect("commits are given up in time");

    // Of what was refused the database may have some: it is taken when it is sent again, and is there once.
    set("");
    let taken = async {
        for callback in &refused {
            while !sender.send(callback).await.unwrap().is_received() {}
        }
    };
    timeout(PATIENCE, taken)
        .await
        .expect("the database takes it again in time");
    let events = block_in_place(|| {
        server.sql(
            &database,
            "SELECT count(DISTINCT study), count(*) FROM aimis_inbox.events",
        )
    });
    let (studies, all) = events.trim().split_once('|').unwrap();
    assert_eq!(studies, all);
    gateway.process.signal("TERM");
    assert_eq!(block_in_place(|| gateway.process.ended()).status.code(), Some(0));
}
