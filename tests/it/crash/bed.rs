//! The built binary, its inbox, its HIS, and the books; everything but the process outlives a crash.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aimis_simulator::{Fault, His};
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::ledger::{Figures, Ledger};
use crate::support::binary;
use crate::support::client::{self, PATIENCE};
use crate::support::directory::Directory;
use crate::support::process::{Ended, Process, Serve, run};

const TENANT: &str = "first-hospital";

/// See the module's text.
pub struct Bed {
    pub directory: Directory,
    pub ledger: Arc<Ledger>,
    his: Option<His>,
    his_address: SocketAddr,
    config: String,
    /// Variables of the process, beside its configuration.
    pub variables: Vec<(&'static str, String)>,
    /// A program that starts it, with its arguments.
    pub starter: Vec<String>,
}

impl Bed {
    /// With an inbox in a directory of the machine's disk.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// The same with further lines for `[inbox]`.
    pub async fn with(inbox: &str) -> Self {
        let directory = Directory::new();
        std::fs::create_dir(directory.path().join("disk")).unwrap();
        let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let config = directory.file("gateway.toml", config(&directory, &his.url(), inbox));
        Self {
            ledger: Arc::default(),
            his_address: his.addr(),
            his: Some(his),
            config,
            variables: Vec::new(),
            starter: Vec::new(),
            directory,
        }
    }

    /// Where the inbox is, and nothing else.
    pub fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Nobody delivers: the HIS is to fetch what there is.
    pub fn without_target(&self) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("callback.target"))
            .collect();
        self.directory.file("gateway.toml", kept.join("\n"));
    }

    /// Lets the process be started with a library in front of libc, made of a source in C.
    pub fn preload(&mut self, source: &str) {
        self.variables
            .push(("LD_PRELOAD", compiled(self.directory.path(), source)));
    }

    /// The process, not ready yet.
    pub fn launch(&self) -> Process {
        let serve = binary::command(&["serve", "--config", &self.config]);
        let mut command = match self.starter.split_first() {
            None => serve,
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(serve.get_program()).args(serve.get_args());
                for (name, _) in serve.get_envs() {
                    command.env_remove(name);
                }
                command
            }
        };
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        Process::start(command)
    }

    /// Starts on what the disk holds.
    pub fn start(&self) -> Serve {
        block_in_place(|| Serve::ready(self.launch()))
    }

    /// The HIS, which is not down.
    #[track_caller]
    pub fn his(&self) -> &His {
        self.his.as_ref().expect("a HIS that is not down")
    }

    /// Whether the HIS takes deliveries, at least some.
    pub fn takes(&self) -> bool {
        self.his.is_some()
    }

    /// Deliveries that came to this HIS.
    pub fn deliveries(&self) -> u64 {
        self.his.as_ref().map_or(0, His::delivery_count)
    }

    /// Returns when so many have.
    pub async fn arrived(&self, count: u64) {
        let all = self.his().wait_for_deliveries(count);
        timeout(PATIENCE, all).await.expect("so many deliveries in time");
    }

    /// Writes into the books what the HIS got.
    pub fn collect(&self) {
        if let Some(his) = &self.his {
            self.ledger.delivered(&his.take_deliveries());
        }
    }

    /// Nobody listens at the HIS's address any more.
    pub async fn his_down(&mut self) {
        self.collect();
        if let Some(his) = self.his.take() {
            // What came since is in the books too, or a repetition of it would look like the first.
            self.ledger.delivered(&his.take_deliveries());
            his.stop().await;
        }
    }

    /// The HIS is as it should be.
    pub async fn his_up(&mut self) {
        match &self.his {
            Some(his) => his.clear_faults(),
            None => self.his = Some(His::start(self.his_address).await.unwrap()),
        }
    }

    /// Lets what is in the inbox arrive, stops well, and compares the books with each other and with the inbox.
    pub async fn settle(&mut self) -> Figures {
        self.his_up().await;
        let serve = self.start();
        self.emptied(&serve).await;
        serve.process.signal("TERM");
        let ended = block_in_place(|| serve.process.ended());
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        self.collect();
        println!("{:#}", self.inbox(&["stats"]));
        println!("{:#}", self.inbox(&["list", "--state", "quarantined,dead"]));
        let figures = self.ledger.check();
        self.verify(figures.delivered as u64);
        figures
    }

    /// Returns when nothing is left that is still to be delivered.
    pub async fn emptied(&self, serve: &Serve) {
        let emptied = async {
            loop {
                let text = client::get(serve.telemetry, "/metrics").await.text();
                let live =
                    ["ready", "in_flight", "retrying"].map(|state| format!("aimis_inbox_items{{state=\"{state}\"}} 0"));
                self.collect();
                if live.iter().all(|line| text.lines().any(|have| have == line)) {
                    break;
                }
            }
        };
        timeout(PATIENCE, emptied).await.unwrap_or_else(|_| {
            let (held, left) = (
                self.inbox(&["stats"]),
                self.inbox(&["list", "--state", "ready,in_flight,retrying"]),
            );
            panic!("not all delivered: {held:#} {left:#} {}", serve.process.stdout())
        });
    }

    /// The inbox is whole and holds `delivered` events, all of them delivered.
    #[track_caller]
    pub fn verify(&self, delivered: u64) {
        let found = self.inbox(&["verify"]);
        assert_eq!(
            (&found["ok"], &found["events"]),
            (&true.into(), &delivered.into()),
            "{found}"
        );
        let found = self.inbox(&["stats"]);
        for item in found["items"].as_array().unwrap() {
            let other = item["state"] != "delivered" && item["events"] != 0;
            assert!(!other, "{found}");
        }
    }

    /// What a command says about the inbox.
    #[track_caller]
    pub fn inbox(&self, arguments: &[&str]) -> Value {
        let all = [&["inbox"], arguments, &["--json", "--config", &self.config]].concat();
        let output = block_in_place(|| run(binary::command(&all), b""));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&said).unwrap()
    }

    /// Where callbacks are sent.
    pub fn callback_url(serve: &Serve) -> String {
        format!("http://{}/callback/{TENANT}", serve.callback.unwrap())
    }

    /// A trouble of the HIS, until [`Bed::his_up`].
    pub fn trouble(&self, fault: Fault, one_in: u64) {
        self.his().set_fault_rate(fault, one_in);
    }
}

