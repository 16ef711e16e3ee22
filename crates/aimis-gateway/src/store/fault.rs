//! Why the store does not answer, in a word of ours: what servers and drivers say may quote what they were sent.

use std::io::ErrorKind as Io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

pub use crate::telemetry::labels::StoreFault as Fault;

type Held = dyn std::error::Error + Send + Sync;

/// What servers put in front of a refusal. Before Redis 7 it stands within the text where a script met it.
const REFUSALS: &[(&str, Fault)] = &[
    ("NOAUTH", Fault::Auth),
    ("WRONGPASS", Fault::Auth),
    ("NOPERM", Fault::Permission),
    ("OOM", Fault::OutOfMemory),
    ("READONLY", Fault::ReadOnly),
    ("LOADING", Fault::Loading),
    ("NOREPLICAS", Fault::NoReplicas),
    ("MISCONF", Fault::DiskFailed),
    ("BUSY", Fault::Busy),
    ("CLUSTERDOWN", Fault::ClusterDown),
    ("MASTERDOWN", Fault::ClusterDown),
];

/// What they say of a script whose user lacks a right, without a word in front: Redis 6.2 and 7, then Valkey.
const NO_RIGHT: &[&str] = &["The user executing the script can't", "ACL failure in script"];

impl Fault {
    /// What `error` is.
    pub(super) fn of(error: &RedisError) -> Self {
        let of_tls = |error: &RedisError| {
            // As the driver keeps it.
            let held = std::error::Error::source(error).and_then(|held| held.downcast_ref::<Arc<Held>>());
            let io = held.and_then(|held| held.downcast_ref::<std::io::Error>());
            io.is_some_and(|io| {
                io.kind() == Io::InvalidData || io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
            })
        };
        if let Some(fault) = refusal(error) {
            return fault;
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Auth,
            ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown) => Self::ClusterDown,
            ErrorKind::Client | ErrorKind::ClusterConnectionNotFound => Self::NotReady,
            _ if error.is_timeout() => Self::Timeout,
            ErrorKind::Io if of_tls(error) => Self::Tls,
            ErrorKind::Io => Self::Connect,
            _ => Self::Reply,
        }
    }

    /// Whether another connection may meet somebody else, who can do it.
    pub(super) fn is_of_the_connection(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ClusterDown)
    }
}

/// What the server itself calls it.
fn refusal(error: &RedisError) -> Option<Fault> {
    let known = |word: &str| {
        REFUSALS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, fault)| *fault)
    };
    let code = error.code()?;
    known(code).or_else(|| {
        let detail = error.detail()?;
        if NO_RIGHT.iter().any(|said| detail.contains(said)) {
            return Some(Fault::Permission);
        }
        let mut marked = detail.split_whitespace();
        marked.find_map(|word| known(word.strip_prefix('-')?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> Fault {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Fault::of(&value.extract_error().unwrap_err())
    }

    #[test]
    fn a_refusal_has_the_word_of_its_cause() {
        for (line, fault) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Fault::OutOfMemory,
            ),
            ("READONLY You can't write against a read only replica.", Fault::ReadOnly),
            ("LOADING Redis is loading the dataset in memory", Fault::Loading),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Fault::ClusterDown,
            ),
            ("CLUSTERDOWN Hash slot not served", Fault::ClusterDown),
            ("NOREPLICAS Not enough good replicas to write.", Fault::NoReplicas),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                Fault::DiskFailed,
            ),
            ("BUSY Redis is busy running a script.", Fault::Busy),
            ("NOAUTH Authentication required.", Fault::Auth),
            ("NOPERM this user has no permissions", Fault::Permission),
            // As Redis 7, Redis 6.2 and Valkey say it of a script.
            (
                "ERR The user executing the script can't run this command or subcommand script: 0123, on @user_script:1.",
                Fault::Permission,
            ),
            (
                "ERR Error running script (call to f_0123): @user_script:1: @user_script: 1: The user executing the script \
                 can't access at least one of the keys mentioned in the command arguments",
                Fault::Permission,
            ),
            (
                "ERR ACL failure in script: User aimis has no permissions to run the 'info' command script: on @user_script:1.",
                Fault::Permission,
            ),
            // As Redis 6.2 says it of a script.
            (
                "ERR Error running script (call to f_0123): @user_script:42: @user_script: 42: -OOM command not allowed \
                 when used memory > 'maxmemory'.",
                Fault::OutOfMemory,
            ),
            ("ERR unknown command 'OOM'", Fault::Reply),
        ] {
            assert_eq!(answered(line), fault, "{line}");
        }
    }
}
