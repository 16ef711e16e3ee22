//! A place for a trail, the configuration that names it, and what is in it.

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::Value;

use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::Settings;
use crate::support::process::run;

pub const TENANT: &str = "first-hospital";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub struct Bed {
    pub platform: Platform,
    pub directory: Directory,
    pub config: String,
}

impl Bed {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With further lines of `[audit]` for processes.
    pub async fn with(lines: &str) -> Self {
        let directory = Directory::new();
        let platform = Platform::start(PlatformOptions::default()).await.unwrap();
        let token = directory.file("a.token", TOKEN);
        let file = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[runtime]\nworkers = 2\n\
             [limits.tenant]\nrate_per_s = 0\nin_flight = 0\n[drain]\ndelay_ms = 0\n\
             [platform]\nbase_url = \"{}\"\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n\
             [audit]\npath = \"{}\"\nkey_file = \"{}\"\n{lines}\n\
             [[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
             token_file = \"{token}\"\n",
            platform.base_url(),
            file("inbox.db"),
            file("inbox.key"),
            file("audit"),
            file("audit.key"),
        );
        Self {
            config: directory.file("gateway.toml", text),
            platform,
            directory,
        }
    }

    /// A gateway of this process on the trail.
    pub fn settings(&self) -> Settings {
        Settings::calling(&self.platform)
            .audited(&self.directory)
            .with("drain", "delay_ms = 0")
    }

    /// The records in the gateway's files, the trail's own lines left out.
    pub fn records(&self) -> Vec<Value> {
        let about = |line: &Value| !["file", "start", "stop"].contains(&line["kind"].as_str().unwrap());
        self.lines("gateway").into_iter().filter(about).collect()
    }

    pub fn lines(&self, trail: &str) -> Vec<Value> {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let text: String = self.files(trail).into_iter().map(read).collect();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub fn files(&self, trail: &str) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("audit")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let ours = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(trail) && name.ends_with(".jsonl")
        };
        let mut paths: Vec<_> = paths.filter(ours).collect();
        paths.sort();
        paths
    }

    /// Runs `audit …`: its exit status, standard output and standard error.
    pub fn audit(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let (name, rest) = arguments.split_first().unwrap();
        let mut all = vec!["audit", name, "--config", &self.config];
        all.extend(rest);
        let output = run(command(&all), input.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// What `audit find --json` has about a number.
    #[track_caller]
    pub fn found(&self, number: &str) -> Vec<Value> {
        let (status, out, err) = self.audit(&["find", "--json"], number);
        assert_eq!(status, 0, "{out}{err}");
        let found: Value = serde_json::from_str(&out).unwrap();
        let records = found["records"].as_array().unwrap();
        assert!(records.iter().all(|found| found["sound"] == true), "{out}");
        records.iter().map(|found| found["record"].clone()).collect()
    }

    #[track_caller]
    pub fn assert_sound(&self) -> Value {
        let (status, out, err) = self.audit(&["verify", "--json"], "");
        assert_eq!(status, 0, "{out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["sound"], true);
        report["trails"].clone()
    }
}
