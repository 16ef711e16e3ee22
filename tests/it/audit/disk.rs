//! A process that is killed, and a disk that takes no more.

use std::collections::BTreeSet;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use super::bed::Bed;
use crate::support::binary;
use crate::support::client::{self, Connection, request};
use crate::support::gateway::studies_query;
use crate::support::process::Serve;

const PATH: &str = "/thirdparty/patientStudies/900001";

/// Asks one question after another until the connection breaks, and gives the ids of those that were answered.
async fn ask_on(lan: std::net::SocketAddr, name: usize, told: tokio::sync::mpsc::UnboundedSender<()>) -> Vec<String> {
    let mut answered = Vec::new();
    let mut connection = Connection::open(lan).await;
    for number in 0.. {
        let id = format!("load-{name}-n{number}");
        let bytes = request("POST", PATH, &[("X-Request-Id", &id)], studies_query().as_bytes());
        if connection.send(&bytes).await.is_err() {
            break;
        }
        match connection.answer().await {
            Some(answer) if answer.status == 200 => answered.push(id),
            _ => break,
        }
        let _ = told.send(());
    }
    answered
}

#[tokio::test]
async fn a_kill_under_load_takes_no_record_of_an_answer_that_was_given() {
    let bed = Bed::with("fsync = \"each\"").await;
    let serve = Serve::start(binary::command(&["serve", "--config", &bed.config]));
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let asking: Vec<_> = (0..8)
        .map(|name| tokio::spawn(ask_on(serve.lan, name, told.clone())))
        .collect();
    for _ in 0..200 {
        answers.recv().await.unwrap();
    }
    serve.process.signal("KILL");
    let mut answered = BTreeSet::new();
    for asking in asking {
        answered.extend(asking.await.unwrap());
    }
    tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();

    let recorded = |records: Vec<Value>| -> BTreeSet<String> {
        let request = |record: &Value| record["request"].as_str().unwrap_or_default().to_owned();
        records.iter().map(request).collect()
    };
    let missing: Vec<_> = answered.difference(&recorded(bed.records())).cloned().collect();
    assert!(answered.len() >= 200 && missing.is_empty(), "{missing:?}");
    bed.assert_sound();

    // The next process goes on behind it, whatever half line the last one left.
    let path = bed.files("gateway").pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"seq\":99999,\"time\":\"20"].concat()).unwrap();
    let gateway = bed.settings().start();
    assert_eq!(gateway.studies().await.status, 200);
    let log = gateway.stop();
    assert!(
        log.contains("\"audit_torn\"") && !log.contains("\"audit_anomaly\""),
        "{log}"
    );
    let trails = bed.assert_sound();
    assert_eq!(
        (&trails[0]["unclean_ends"], &trails[0]["torn_bytes"]),
        (&1.into(), &0.into())
    );
}

/// A gateway whose files cannot grow beyond `kib`, as on a disk that is full: the system refuses the write.
fn on_a_small_disk(bed: &Bed, kib: u64) -> Serve {
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -S -f {}; trap '' XFSZ; exec \"$0\" serve --config \"$1\"",
        kib * 2
    );
    command.args(["-c", &script]).arg(binary::path()).arg(&bed.config);
    Serve::start(command)
}

fn make_room(serve: &Serve) {
    let pid = Pid::from_raw(i32::try_from(serve.process.id()).unwrap());
    let none = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, none).unwrap();
}

async fn ask(serve: &Serve) -> client::Answer {
    client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await
}

async fn metric(serve: &Serve, series: &str) -> f64 {
    let text = client::get(serve.telemetry, "/metrics").await.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series}")).parse().unwrap()
}

async fn until(serve: &Serve, series: &str, value: f64) {
    while metric(serve, series).await != value {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn on_a_full_disk_look_ups_go_on_and_their_records_wait() {
    let bed = Bed::new().await;
    let serve = on_a_small_disk(&bed, 8);
    let mut asked = 0;
    while metric(&serve, "aimis_audit_failing").await != 1.0 {
        assert_eq!(ask(&serve).await.status, 200);
        asked += 1;
    }
    for _ in 0..20 {
        assert_eq!(ask(&serve).await.status, 200);
    }
    asked += 20;
    serve.process.event("audit_failing");
    make_room(&serve);
    until(&serve, "aimis_audit_failing", 0.0).await;
    until(
        &serve,
        "aimis_audit_records_total{result=\"written\"}",
        f64::from(asked),
    )
    .await;
    assert_eq!(metric(&serve, "aimis_audit_records_total{result=\"lost\"}").await, 0.0);
    serve.process.event("audit_works");
    serve.process.signal("TERM");
    tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();

    assert_eq!(bed.records().len(), asked as usize);
    bed.assert_sound();
}

#[tokio::test]
async fn on_a_full_disk_look_ups_are_refused_where_nobody_may_look_without_a_record() {
    for fsync in ["each", "interval"] {
        let bed = Bed::with(&format!(
            "on_failure = \"refuse\"\nfsync = \"{fsync}\"\nmax_wait_ms = 60000"
        ))
        .await;
        let serve = on_a_small_disk(&bed, 8);
        let mut answered = 0;
        while metric(&serve, "aimis_audit_failing").await != 1.0 {
            answered += usize::from(ask(&serve).await.status == 200);
        }
        let refused = ask(&serve).await;
        assert_eq!((refused.status, refused.code()), (503, 800_202));
        assert!(refused.header("retry-after").is_some());
        assert!(refused.text().contains("审计"), "{}", refused.text());
        assert!(metric(&serve, "aimis_audit_records_total{result=\"refused\"}").await >= 1.0);

        make_room(&serve);
        until(&serve, "aimis_audit_failing", 0.0).await;
        assert_eq!(ask(&serve).await.status, 200);
        serve.process.signal("TERM");
        tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();
        // Each answer has its record; one that was refused at the last moment may have one, too.
        let records = bed.records().len();
        assert!(
            (answered + 1..=answered + 2).contains(&records),
            "{records} of {answered}"
        );
        bed.assert_sound();
    }
}

#[tokio::test]
async fn what_is_lost_at_the_end_on_a_full_disk_is_told() {
    let bed = Bed::new().await;
    let serve = on_a_small_disk(&bed, 8);
    while metric(&serve, "aimis_audit_failing").await != 1.0 {
        assert_eq!(ask(&serve).await.status, 200);
    }
    serve.process.signal("TERM");
    let ended = tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();
    assert!(ended.stdout.contains("\"audit_lost\""), "{}", ended.stdout);

    // Half a line is on the disk; the next process goes on all the same.
    let gateway = bed.settings().start();
    assert_eq!(gateway.studies().await.status, 200);
    gateway.stop();
    bed.assert_sound();
}
