//! Collectors of others, from PyPI: oteltap, which prints every span that it gets, and Rotel, which sends them on.

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::deploy::judge;
use crate::support::process::Process;

/// A port that was free a moment ago; neither program tells which one the system chose.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// oteltap as a process.
pub struct Tap {
    process: Process,
    port: u16,
}

impl Tap {
    pub fn start() -> Self {
        let port = free_port();
        let mut command = judge("oteltap");
        command.args(["--port", &port.to_string()]).env("PYTHONUNBUFFERED", "1");
        let process = Process::start(command);
        process.line(|line| line.starts_with("Listening"));
        Self { process, port }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// The next `count` spans, in the order of their ends.
    pub fn spans(&self, count: usize) -> Vec<Value> {
        let line = || self.process.line(|line| line.starts_with("{\"traceId\""));
        (0..count).map(|_| serde_json::from_str(&line()).unwrap()).collect()
    }
}

/// Rotel as a process.
pub struct Rotel {
    _process: Process,
    port: u16,
}

impl Rotel {
    /// It sends on to `tap`.
    pub fn before(tap: &Tap) -> Self {
        let (port, grpc) = (free_port(), free_port());
        let agent =
            "import os, rotel, sys; os.execv(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'), sys.argv)";
        let mut command: Command = judge("python");
        command.args(["-c", agent, "start", "--exporter", "otlp"]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command.args(["--otlp-exporter-endpoint", &format!("http://127.0.0.1:{}", tap.port)]);
        command.args([
            "--otlp-exporter-protocol",
            "http",
            "--otlp-exporter-compression",
            "none",
        ]);
        command.args(["--batch-timeout", "50ms"]);
        Self {
            _process: Process::start(command),
            port,
        }
    }

    /// It may listen a moment later than it is asked; then the gateway tries again.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }
}
