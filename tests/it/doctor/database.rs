//! The inbox in a database: not there yet, there, out of reach, and under another key.

use serde_json::Value;

use super::events::taking_callbacks;
use super::{Patient, assert_broken, finding, platform};
use crate::store::servers::free_port;
use crate::support::gateway::Settings;
use crate::support::postgres;

/// One whose inbox is in this database, under the key in the file of this name.
fn in_database(patient: Patient, url: &str, key: &str) -> Patient {
    let mut patient = taking_callbacks(patient, "http://127.0.0.1:9/events", "");
    let file = |name: &str| patient.directory.path().join(name).display().to_string();
    patient.tenant = patient
        .tenant
        .replace(
            &format!("path = \"{}\"", file("inbox.db")),
            &format!("database_url = \"{url}\""),
        )
        .replace(&file("inbox.key"), key)
        .replace("[tenants.callback]\ntarget = \"http://127.0.0.1:9/events\"\n", "");
    patient
}

fn found(document: &Value) -> (&str, &str) {
    let inbox = finding(document, "inbox");
    (inbox["verdict"].as_str().unwrap(), inbox["found"].as_str().unwrap())
}

#[tokio::test]
async fn an_inbox_in_a_database_is_opened_and_left_as_it_is() {
    let platform = platform().await;
    let (name, url) = postgres::shared().database();
    let patient = Patient::of(&platform);
    let key = patient.directory.file("inbox.key", "1f".repeat(32));
    let other = patient.directory.file("other.key", "2e".repeat(32));
    let patient = in_database(patient, &url, &key);

    let (status, document) = patient.examined(&[]).await;
    let (verdict, told) = found(&document);
    assert_eq!((status, verdict), (0, "ok"), "{document:#}");
    assert!(told.contains("the gateway makes it"), "{told}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'aimis_inbox'";
    assert_eq!(postgres::shared().sql(&name, schemas), "0");

    let gateway = Settings::calling(&platform)
        .with("callback", "listen = \"127.0.0.1:0\"")
        .with("inbox", &format!("database_url = \"{url}\""))
        .with("inbox", &format!("key_file = \"{key}\""))
        .start();
    let (status, document) = patient.examined(&[]).await;
    let (verdict, told) = found(&document);
    assert_eq!((status, verdict), (0, "ok"), "{document:#}");
    assert!(told.starts_with("opened: 0 to be delivered"), "{told}");
    gateway.stop();

    let wrong = in_database(Patient::of(&platform), &url, &other).examined(&[]).await;
    assert_broken(&wrong, "inbox", &[], &["inbox.key_file", "does not start"]);
    let (_, told) = found(&wrong.1);
    assert!(told.contains("need the same files"), "{told}");
    let told = wrong.1.to_string();
    assert!(!told.contains("1f1f") && !told.contains("2e2e"), "{told}");

    let missing = patient.directory.path().join("gone.key").display().to_string();
    let missing = in_database(Patient::of(&platform), &url, &missing).examined(&[]).await;
    assert_broken(&missing, "inbox", &[], &["inbox.key_file"]);
}

#[tokio::test]
async fn a_database_out_of_reach_is_told_by_its_key() {
    let platform = platform().await;
    let patient = Patient::of(&platform);
    let key = patient.directory.file("inbox.key", "1f".repeat(32));
    let url = format!("postgres://aimis@127.0.0.1:{}/inbox?sslmode=disable", free_port());

    let away = in_database(patient, &url, &key).examined(&[]).await;

    assert_broken(&away, "inbox", &[], &["inbox.database_url"]);
    let (_, told) = found(&away.1);
    assert!(
        told.contains("inbox.database_url") && told.contains("127.0.0.1"),
        "{told}"
    );

    let nobody = postgres::shared().url("there_is_no_such_database");
    let patient = Patient::of(&platform);
    let key = patient.directory.file("inbox.key", "1f".repeat(32));
    let nowhere = in_database(patient, &nobody, &key).examined(&[]).await;
    assert_broken(&nowhere, "inbox", &[], &["inbox.database_url"]);
}
