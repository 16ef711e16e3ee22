//! The process: threads, metrics and probes, stopping, the log.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::address::{ListenAddr, address};
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::number::{integer, millis};
use crate::config::kind::one_or_more;
use crate::config::kind::path::secret_path;
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

section! {
    /// Threads of the forward road.
    pub struct Runtime {
        /// Worker threads, each with its own event loop and its own connections to the platform; 0 means one a core.
        workers: usize = integer(0, 256).or(0);
    }
}

section! {
    /// The listener for metrics and probes.
    pub struct Telemetry {
        /// Where `/metrics` and the probes are served. In a pod `0.0.0.0:9464`, because probes and scrapes come
        /// from outside of its loopback.
        listen: Vec<ListenAddr> = one_or_more(address()).or("127.0.0.1:9464");
        /// Connections at a time; a further one is closed.
        max_connections: usize = integer(1, 10_000).or(64);
        /// The longest a request to this listener may take, and the longest an idle connection is kept.
        timeout as "timeout_ms": Duration = millis(100, 60_000).or(5_000);
        /// Tenants whose metrics carry their names: the first ones, in the order of this file. All others share the
        /// label `_other`, since each name costs some thirty series.
        tenant_labels: usize = integer(0, 100).or(10);
    }
}

section! {
    /// How the process stops.
    pub struct Drain {
        /// After SIGTERM, the time to go on serving while readiness already says no, until load balancers have
        /// noticed. 0 in a sidecar; 5000 behind a Kubernetes service.
        delay as "delay_ms": Duration = millis(0, 300_000).or(0);
        /// After that, the time requests in flight may take to finish.
        timeout as "timeout_ms": Duration = millis(0, 300_000).or(20_000);
    }
}

section! {
    /// The log on standard output.
    pub struct Log {
        /// The least severe lines that are written.
        level: LogLevel = one_of().or("info");
        /// The form of a line.
        format: LogFormat = one_of().or("json");
        /// A file with the key of patient tags (32 bytes or more). Log lines carry a keyed tag of the patient, never
        /// a number or name. With the file, tags stay the same over restarts and replicas; without it, each process
        /// makes a key of its own.
        patient_tag_key_file: Option<PathBuf> = secret_path().optional("secrets/patient-tag.key");
        /// Puts the address of the machine that asks, or that fails to, into the lines about it.
        client_address: bool = switch().or(false);
        /// The shortest time between two lines about the same kind of trouble that others can cause at will: failed
        /// handshakes by reason, refused connections, failed accepts, sign-ins beyond `lan.max_failed_sign_ins`. The next line tells how many were left out, and metrics
        /// count them all; 0 writes each.
        repeat_interval as "repeat_interval_ms": Duration = millis(0, 600_000).or(2_000);
    }
}

choices! {
    /// The severity of a log line.
    pub enum LogLevel {
        /// Something failed.
        Error = "error",
        /// Something will fail, or is being worked around.
        Warn = "warn",
        /// What happened, a line a request.
        Info = "info",
        /// Each step; for a short time only.
        Debug = "debug",
    }
}

choices! {
    /// The form of a log line.
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
    }
}
