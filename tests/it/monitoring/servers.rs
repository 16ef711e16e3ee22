//! Prometheus and Alertmanager as processes, on ports that the system chose, with the files in `deploy/prometheus`.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{interval, timeout};

use super::file;
use crate::support::client::{self, PATIENCE};
use crate::support::directory::Directory;
use crate::support::process::Process;

/// A program: what it is called, here and elsewhere, and the Debian package that has it.
pub struct Program(&'static [&'static str], &'static str);

pub const PROMETHEUS: Program = Program(&["prometheus"], "prometheus");
pub const PROMTOOL: Program = Program(&["promtool"], "prometheus");
pub const ALERTMANAGER: Program = Program(&["prometheus-alertmanager", "alertmanager"], "prometheus-alertmanager");
pub const AMTOOL: Program = Program(&["amtool"], "prometheus-alertmanager");

impl Program {
    /// A command of it; a panic that says how to install it, where it is missing.
    #[track_caller]
    pub fn command(&self) -> Command {
        let Self(names, package) = self;
        let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
        let name = names.iter().find(there);
        Command::new(name.unwrap_or_else(|| panic!("no {}; install it: apt-get install {package}", names[0])))
    }
}

/// A running server that tells on standard error where it listens.
struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    fn start(command: &Command) -> Self {
        // Everything in one stream, since it is standard output that is watched.
        let mut merged = Command::new("sh");
        merged.args(["-c", "exec \"$0\" \"$@\" 2>&1"]);
        merged.arg(command.get_program()).args(command.get_args());
        let process = Process::start(merged);
        let line = process.line(|line| line.contains("msg=\"Listening on\""));
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
        Self {
            address: address.parse().unwrap(),
            process,
        }
    }
}

/// `text` with `from` replaced; a panic if there is none, so that no substitution is lost unnoticed.
#[track_caller]
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from}");
    text.replace(from, to)
}

/// A running Prometheus that scrapes once a second.
pub struct Prometheus {
    server: Server,
    _directory: Directory,
}

impl Prometheus {
    /// Scrapes `gateway` and tells alerts to `alertmanager`; rules as they are, save that they look each second and
    /// wait a second where they would wait minutes.
    pub fn scraping(gateway: SocketAddr, alertmanager: SocketAddr) -> Self {
        let directory = Directory::new();
        let rules = file("deploy/prometheus/rules.yaml");
        let rules = replaced(&rules, "    interval: 2m\n", "    interval: 1s\n");
        directory.file("rules.yaml", replaced(&rules, "for: 5m", "for: 1s"));
        let config = file("deploy/prometheus/scrape.yaml");
        let config = replaced(&config, "_interval: 15s", "_interval: 1s");
        let config = replaced(&config, "127.0.0.1:9093", &alertmanager.to_string());
        let config = directory.file(
            "prometheus.yml",
            replaced(&config, "127.0.0.1:9464", &gateway.to_string()),
        );
        let mut command = PROMETHEUS.command();
        command.args([
            format!("--config.file={config}"),
            format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--enable-feature=exemplar-storage".to_owned(),
        ]);
        let server = Server::start(&command);
        server.process.line(|line| line.contains("Server is ready"));
        Self {
            server,
            _directory: directory,
        }
    }

    /// What an expression gives now: labels and value of each series.
    pub async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.get("query", &[("query", expression)]).await;
        let value = |value: &Value| value.as_str().unwrap().parse().unwrap();
        match answer["resultType"].as_str().unwrap() {
            "scalar" => vec![(Value::Null, value(&answer["result"][1]))],
            _ => answer["result"]
                .as_array()
                .unwrap()
                .iter()
                .map(|series| (series["metric"].clone(), value(&series["value"][1])))
                .collect(),
        }
    }

    /// `data` of an answer of its API.
    pub async fn get(&self, api: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encoded(value)))
            .collect();
        let path = format!("/api/v1/{api}?{}", parameters.join("&"));
        let answer = client::get(self.server.address, &path).await;
        let json = answer.json();
        assert_eq!(json["status"], "success", "{path}: {json}");
        json["data"].clone()
    }

    /// Waits until an expression gives something, which is returned.
    pub async fn wait_for(&self, expression: &str) -> Vec<(Value, f64)> {
        let asking = async {
            let mut pace = interval(Duration::from_millis(50));
            loop {
                pace.tick().await;
                let found = self.query(expression).await;
                if !found.is_empty() {
                    return found;
                }
            }
        };
        timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| panic!("nothing for {expression}"))
    }
}

/// A running Alertmanager that waits for nothing.
pub struct Alertmanager {
    server: Server,
    _directory: Directory,
}

impl Alertmanager {
    /// Pages and tickets go to `receiver`, under `/page` and `/ticket`.
    pub fn telling(receiver: SocketAddr) -> Self {
        let directory = Directory::new();
        let config = file("deploy/prometheus/alertmanager.yaml");
        let config = replaced(&config, "group_wait: 30s", "group_wait: 0s");
        let config = replaced(&config, "group_interval: 5m", "group_interval: 1s");
        let config = directory.file(
            "alertmanager.yml",
            replaced(&config, "127.0.0.1:9099", &receiver.to_string()),
        );
        let mut command = ALERTMANAGER.command();
        command.args([
            format!("--config.file={config}"),
            format!("--storage.path={}", directory.path().join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--cluster.listen-address=".to_owned(),
        ]);
        Self {
            server: Server::start(&command),
            _directory: directory,
        }
    }

    /// Where Prometheus tells it of alerts.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
