//! What is wrong with the store, in the words of metric and log.

use super::fleet::{Place, away, is_local, metric, place, platform, sharing, shown};
use super::servers::{Engine, Server};
use crate::support::gateway::Gateway;

/// Waits until the gateway says that the store is away, and why.
async fn told(gateway: &Gateway, word: &str) {
    let places: [Place; 1] = [place(gateway)];
    // No word is said before somebody asks; a question, or the heartbeat.
    away(&places).await;
    gateway.logged("\"event.name\":\"store_away\"").await;
    gateway.logged(&format!("\"error.type\":\"{word}\"")).await;
    let counted = metric(places[0], &format!("aimis_store_faults_total{{error_type=\"{word}\"}}")).await;
    assert!(counted >= 1.0, "{word}: {counted}");
    let answer = gateway.studies().await;
    assert!(is_local(&answer), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_is_told_in_the_word_of_its_cause() {
    // The older one says it within the text of a script's failure.
    for engine in [Engine::Redis6, Engine::Redis7] {
        let platform = platform().await;
        let server = Server::start(engine);
        let settings = sharing(&platform, &format!("\"{}\"", server.url())).with("log", "repeat_interval_ms = 0");
        let mut connection = server.connection();
        let mut say = |words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).exec(&mut connection).unwrap();

        let gateway = settings.start();
        shown(&[place(&gateway)], "aimis_ratelimit_store_up", 1.0).await;
        say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        say(&["CONFIG", "SET", "maxmemory", "1"]);
        told(&gateway, "out_of_memory").await;
        say(&["CONFIG", "SET", "maxmemory", "0"]);
        shown(&[place(&gateway)], "aimis_ratelimit_store_up", 1.0).await;

        say(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        told(&gateway, "no_replicas").await;
        say(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        shown(&[place(&gateway)], "aimis_ratelimit_store_up", 1.0).await;

        // Of nobody: it only has to be a replica.
        say(&["REPLICAOF", "127.0.0.1", "1"]);
        told(&gateway, "read_only").await;
    }
}
