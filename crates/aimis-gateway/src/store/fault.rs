//! Why the store does not answer, in a word of ours: what servers and drivers say may quote what they were sent.

use std::io::ErrorKind as Io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

type Held = dyn std::error::Error + Send + Sync;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not in time.
    Timeout,
    /// No connection, or it ended.
    Connect,
    /// TLS: the certificate, or no TLS there.
    Tls,
    /// User or password.
    Auth,
    /// The user may not do what is needed.
    Permission,
    /// It is a replica, loads its data, or has lost its cluster.
    NotReady,
    /// It says something that was not expected.
    Reply,
}

impl Fault {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::NotReady => "not_ready",
            Self::Reply => "reply",
        }
    }

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
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => Self::Auth,
            (_, Some("NOPERM")) => Self::Permission,
            (
                ErrorKind::Server(
                    ServerErrorKind::ReadOnly
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown,
                )
                | ErrorKind::Client
                | ErrorKind::ClusterConnectionNotFound,
                _,
            ) => Self::NotReady,
            _ if error.is_timeout() => Self::Timeout,
            (ErrorKind::Io, _) if of_tls(error) => Self::Tls,
            (ErrorKind::Io, _) => Self::Connect,
            _ => Self::Reply,
        }
    }
}
