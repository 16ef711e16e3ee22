//! A database that hangs: its processes stand still, its sockets are open, and nobody says anything.

use aimis_simulator::{Account, Callback, CallbackSender};
use tokio::task::block_in_place;

use super::database::{Fleet, TENANT, told_away};
use crate::support::postgres::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_refuses_callbacks_in_time_and_holds_up_no_stop() {
    let server = Server::new("", &[]);
    let (_, url) = server.database();
    let fleet = Fleet::new(&url).await;
    // All other bounds are longer than this test waits for anything.
    let text = std::fs::read_to_string(&fleet.config)
        .unwrap()
        .replace(
            "database_statement_timeout_ms = 500",
            "database_statement_timeout_ms = 60000",
        )
        .replace(
            "database_connect_timeout_ms = 1000",
            "database_connect_timeout_ms = 60000",
        )
        .replace(
            "[inbox]\n",
            "[inbox]\ndatabase_answer_timeout_ms = 1500\ndatabase_tcp_user_timeout_ms = 600000\n",
        );
    std::fs::write(&fleet.config, text).unwrap();
    let gateway = fleet.start();
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    let send = async |study: &str| sender.send(&Callback::demo().study(study)).await.unwrap();
    assert!(send("S1").await.is_received());

    let hung = server.hang();
    let replies = [send("S2").await, send("S3").await];
    for reply in replies {
        assert_eq!((reply.status, reply.code), (503, Some(800_202)));
        let again = reply
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        assert_eq!(again.map(|(_, value)| &value[..]), Some("5"));
    }
    told_away(&gateway).await;
    gateway.process.signal("TERM");
    let ended = block_in_place(|| gateway.process.ended());

    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stdout.matches("\"event.name\":\"inbox_lost\"").count(),
        1,
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("\"error.type\":\"timeout\""), "{}", ended.stdout);
    drop(hung);

    // Nothing is lost, and what is sent again is there once.
    let gateway = fleet.start();
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    for study in ["S1", "S2", "S3"] {
        let reply = sender.send(&Callback::demo().study(study)).await.unwrap();
        assert!(reply.is_received(), "{study}");
    }
    gateway.process.signal("TERM");
    assert_eq!(block_in_place(|| gateway.process.ended()).status.code(), Some(0));
}
