//! A synchronous standby that is away: the database keeps every commit until it has told the standby.

use aimis_simulator::{Account, Callback, CallbackSender};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::database::{Fleet, TENANT};
use crate::support::client::PATIENCE;
use crate::support::postgres::Server;

/// Callbacks whose commits are given up.
const REFUSED: usize = 5;
/// Those of one gateway that wait for a standby.
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'aimis'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_given_up_leave_nothing_at_the_server() {
    let server = Server::new("", &[]);
    let (database, url) = server.database();
    let fleet = Fleet::new(&url).await;
    // A stop waits less long than whoever gives a commit up.
    let text = std::fs::read_to_string(&fleet.config).unwrap().replace(
        "database_statement_timeout_ms = 500",
        "database_answer_timeout_ms = 1000\ndatabase_statement_timeout_ms = 1000",
    );
    std::fs::write(&fleet.config, text).unwrap();
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
        for number in 0.. {
            let callback = Callback::demo().study(&format!("S{number}"));
            let reply = sender.send(&callback).await.unwrap();
            if !reply.is_received() {
                assert_eq!((reply.status, reply.code), (503, Some(800_202)));
                refused.push(callback);
            }
            if refused.len() == REFUSED {
                break;
            }
        }
        while !block_in_place(|| server.sql(&database, WAITING)).trim().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, given_up)
        .await
        .expect("nothing waits for the standby any more");

    // What was leased while nothing could be committed was not sent, and is not worn out by it.
    let attempts =
        block_in_place(|| server.sql(&database, "SELECT coalesce(max(attempts), 0) FROM aimis_inbox.events"));
    assert!(attempts.trim().parse::<u32>().unwrap() <= 1, "{attempts} attempts");
    // Nor does a gateway leave anything that stops while a commit waits.
    let last = Callback::demo().study("last");
    let sending = sender.send(&last);
    let stopping = async {
        while block_in_place(|| server.sql(&database, WAITING)).trim().is_empty() {
            tokio::task::yield_now().await;
        }
        gateway.process.signal("TERM");
    };
    let (sent, ()) = tokio::join!(sending, stopping);
    assert!(!sent.is_ok_and(|reply| reply.is_received()));
    let ended = block_in_place(|| gateway.process.ended());
    assert_eq!(ended.status.code(), Some(0));
    let log = ended.stdout;
    // Whoever reads the log learns that it is the commit that is waited for.
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"callback_not_stored\""))
        .collect();
    assert!(!told.is_empty(), "{log}");
    for line in told {
        assert!(line.contains("\"error.type\":\"commit_unconfirmed\""), "{line}");
    }
    assert_eq!(block_in_place(|| server.sql(&database, WAITING)).trim(), "");
    refused.push(last);

    // Of what was refused the database may have some: it is taken when it is sent again, and is there once.
    set("");
    let gateway = fleet.start();
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
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
