//! The keys of audit trail and inbox are changed while both are written, and nothing is lost for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Callback, CallbackSender, Platform};
use serde_json::Value;

use crate::log_fields::checked;
use crate::reload::{Load, platform};
use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, Settings};
use crate::support::process::run;

const SUCCESSFUL: &str = "aimis_config_last_reload_successful";
const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// A gateway with both, and the configuration that names the keys before as well.
struct Bed {
    _platform: Platform,
    directory: Directory,
    base: Settings,
    overlap: Settings,
    gateway: Gateway,
}

impl Bed {
    async fn new() -> Self {
        let (platform, directory) = (platform().await, Directory::new());
        directory.file("audit.key", OLD);
        directory.file("inbox.key", OLD);
        let base = Settings::calling(&platform)
            .audited(&directory)
            .callbacks(&directory)
            .with("audit", "fsync = \"each\"")
            .with("runtime", "workers = 2")
            .with("drain", "delay_ms = 0");
        let previous = |name: &str| format!("previous_key_files = [\"{name}\"]");
        let overlap = base
            .clone()
            .with("audit", &previous("audit.old.key"))
            .with("inbox", &previous("inbox.old.key"));
        Self {
            gateway: base.start_in(&directory),
            base,
            overlap,
            directory,
            _platform: platform,
        }
    }

    /// As an operator does it: the key moves, and another takes its place.
    async fn change(&self) -> Result<(), String> {
        for part in ["audit", "inbox"] {
            let file = |name: &str| self.directory.path().join(format!("{part}{name}"));
            fs::rename(file(".key"), file(".old.key")).unwrap();
            fs::write(file(".key"), NEW).unwrap();
        }
        self.overlap.write(&self.directory);
        self.gateway.reload().await
    }

    async fn callback(&self, study: &str) {
        let url = format!("http://{}/callback/first-hospital", self.gateway.callback.unwrap());
        // Before the load began: with the time of one of our own questions it would be taken for a reflection.
        let then = Clock::system().now().as_millis() - 60_000;
        let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
        let sender = sender.forge_timestamp(&then.to_string());
        let delivery = sender.send(&Callback::demo().study(study)).await.unwrap();
        assert!(delivery.is_received(), "{delivery:?}");
    }
}