/// Kills it, as `kill -9` does.
pub fn kill(process: Process) -> Ended {
    block_in_place(|| process.killed())
}

/// Compiles a source beside this file to a library in `directory`.
pub fn compiled(directory: &Path, source: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let library = directory.join(source.with_extension("so").file_name().unwrap());
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.expect("the C compiler that SQLite was built with").success());
    library.to_str().unwrap().to_owned()
}

/// Small logs, so that they are often brought into the database; patient deliveries, so that none is given up.
fn config(directory: &Directory, target: &str, inbox: &str) -> String {
    let token = directory.file("token", aimis_simulator::Account::demo().token);
    let file = |name: &str| directory.path().join("disk").join(name).display().to_string();
    format!(
        "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[runtime]\nworkers = 1\n\
         [platform]\nbase_url = \"http://127.0.0.1:9\"\n\
         [callback]\nlisten = \"127.0.0.1:0\"\nsignature = \"required\"\nmax_per_source_per_s = 0\n\
         [inbox]\npath = \"{}\"\nkey_file = \"{}\"\nshared_bodies = 1000\nwal_target_bytes = \"256KiB\"\nwal_max_bytes = \"1MiB\"\n{inbox}\n\
         [delivery]\nin_flight = 32\ntimeout_ms = 200\nprobe_ms = 1\nprobe_max_ms = 20\njitter_percent = 0\n\
         schedule_ms = {:?}\n[drain]\ndelay_ms = 0\n\
         [[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
         token_file = \"{token}\"\ncallback.target = \"{target}\"\n",
        file("inbox.db"),
        file("inbox.key"),
        [[20; 16], [200; 16]].concat(),
    )
}
