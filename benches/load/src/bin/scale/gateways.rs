//! A gateway that is measured, and what a load against it says.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use aimis_bench::clock;
use aimis_bench::held::Held;
use aimis_bench::place::{Place, free_port, run};
use aimis_bench::processes::{Program, exact_cpu_us};
use aimis_bench::wire;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Connections of the loads that are not of one.
pub(crate) const MANY: u32 = 64;
/// Questions a second of the load with a rate.
const RATE: u32 = 1_000;
/// The patient whom all ask for where it is one; the others do not come so far.
const SAME: u32 = 99_999_999;
/// How long a gateway may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One connection, the next question behind each answer.
    One,
    /// [`MANY`] connections, [`RATE`] questions a second in all.
    Rate,
    /// [`MANY`] connections, as fast as it goes.
    Full,
}

impl Load {
    /// How many requests it makes where `requests` are asked for.
    pub(crate) fn of(self, requests: u32) -> u32 {
        match self {
            Self::One | Self::Rate => requests,
            Self::Full => 4 * requests,
        }
    }
}

/// What a load saw, and what it cost.
pub(crate) struct Seen {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Requests answered a second.
    pub(crate) per_s: f64,
    /// CPU time of the gateway a request.
    pub(crate) gateway_us: f64,
}

/// A gateway that runs.
pub(crate) struct Gateway<'a> {
    program: Program,
    /// What is asked: questions, or callbacks.
    asked: u16,
    telemetry: u16,
    callbacks: bool,
    place: &'a Place,
    /// Tenants that are asked for.
    tenants: u32,
    /// Clients that ask; none where nobody has to be known.
    clients: u32,
    /// The next patient, or study, nobody has asked for.
    next: u32,
}

impl<'a> Gateway<'a> {
    /// Starts one with these sections beside what all have, and waits until it is ready.
    pub(crate) fn start(name: &str, sections: &str, upstream: u16, callbacks: bool, place: &'a Place) -> Result<Self> {
        let (lan, telemetry, other) = (free_port()?, free_port()?, free_port()?);
        let callback = if callbacks {
            format!(
                "[callback]\nlisten = \"127.0.0.1:{other}\"\nsignature = \"required\"\nmax_per_source_per_s = 0\n\
                 max_connections_per_source = 0\n"
            )
        } else {
            String::new()
        };
        let text = format!(
            "[runtime]\nworkers = 1\n[lan]\nlisten = \"127.0.0.1:{lan}\"\nmax_connections_per_source = 0\n\
             max_connections = 10000\nidle_timeout_ms = 3600000\n\
             [telemetry]\nlisten = \"127.0.0.1:{telemetry}\"\n[platform]\nbase_url = \"http://localhost:{upstream}\"\n\
             [limits]\ntenant = {{ rate_per_s = 100000, burst = 100000, in_flight = 1000 }}\n\
             [log]\nlevel = \"warn\"\n{callback}{sections}\n\
             [[tenants]]\nname = \"bench\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
             token_file = \"{}\"\n",
            place.file("token").display()
        );
        let file = place.file(&format!("{name}.toml"));
        std::fs::write(&file, text)?;
        let mut command = vec![place.gateway.display().to_string()];
        command.extend(["serve", "--config"].map(str::to_owned));
        command.push(file.display().to_string());
        let log = place.file(&format!("{name}.log"));
        let mut gateway = Self {
            program: Program::start(&place.cores(1).0, &command, &log)?,
            asked: if callbacks { other } else { lan },
            telemetry,
            callbacks,
            place,
            tenants: 1,
            clients: 0,
            next: 0,
        };
        let begin = clock::moment();
        while !gateway.is_ready() {
            if !gateway.program.runs() || begin.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("{name} is not ready\n{said}");
            }
            clock::wait(Duration::from_millis(10));
        }
        Ok(gateway)
    }

    /// The same, asked for so many tenants in turn.
    pub(crate) fn for_tenants(self, tenants: u32) -> Self {
        Self { tenants, ..self }
    }

    /// The same, asked by so many clients in turn.
    pub(crate) fn by_clients(self, clients: u32) -> Self {
        Self { clients, ..self }
    }

    /// Asks for the same patients once more.
    pub(crate) fn again(&mut self) {
        self.next = 0;
    }

    /// It serves, and has its store if it is to have one.
    fn is_ready(&self) -> bool {
        let ready = self.get("/readyz").is_ok();
        ready
            && self
                .metrics()
                .is_ok_and(|text| !text.contains("\naimis_ratelimit_store_up 0"))
    }

    /// What its metrics say.
    pub(crate) fn metrics(&self) -> Result<String> {
        self.get("/metrics")
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.telemetry))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let message = wire::message(&answer).map_err(anyhow::Error::msg)?;
        let message = message.context("a whole answer")?;
        ensure!(message.head.starts_with(b"HTTP/1.1 200"), "{path}: no success");
        Ok(String::from_utf8_lossy(message.body).into_owned())
    }

    /// Memory of it in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        self.program.memory_mib()
    }

    /// Opens so many connections that each ask once, for the same patient, and then are idle.
    pub(crate) fn hold(&self, connections: u32) -> Result<Held> {
        let mut command = self.load(connections, SAME);
        Held::start(command.args(["--hold", "--same"]))
    }

    /// What asks it over so many connections, from this patient on.
    fn load(&self, connections: u32, first: u32) -> Command {
        let mut command = Command::new("taskset");
        command
            .args(["-c", &self.place.cores(1).1])
            .arg(self.place.companion("load"));
        for (name, number) in [
            ("--port", u32::from(self.asked)),
            ("--connections", connections),
            ("--first", first),
        ] {
            command.args([name, &number.to_string()]);
        }
        command
    }

    /// Asks it, for one patient only or for another each time.
    pub(crate) fn asked(&mut self, load: Load, requests: u32, same: bool) -> Result<Seen> {
        let count = load.of(requests);
        let connections = if load == Load::One { 1 } else { MANY };
        let mut command = self.load(connections, if same { SAME } else { self.next });
        command.args(["--requests", &count.to_string()]);
        if load == Load::Rate {
            command.args(["--rate", &RATE.to_string()]);
        }
        if self.callbacks {
            command.arg("--callbacks");
        }
        if self.tenants > 1 {
            command.args(["--tenants", &self.tenants.to_string()]);
        }
        if self.clients > 0 {
            command.args(["--clients", &self.clients.to_string()]);
        }
        if same {
            command.arg("--same");
        } else {
            self.next += count;
        }
        let before = exact_cpu_us(&self.program.processes());
        let seen: Value = serde_json::from_str(&run(&mut command)?).context("what the load prints")?;
        let us = exact_cpu_us(&self.program.processes()) - before;
        let at = |name: &str| seen[name].as_f64().unwrap_or_default();
        Ok(Seen {
            p50_us: at("p50_us"),
            p99_us: at("p99_us"),
            per_s: f64::from(count) / at("seconds"),
            gateway_us: us / f64::from(count),
        })
    }
}

/// Writes a key that the gateway takes: 32 bytes, for its owner only.
pub(crate) fn key(place: &Place, name: &str) -> Result<String> {
    let file = place.file(name);
    std::fs::write(&file, "1f".repeat(32))?;
    std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    Ok(file.display().to_string())
}
