//! Addresses to listen on.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// `127.0.0.1:8080` or `[::1]:8080`; port 0 takes any free one.
    Tcp(SocketAddr),
    /// `plain:127.0.0.1:8080`: the same, but never TLS, even where the listener has a certificate.
    Plain(SocketAddr),
    /// `unix:/run/aimis-gateway/lan.sock`; the path is absolute and at most 107 bytes long.
    Unix(PathBuf),
}

impl ListenAddr {
    /// The TCP address, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Plain(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Only this machine can reach it: a loopback address or a unix socket.
    pub fn is_loopback(&self) -> bool {
        self.tcp()
            .is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Plain(address) => write!(f, "plain:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The longest path that fits into `sockaddr_un` on Linux, its final NUL apart.
const LONGEST_SOCKET_PATH: usize = 107;

/// An address to listen on.
pub(in crate::config) struct Address;

/// An address to listen on.
pub(in crate::config) fn address() -> Address {
    Address
}

impl Kind for Address {
    type Value = ListenAddr;

    fn read(&self, node: &Node, _directory: &Path) -> Result<ListenAddr, Refusal> {
        let text = node.text().ok_or_else(|| Refusal::not("an address", node))?;
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.contains(char::is_control) {
                return Err(Refusal::new(
                    "is not a unix socket with an absolute path, like unix:/run/aimis-gateway/lan.sock",
                ));
            }
            if path.len() > LONGEST_SOCKET_PATH {
                return Err(Refusal::new(format!(
                    "has a longer path than the {LONGEST_SOCKET_PATH} bytes of a unix socket"
                )));
            }
            return Ok(ListenAddr::Unix(path.into()));
        }
        let (address, make): (_, fn(SocketAddr) -> ListenAddr) = match text.strip_prefix("plain:") {
            Some(address) => (address, ListenAddr::Plain),
            None => (text, ListenAddr::Tcp),
        };
        address.parse().map(make).map_err(|_| {
            Refusal::new("is not an IP address and port, like 127.0.0.1:8080 or [::1]:8080; names are not looked up")
        })
    }

    fn show(&self, value: &ListenAddr) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema =
            json!({"type": "string", "pattern": "^(unix:/.+|(plain:)?([0-9.]+:[0-9]+|\\[[0-9A-Fa-f:.%]+\\]:[0-9]+))$"});
        Shape::new(
            schema,
            "`\"127.0.0.1:8080\"`, `\"[::1]:8080\"`, `\"unix:/path\"`, `\"plain:127.0.0.1:8081\"`",
        )
    }
}
