//! `aimis-gateway inbox`: what an operator sees of the inbox and does with it, beside a gateway and without one.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use aimis_simulator::{Account, Callback, CallbackSender, Fault, His, Platform, PlatformOptions};
use serde_json::{Value, json};

use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings};
use crate::support::postgres;
use crate::support::process::run;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const TENANT: &str = "first-hospital";

/// An inbox, and the configuration that names it.
struct Bed {
    platform: Platform,
    directory: Directory,
    config: String,
}

impl Bed {
    async fn new() -> Self {
        let directory = Directory::new();
        let token = directory.file("token", TOKEN);
        let file = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "[callback]\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n\
             [[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n",
            file("inbox.db"),
            file("inbox.key"),
        );
        let config = directory.file("gateway.toml", text);
        Self {
            platform: Platform::start(PlatformOptions::default()).await.unwrap(),
            directory,
            config,
        }
    }

    /// A gateway on the inbox.
    fn settings(&self) -> Settings {
        Settings::calling(&self.platform)
            .callbacks(&self.directory)
            .with("drain", "delay_ms = 0")
    }

    /// Events of as many studies, in the inbox of a gateway that has stopped.
    async fn with_events(count: usize) -> Self {
        let bed = Self::new().await;
        let gateway = bed.settings().start();
        for n in 0..count {
            call_back(&gateway, &Callback::demo().study(&format!("S{n}"))).await;
        }
        gateway.stop();
        bed
    }

    /// Runs a command: its exit status, standard output and standard error.
    fn inbox(&self, arguments: &[&str]) -> (i32, String, String) {
        let (name, rest) = arguments.split_first().unwrap();
        let mut all = vec!["inbox", name, "--config", &self.config];
        all.extend(rest);
        let output = run(command(&all), b"");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Runs a command that has to succeed, with `--json`.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let (status, out, err) = self.inbox(&arguments);
        assert_eq!(status, 0, "{out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    #[track_caller]
    fn events(&self) -> Vec<Value> {
        self.json(&["list"])["events"].as_array().unwrap().clone()
    }

    #[track_caller]
    fn ids(&self) -> Vec<String> {
        let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
        self.events().iter().map(id).collect()
    }

    #[track_caller]
    fn states(&self) -> Vec<String> {
        let state = |event: &Value| event["state"].as_str().unwrap().to_owned();
        self.events().iter().map(state).collect()
    }

    #[track_caller]
    fn acts(&self) -> Vec<Value> {
        self.json(&["acts"])["acts"].as_array().unwrap().clone()
    }
}

async fn call_back(gateway: &Gateway, callback: &Callback) {
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    assert!(sender.send(callback).await.unwrap().is_received());
}

/// Nothing of the patient or the study.
#[track_caller]
fn is_masked(text: &str) {
    for word in [PHONE, ID_NUMBER, "\"S0\"", "CT", "http", "张"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[tokio::test]
async fn events_are_listed_and_shown_without_what_is_in_them() {
    let bed = Bed::with_events(3).await;
    let ids = bed.ids();

    let (status, table, _) = bed.inbox(&["list", "--limit", "2"]);
    let (_, rest, _) = bed.inbox(&["list", "--after", &ids[1]]);
    let (_, shown, _) = bed.inbox(&["show", &ids[0]]);
    let json = bed.json(&["show", &ids[0]]);
    let (_, lines, _) = bed.inbox(&["export"]);
    let stats = bed.json(&["stats"]);

    assert_eq!(status, 0);
    assert!(table.contains(&ids[0]) && table.contains(&ids[1]) && !table.contains(&format!("{}  ", ids[2])));
    assert!(table.contains(&format!("--after {}", ids[1])), "{table}");
    assert!(rest.contains(&ids[2]) && !rest.contains(&ids[1]), "{rest}");
    assert!(
        shown.contains(&ids[0]) && shown.contains("verified    signed"),
        "{shown}"
    );
    assert_eq!((&json["state"], &json["tenant"]), (&json!("ready"), &json!(TENANT)));
    assert_eq!(lines.lines().count(), 3);
    for text in [&table, &rest, &shown, &lines, &json.to_string(), &stats.to_string()] {
        is_masked(text);
    }
    assert_eq!(
        stats["items"],
        json!([{"tenant": TENANT, "state": "ready", "events": 3}])
    );
    assert!(bed.acts().is_empty(), "nothing was revealed or changed");
}

#[tokio::test]
async fn events_are_chosen_by_id_tenant_state_and_time() {
    let bed = Bed::with_events(3).await;
    let ids = bed.ids();
    let count = |arguments: &[&str]| {
        let arguments = [&["list"], arguments].concat();
        bed.json(&arguments)["events"].as_array().unwrap().len()
    };

    assert_eq!(count(&[&ids[0], &ids[2]]), 2);
    assert_eq!(count(&["--tenant", TENANT, "--state", "ready,dead"]), 3);
    assert_eq!(count(&["--state", "dead"]), 0);
    assert_eq!(count(&["--since", "1h"]), 3);
    assert_eq!(count(&["--until", "1h"]), 0);
    assert_eq!(count(&["--since", "2020-01-01", "--until", "2020-12-31"]), 0);
    for (arguments, complaint) in [
        (&["list", PHONE][..], "not an event's id"),
        (&["list", "--tenant", "first-hospitl"], "did you mean first-hospital?"),
        (&["list", "--state", "gone"], "ready, in_flight"),
        (&["list", "--since", "yesterday"], "--since: not a moment"),
        (&["show", "evt_1"], "not an event's id"),
        (&["redeliver", "--yes"], "--all"),
        (&["purge", "--state", "dead"], "purge is for events that are delivered"),
        (&["export", "--reveal"], "--output"),
    ] {
        let (status, out, err) = bed.inbox(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?} {err}");
        assert!(err.contains(complaint), "{err}");
        assert!(!err.contains(PHONE), "{err}");
    }
}

#[tokio::test]
async fn what_is_in_an_event_is_shown_only_to_who_is_noted() {
    let bed = Bed::with_events(2).await;
    let ids = bed.ids();
    let file = bed.directory.path().join("export.jsonl");
    let file_name = file.display().to_string();

    let (_, shown, _) = bed.inbox(&["show", &ids[0], "--reveal"]);
    let json = bed.json(&["show", &ids[0], "--reveal"]);
    let exported = bed.json(&["export", "--reveal", "--output", &file_name]);
    let (again, _, complaint) = bed.inbox(&["export", "--output", &file_name]);

    assert!(shown.contains(PHONE) && shown.contains(ID_NUMBER), "{shown}");
    assert_eq!(json["payload"]["phoneNum"], PHONE);
    assert_eq!(exported, json!({"events": 2, "unreadable": 0}));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = std::fs::read_to_string(&file).unwrap();
    let studies = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["payload"]["studyId"].as_str().unwrap().to_owned()
    });
    assert_eq!(studies.collect::<Vec<_>>(), ["S0", "S1"]);
    assert!(again == 2 && complaint.contains("left as it is"), "{complaint}");
    let acts = bed.acts();
    let what: Vec<_> = acts
        .iter()
        .map(|act| (act["what"].as_str().unwrap(), act["events"].clone()))
        .collect();
    assert_eq!(
        what,
        [
            ("show --reveal", json!([ids[0]])),
            ("show --reveal", json!([ids[0]])),
            ("export --reveal", json!(ids)),
        ]
    );
    assert!(
        acts.iter().all(|act| act["who"].as_str().unwrap().starts_with("uid ")),
        "{acts:?}"
    );
}

#[tokio::test]
async fn a_running_gateway_delivers_what_a_command_redelivers() {
    let bed = Bed::new().await;
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    his.set_fault(Fault::Status {
        code: 400,
        envelope: false,
    });
    let gateway = bed
        .settings()
        .with("delivery", "schedule_ms = [1]\nprobe_ms = 1\njitter_percent = 0")
        .of_tenant(&format!("callback.target = \"{}\"", his.url()))
        .start();
    call_back(&gateway, &Callback::demo()).await;
    his.wait_for_deliveries(2).await;
    while bed.states() != ["dead"] {}
    his.clear_faults();

    let (status, preview, _) = bed.inbox(&["redeliver", "--all"]);
    let unchanged = bed.states();
    let done = bed.json(&["redeliver", "--all", "--per-minute", "600", "--yes"]);
    // Nobody tells the gateway but the inbox itself.
    his.wait_for_deliveries(3).await;
    while bed.states() != ["delivered"] {}

    assert_eq!(status, 0);
    for words in [
        "1 event(s) match: dead 1",
        "received from ",
        "would be put into the queue again",
        "--yes",
    ] {
        assert!(preview.contains(words), "{preview}");
    }
    assert_eq!(unchanged, ["dead"]);
    assert_eq!((&done["changed"], &done["states"]), (&json!(1), &json!({"dead": 1})));
    assert_eq!(his.accepted().len(), 1);
    assert_eq!(bed.acts()[0]["what"], "redeliver");
    gateway.stop();
    let purged = bed.json(&["purge", "--all", "--yes"]);
    assert_eq!(purged["changed"], 1);
    assert!(bed.events().is_empty());
}

#[tokio::test]
async fn quarantined_events_are_released_or_dropped() {
    let bed = Bed::new().await;
    let gateway = bed.settings().with("callback", "link_hosts = \"only.example\"").start();
    for study in ["A", "B"] {
        call_back(&gateway, &Callback::demo().study(study)).await;
    }
    gateway.stop();
    let ids = bed.ids();

    let reason = bed.events()[0]["reason"].clone();
    let released = bed.json(&["release", &ids[0], "--yes"]);
    let (again, _, complaint) = bed.inbox(&["release", &ids[0], "--yes"]);
    let dropped = bed.json(&["drop", "--state", "quarantined", "--yes"]);
    let (live, _, _) = bed.inbox(&["drop", &ids[0], "--yes"]);

    assert_eq!(reason, "link_host");
    assert_eq!((&released["changed"], &dropped["changed"]), (&json!(1), &json!(1)));
    assert!(
        again == 1 && complaint.contains("no event that is quarantined"),
        "{complaint}"
    );
    assert_eq!(live, 1, "what is to be delivered is never dropped");
    assert_eq!(bed.ids(), ids[..1]);
    assert_eq!(bed.states(), ["ready"]);
}

#[tokio::test]
async fn a_tenant_that_is_parked_gets_nothing_until_it_is_resumed() {
    let bed = Bed::new().await;
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let target = format!("callback.target = \"{}\"", his.url());
    bed.settings().start().stop();

    let parked = bed.json(&["park", TENANT]);
    let gateway = bed.settings().of_tenant(&target).start();
    call_back(&gateway, &Callback::demo()).await;
    let stats = bed.json(&["stats"]);
    let resumed = bed.json(&["resume", TENANT]);
    his.wait_for_deliveries(1).await;

    assert_eq!(parked, json!({"tenant": TENANT, "parked": true, "changed": true}));
    assert_eq!(stats["parked"], json!([TENANT]));
    assert_eq!(resumed["changed"], true);
    assert_eq!(bed.json(&["resume", TENANT])["changed"], false);
    assert_eq!(his.delivery_count(), 1);
}

#[tokio::test]
async fn damage_and_keys_that_are_missing_are_found() {
    let bed = Bed::with_events(3).await;
    let database = bed.directory.path().join("inbox.db");
    let (sound, text, _) = bed.inbox(&["verify"]);
    let key = bed.directory.path().join("inbox.key");
    let kept = std::fs::read(&key).unwrap();

    std::fs::write(&key, "11".repeat(32)).unwrap();
    let (wrong_key, _, complaint) = bed.inbox(&["verify"]);
    let (list, _, _) = bed.inbox(&["list"]);
    std::fs::write(&key, kept).unwrap();
    damage(&database);
    let (damaged, found, _) = bed.inbox(&["verify"]);

    assert_eq!(sound, 0);
    assert!(text.contains("3 event(s) read, 3 opened"), "{text}");
    assert!(wrong_key == 1 && complaint.contains("put it back"), "{complaint}");
    assert_eq!(list, 78);
    assert_eq!(damaged, 1);
    assert!(found.contains("3 event(s) read, 2 opened"), "{found}");
    assert!(found.contains(" does not open"), "{found}");
}

/// Changes one byte of one sealed payload.
fn damage(database: &PathBuf) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sealed: Vec<u8> = connection
        .query_row("SELECT sealed FROM payloads ORDER BY seq LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let mut changed = sealed.clone();
    changed[20] ^= 1;
    connection
        .execute("UPDATE payloads SET sealed = ?1 WHERE sealed = ?2", (&changed, &sealed))
        .unwrap();
}

#[tokio::test]
async fn an_inbox_that_is_not_there_is_told() {
    let bed = Bed::new().await;

    for name in ["list", "stats", "verify", "export"] {
        let (status, out, err) = bed.inbox(&[name]);
        assert_eq!((status, out.as_str()), (78, ""), "{name}");
        assert!(err.contains("inbox.db: no such file"), "{err}");
    }
}

#[tokio::test]
async fn an_inbox_is_copied_into_a_database_and_back_as_it_is() {
    let mut bed = Bed::with_events(3).await;
    let ids = bed.ids();
    bed.json(&["show", &ids[0], "--reveal"]);
    bed.json(&["park", TENANT]);
    let seen = |bed: &Bed| {
        (
            bed.events(),
            bed.json(&["acts"]),
            bed.json(&["stats"])["parked"].clone(),
        )
    };
    let before = seen(&bed);
    let file = bed.directory.path().join("inbox.db").display().to_string();
    let text = std::fs::read_to_string(&bed.config).unwrap();
    let in_file = bed.config.clone();
    let (_, url) = postgres::shared().database();
    let database = text.replace(&format!("path = \"{file}\""), &format!("database_url = \"{url}\""));
    bed.config = bed.directory.file("database.toml", database);

    let copied = bed.json(&["copy", "--from", &file]);
    assert_eq!((&copied["events"], &copied["with_content"]), (&json!(3), &json!(3)));
    assert_eq!(seen(&bed), before);
    assert_eq!(bed.json(&["verify"])["ok"], true);

    // Not over anything, and not under a gateway.
    let (status, _, told) = bed.inbox(&["copy", "--from", &file]);
    assert!(status == 1 && told.contains("an empty one only"), "{status} {told}");

    let back = bed.directory.path().join("back.db").display().to_string();
    // Where nothing is copied, nothing is left.
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let server = postgres::shared();
    server.sql(name, "INSERT INTO aimis_inbox.signatures VALUES ('a', 'b', 1, 1); ALTER TABLE aimis_inbox.signatures RENAME TO elsewhere");
    let nowhere = bed
        .directory
        .path()
        .join("not")
        .join("there")
        .join("back.db")
        .display()
        .to_string();
    let (status, _, told) = bed.inbox(&["copy", "--to", &nowhere]);
    assert!(status == 1 && told.contains("nothing was copied"), "{status} {told}");
    assert!(!bed.directory.path().join("not").exists());
    server.sql(
        name,
        "ALTER TABLE aimis_inbox.elsewhere RENAME TO signatures; DELETE FROM aimis_inbox.signatures WHERE triple = 'a'",
    );

    bed.json(&["copy", "--to", &back]);
    bed.config = bed.directory.file("back.toml", text.replace(&file, &back));
    assert_eq!(seen(&bed), before);
    assert_eq!(bed.json(&["verify"])["ok"], true);
    bed.config = in_file;
    assert_eq!(seen(&bed), before, "the source is as it was");
}
