//! Collectors of others, from PyPI: oteltap and Rotel. Both print the spans that they get.

use std::net::TcpListener;

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

/// Rotel as a process, which prints what it reads.
pub struct Rotel {
    process: Process,
    port: u16,
}

impl Rotel {
    pub fn start() -> Self {
        let (port, grpc) = (free_port(), free_port());
        let agent =
            "import os, rotel, sys; os.execv(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'), sys.argv)";
        let mut command = judge("python");
        command.args(["-c", agent, "start", "--exporter", "blackhole"]);
        command.args(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        Self {
            process: Process::start(command),
            port,
        }
    }

    /// It may listen a moment later than it is asked; then the gateway tries again.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// The next line with `text`.
    pub fn tells(&self, text: &str) -> String {
        self.process.line(|line| line.contains(text))
    }
}
