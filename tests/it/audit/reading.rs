//! `audit verify` and `audit find` as a reviewer uses them.

use std::fs;

use serde_json::{Value, json};

use super::bed::Bed;
use crate::support::binary::command;
use crate::support::gateway::{ID_NUMBER, PHONE};
use crate::support::process::{Serve, run};

async fn with_look_ups(bed: &Bed, count: usize) {
    let gateway = bed.settings().start();
    for _ in 0..count {
        assert_eq!(gateway.studies().await.status, 200);
    }
    gateway.stop();
}

#[tokio::test]
async fn what_was_changed_is_told_with_its_file_and_line() {
    let bed = Bed::new().await;
    with_look_ups(&bed, 5).await;
    let (_, sound, _) = bed.audit(&["verify"], "");
    assert!(sound.contains("sound; its end is 8:"), "{sound}");
    let path = bed.files("gateway")[0].clone();
    let name = path.file_name().unwrap().to_str().unwrap();
    let good = fs::read_to_string(&path).unwrap();

    fs::write(&path, good.replacen("\"count\":2", "\"count\":0", 1)).unwrap();
    let (status, out, err) = bed.audit(&["verify"], "");
    assert_eq!(status, 1, "{out}");
    assert!(out.contains(&format!("{name} line 3 (record 3)")), "{out}");
    assert!(err.contains("1 problem"), "{err}");
    let (status, out, err) = bed.audit(&["find"], PHONE);
    assert_eq!(status, 1);
    assert!(
        out.contains("3 (changed)") && err.contains("audit verify"),
        "{out}{err}"
    );

    let lines: Vec<_> = good.lines().collect();
    fs::write(&path, format!("{}\n", lines[..6].join("\n"))).unwrap();
    let (status, out, _) = bed.audit(&["verify", "--json"], "");
    let report: Value = serde_json::from_str(&out).unwrap();
    let problem = &report["trails"][0]["problems"][0];
    assert_eq!(
        (status, &report["sound"], &problem["file"]),
        (1, &json!(false), &json!(name))
    );
    assert!(
        problem["what"]
            .as_str()
            .unwrap()
            .contains("records 7 to 8 are missing at the end"),
        "{out}"
    );
}

#[tokio::test]
async fn an_end_that_was_put_back_whole_is_told_by_the_log_and_the_metric() {
    let bed = Bed::new().await;
    with_look_ups(&bed, 2).await;
    let audit = bed.directory.path().join("audit");
    let keep: Vec<_> = fs::read_dir(&audit)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    let gateway = bed.settings().start();
    assert_eq!(gateway.studies().await.status, 200);
    let log = gateway.stop();
    let end: Value = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .rfind(|line: &Value| line["event.name"] == "audit_end")
        .unwrap();
    let anchor = format!("{}:{}", end["audit.seq"], end["audit.seal"].as_str().unwrap());
    let seq = end["audit.seq"].to_string();
    assert_eq!(
        bed.audit(&["verify", "--anchor", &anchor, "--expect-at-least", &seq], "")
            .0,
        0
    );

    // Everything as it was before that run: in itself it is whole.
    for (bytes, path) in keep {
        fs::write(path, bytes).unwrap();
    }
    bed.assert_sound();
    for arguments in [["verify", "--anchor", &anchor], ["verify", "--expect-at-least", &seq]] {
        let (status, out, _) = bed.audit(&arguments, "");
        assert_eq!(status, 1, "{out}");
    }
    let (status, _, err) = bed.audit(&["verify", "--anchor", "7"], "");
    assert!(status == 2 && err.contains("--anchor"), "{err}");
}

#[tokio::test]
async fn a_retired_key_still_reads_what_was_written_under_it_and_its_absence_is_told() {
    let bed = Bed::with("previous_key_files = \"old.key\"").await;
    let old = bed.directory.path().join("old.key");
    fs::write(&old, "ab".repeat(32)).unwrap();
    with_look_ups(&bed, 2).await;
    // As an operator does it: the key moves, and the next start makes another.
    fs::rename(bed.directory.path().join("audit.key"), &old).unwrap();
    let refused = run(command(&["serve", "--config", &bed.config]), b"");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{told}");
    assert!(told.contains("put it back"), "{told}");
    bed.directory.file("audit.key", "cd".repeat(32));
    let serve = Serve::start(command(&["serve", "--config", &bed.config]));
    let path = "/thirdparty/patientStudies/900001";
    let query = crate::support::gateway::studies_query();
    let answer = crate::support::client::post(serve.lan, path, &[], query.as_bytes()).await;
    assert_eq!(answer.status, 200);
    serve.process.signal("TERM");
    tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();

    assert_eq!(bed.files("gateway").len(), 2);
    assert_eq!(bed.found(ID_NUMBER).len(), 3);
    bed.assert_sound();
    fs::remove_file(&old).unwrap();
    let (status, _, err) = bed.audit(&["verify"], "");
    assert!(status == 78 && err.contains("old.key"), "{err}");
    fs::write(&old, "ef".repeat(32)).unwrap();
    let (status, out, _) = bed.audit(&["verify"], "");
    assert!(status == 1 && out.contains("previous_key_files"), "{out}");
}

#[tokio::test]
async fn what_is_no_number_is_refused_and_not_repeated() {
    let bed = Bed::new().await;
    with_look_ups(&bed, 1).await;
    for wrong in ["张三", "", "13800138000 13900139000"] {
        let (status, out, err) = bed.audit(&["find"], wrong);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(
            err.contains("not one identity number") && (wrong.is_empty() || !err.contains(wrong)),
            "{err}"
        );
    }
    let (status, out, _) = bed.audit(&["find", "--until", "2020-01-01"], PHONE);
    assert_eq!((status, out.as_str()), (0, "no record\n"));
}

#[tokio::test]
async fn a_trail_that_was_touched_is_told_by_the_gateway_itself() {
    let bed = Bed::new().await;
    with_look_ups(&bed, 3).await;
    let path = bed.files("gateway")[0].clone();
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replacen("\"usage\":0", "\"usage\":2", 1)).unwrap();

    let gateway = bed.settings().start();
    while gateway.metric("aimis_audit_problems").await != Some(1.0) {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        gateway.metric("aimis_audit_last_verified_timestamp_seconds").await,
        Some(0.0)
    );
    let log = gateway.stop();
    let damaged = log.lines().find(|line| line.contains("\"audit_damaged\"")).unwrap();
    assert!(damaged.contains("\"audit.line\":3"), "{damaged}");
}
