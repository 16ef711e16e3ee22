//! Where syslog messages go.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::url::{HostPort, authority};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Syslog {
    /// A datagram socket on this machine, like `/dev/log`.
    Unix(PathBuf),
    /// A datagram a message (RFC 5426).
    Udp(HostPort),
    /// One connection, each message behind its length (RFC 6587, section 3.4.1).
    Tcp(HostPort),
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(peer) => write!(f, "udp://{peer}"),
            Self::Tcp(peer) => write!(f, "tcp://{peer}"),
        }
    }
}

/// A syslog server.
pub(in crate::config) struct SyslogKind;

/// `unix:/dev/log`, `udp://host:514`, `tcp://host:601`; these ports where none is named.
pub(in crate::config) fn syslog() -> SyslogKind {
    SyslogKind
}

impl Kind for SyslogKind {
    type Value = Syslog;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Syslog, Refusal> {
        let wrong = || {
            Refusal::not(
                "a syslog server, like unix:/dev/log, udp://10.0.0.9:514 or tcp://10.0.0.9:601",
                node,
            )
        };
        let text = node.text().ok_or_else(wrong)?;
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            let good = path.is_absolute() && path.as_os_str().len() <= 107;
            return if good { Ok(Syslog::Unix(path)) } else { Err(wrong()) };
        }
        let peer = |rest: &str, default: u16| {
            let (host, port) = authority(rest).ok_or_else(wrong)?;
            Ok(HostPort {
                host,
                port: port.unwrap_or(default),
            })
        };
        match text.split_once("://") {
            Some(("udp", rest)) => peer(rest, 514).map(Syslog::Udp),
            Some(("tcp", rest)) => peer(rest, 601).map(Syslog::Tcp),
            _ => Err(wrong()),
        }
    }

    fn show(&self, value: &Syslog) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^(unix:/.+|(udp|tcp)://[^/?#@\\s]+)$"});
        Shape::new(
            schema,
            "`\"unix:/dev/log\"`, `\"udp://host:514\"`, `\"tcp://host:601\"`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    #[test]
    fn a_server_is_read_in_each_of_its_forms_and_nothing_else_is_one() {
        let read = |text: &str| {
            let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
            let read = syslog().read(&node, Path::new(""));
            read.map(|server| server.to_string()).map_err(|refusal| refusal.reason)
        };
        for (text, shown) in [
            ("unix:/dev/log", "unix:/dev/log"),
            ("udp://10.0.0.9", "udp://10.0.0.9:514"),
            ("udp://collector:5140", "udp://collector:5140"),
            ("tcp://[::1]", "tcp://[::1]:601"),
        ] {
            assert_eq!(read(text).unwrap(), shown);
        }
        for text in [
            "",
            "10.0.0.9:514",
            "unix:dev/log",
            "tls://a:1",
            "udp://",
            "tcp://a:0",
            "tcp://a/b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