/// Runs a command line on what is there: its status and what it printed.
fn cli(directory: &Directory, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let config = directory.path().join("gateway.toml").display().to_string();
    let (command_line, rest) = arguments.split_at(arguments.len().min(2));
    let all = [command_line, &["--config", &config], rest].concat();
    let output = run(command(&all), input.as_bytes());
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_under_load_and_what_was_before_still_opens() {
    let bed = Bed::new().await;
    let load = Load::start(&bed.gateway, 4);
    load.more(10).await;
    bed.callback("before").await;

    bed.change().await.unwrap();
    // Another reload with the same keys is none.
    bed.gateway.reload().await.unwrap();
    load.more(10).await;
    bed.callback("behind").await;

    let asked = load.end().await;
    let lines = checked(&bed.gateway.stop());
    let rotated: Vec<_> = lines
        .iter()
        .filter(|line| line["event.name"] == "key_rotated")
        .collect();
    let keys: Vec<_> = rotated.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["audit.key_file", "inbox.key_file"]);
    assert!(rotated.iter().all(|line| line["key.id"] != line["key.id.before"]));

    let (status, told) = cli(&bed.directory, &["audit", "verify"], "");
    assert_eq!(status, Some(0), "{told}");
    let (status, told) = cli(&bed.directory, &["audit", "find", "--json"], ID_NUMBER);
    assert_eq!(status, Some(0), "{told}");
    let found: Value = serde_json::from_str(&told).unwrap();
    let records = found["records"].as_array().unwrap();
    assert_eq!(records.len(), asked, "each look-up, under whichever key");
    assert!(records.iter().all(|found| found["sound"] == true));
    let (status, told) = cli(&bed.directory, &["inbox", "verify"], "");
    assert!(status == Some(0) && told.contains('2'), "{told}");

    // Each key is needed.
    for part in ["audit", "inbox"] {
        let old = bed.directory.path().join(format!("{part}.old.key"));
        fs::write(&old, NEW).unwrap();
        let (status, told) = cli(&bed.directory, &[part, "verify"], "");
        assert!(status == Some(1) && told.contains("key"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_would_lose_a_key_is_refused_and_changes_nothing() {
    let bed = Bed::new().await;
    bed.callback("first").await;
    assert_eq!(bed.gateway.studies().await.code(), 0);
    for (part, lost) in [("audit", "the trail is"), ("inbox", "events are")] {
        let name = format!("{part}.key");
        // The key is replaced, and the one before is named nowhere.
        bed.directory.file(&name, NEW);
        let refused = bed.gateway.reload().await.unwrap_err();
        let told = [format!("{part}.previous_key_files"), lost.to_owned()];
        assert!(told.iter().all(|told| refused.contains(told)), "{refused}");
        bed.directory.file(&name, "no key");
        let refused = bed.gateway.reload().await.unwrap_err();
        assert!(refused.contains(&name) && refused.contains("is no key"), "{refused}");
        fs::remove_file(bed.directory.path().join(&name)).unwrap();
        let refused = bed.gateway.reload().await.unwrap_err();
        assert!(refused.contains(&name) && refused.contains("put it back"), "{refused}");
        assert_eq!(bed.gateway.metric(SUCCESSFUL).await, Some(0.0));
        bed.directory.file(&name, OLD);
    }
    bed.gateway.reload().await.unwrap();

    // Changed well, a key is needed for as long as there is something under it.
    bed.change().await.unwrap();
    bed.base.write(&bed.directory);
    let refused = bed.gateway.reload().await.unwrap_err();
    assert!(refused.contains("gateway-00000001-"), "{refused}");
    let of_inbox = "previous_key_files = [\"audit.old.key\"]";
    bed.base.clone().with("audit", of_inbox).write(&bed.directory);
    let refused = bed.gateway.reload().await.unwrap_err();
    assert!(refused.contains("1 event is sealed"), "{refused}");

    assert_eq!(bed.gateway.studies().await.code(), 0);
    bed.callback("second").await;
    bed.overlap.write(&bed.directory);
    bed.gateway.reload().await.unwrap();
    let log = bed.gateway.stop();
    assert!(![OLD, NEW].iter().any(|key| log.contains(key)));
    for part in ["audit", "inbox"] {
        let (status, told) = cli(&bed.directory, &[part, "verify"], "");
        assert_eq!(status, Some(0), "{told}");
    }
}

/// Every file with its content, but for the memory that readers of a SQLite database share, in which each enters itself.
fn files(directory: &Directory) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(directory: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, all);
            } else if !path.to_str().unwrap().ends_with("-shm") {
                all.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    add(directory.path(), &mut all);
    all
}

/// What a check says of the keys, a reload and a start say, too; whether the gateway runs or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_refuses_the_keys_that_a_reload_and_a_start_refuse() {
    let bed = Bed::new().await;
    bed.callback("first").await;
    assert_eq!(bed.gateway.studies().await.code(), 0);
    bed.change().await.unwrap();
    assert_eq!(bed.gateway.studies().await.code(), 0);
    let wrong = |part: &str| {
        let key = |name: &str| (format!("{part}{name}"), part.to_owned());
        [
            (key(".key"), Some("no key"), "is no key"),
            (key(".key"), None, "put it back"),
            (key(".old.key"), Some("no key"), "is no key"),
            (key(".old.key"), None, "no such file"),
            // The one that most is under is replaced.
            (key(".old.key"), Some(NEW), "previous_key_files"),
        ]
    };
    let cases: Vec<_> = ["audit", "inbox"].into_iter().flat_map(wrong).collect();
    let check = || cli(&bed.directory, &["check", "--json"], "");
    let spoil = |name: &str, content: Option<&str>| {
        let path = bed.directory.path().join(name);
        let before = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        move || fs::write(path, before).unwrap()
    };

    assert_eq!(check().0, Some(0), "{}", check().1);
    for ((name, part), content, told) in &cases {
        let restore = spoil(name, *content);
        let (status, said) = check();
        assert!(
            status == Some(78) && said.contains(told) && said.contains(part.as_str()),
            "{name}: {said}"
        );
        let refused = bed.gateway.reload().await.unwrap_err();
        assert!(refused.contains(told), "{name}: {refused}");
        restore();
    }
    assert_eq!(check().0, Some(0), "{}", check().1);
    let Bed { directory, gateway, .. } = bed;
    checked(&gateway.stop());

    let check = || cli(&directory, &["check", "--json"], "");
    let before = files(&directory);
    assert_eq!(check().0, Some(0), "{}", check().1);
    let changed: Vec<_> = files(&directory)
        .into_iter()
        .filter(|(path, content)| before.get(path) != Some(content))
        .map(|(path, _)| path)
        .collect();
    assert!(changed.is_empty(), "a check changes nothing: {changed:?}");
    for ((name, _), content, told) in &cases {
        let path = directory.path().join(name);
        let key = fs::read(&path).unwrap();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let spoiled = files(&directory);
        let (status, said) = check();
        assert!(status == Some(78) && said.contains(told), "{name}: {said}");
        if (name.as_str(), *told) == ("audit.old.key", "previous_key_files") {
            // Nothing is written under it any more, so no hospital is kept waiting for it.
            fs::write(&path, key).unwrap();
            continue;
        }
        let (status, said) = cli(&directory, &["serve"], "");
        assert!(status == Some(78) && said.contains(told), "{name}: {said}");
        assert!(files(&directory) == spoiled, "{name}: nothing is made or changed");
        fs::write(&path, key).unwrap();
    }
}

/// Before the first start there is no key, and a check is not the one that makes it.
#[tokio::test]
async fn check_is_content_where_the_first_start_makes_the_keys() {
    let (platform, directory) = (platform().await, Directory::new());
    let settings = Settings::calling(&platform).audited(&directory).callbacks(&directory);
    settings.write(&directory);
    let before = files(&directory);

    let (status, said) = cli(&directory, &["check", "--json"], "");

    assert_eq!(status, Some(0), "{said}");
    assert!(files(&directory) == before, "a check makes nothing");
    // A previous key has to be there all the same.
    settings
        .with("audit", "previous_key_files = [\"audit.old.key\"]")
        .write(&directory);
    let (status, said) = cli(&directory, &["check", "--json"], "");
    assert!(status == Some(78) && said.contains("audit.old.key"), "{said}");
}
