//! The other side: hosts, ports, base URLs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A host, by name or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(Arc<str>),
    /// An address.
    Ip(IpAddr),
}

impl Host {
    /// `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => &**name == "localhost",
            Self::Ip(ip) => ip.to_canonical().is_loopback(),
        }
    }

    /// Without the brackets that an IPv6 address has in a URL.
    pub fn bare(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Ip(ip) => ip.to_string(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return Some(Self::Ip(inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into()));
        }
        // What ends in a number is an IPv4 address or nothing (WHATWG URL, "ends in a number").
        if text.rsplit('.').next()?.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Ip(text.parse::<Ipv4Addr>().ok()?.into()));
        }
        let letters = |label: &str| {
            label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && letters(label) && !label.starts_with('-') && !label.ends_with('-')
        };
        (text.len() <= 253 && text.split('.').all(label)).then(|| Self::Name(text.to_ascii_lowercase().into()))
    }
}

/// As in a URL: an IPv6 address in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// By name or address.
    pub host: Host,
    /// Never 0.
    pub port: u16,
}

impl HostPort {
    /// `host:port`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = authority(text)?;
        Some(Self { host, port: port? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Scheme, host and port of a peer; paths are added to it. `Display` is the URL without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// `https`; otherwise `http`.
    pub https: bool,
    /// By name or address.
    pub host: Host,
    /// Never 0; 443 or 80 if the URL names none.
    pub port: u16,
}

impl BaseUrl {
    /// The value of the `Host` header: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.https) {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// A host, and a port where there is one.
pub(super) fn authority(text: &str) -> Option<(Host, Option<u16>)> {
    let colon = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&text[..at], Some(port(&text[at + 1..])?)),
        None => (text, None),
    };
    Some((Host::parse(host)?, port))
}

/// The origin that `text` is: `None` if it is no URL of HTTP, an error with the origin where more follows.
pub(super) fn origin_of(text: &str) -> Option<Result<BaseUrl, BaseUrl>> {
    let (scheme, rest) = text.split_once("://")?;
    let https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..end])?;
    let port = port.unwrap_or(default_port(https));
    let origin = BaseUrl { https, host, port };
    Some(if end == rest.len() { Ok(origin) } else { Err(origin) })
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// The base URL of a peer.
pub(in crate::config) struct Base;

/// `https://host` or `https://host:port`, with nothing after it.
pub(in crate::config) fn base_url() -> Base {
    Base
}

impl Kind for Base {
    type Value = BaseUrl;

    fn read(&self, node: &Node, _directory: &Path) -> Result<BaseUrl, Refusal> {
        let text = node.text().ok_or_else(|| Refusal::not("a URL", node))?;
        if text.contains('@') {
            return Err(Refusal::hidden(
                "has a user or password in it, which the platform does not know",
            ));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Refusal::new("is not a URL that begins with https://")),
        };
        if rest.contains(['?', '#']) {
            return Err(Refusal::hidden(
                "has a query or fragment; only scheme, host and port belong here",
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err(Refusal::new(
                "has a path; the paths are the platform's own and are added to it",
            ));
        }
        let (host, port) = authority(rest).ok_or_else(|| Refusal::new("has no valid host or port"))?;
        Ok(BaseUrl {
            https,
            host,
            port: port.unwrap_or(default_port(https)),
        })
    }

    fn show(&self, value: &BaseUrl) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+/?$"});
        Shape::new(schema, "`\"https://host\"`, `\"https://host:port\"`")
    }
}

/// A host and a port.
pub(in crate::config) struct Peer;

/// `host:port`.
pub(in crate::config) fn host_port() -> Peer {
    Peer
}

impl Kind for Peer {
    type Value = HostPort;

    fn read(&self, node: &Node, _directory: &Path) -> Result<HostPort, Refusal> {
        let refusal = || Refusal::not("host:port, like 10.0.0.9:8443", node);
        let (host, port) = authority(node.text().ok_or_else(refusal)?).ok_or_else(refusal)?;
        Ok(HostPort {
            host,
            port: port.ok_or_else(refusal)?,
        })
    }

    fn show(&self, value: &HostPort) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[^/?#@\\s]+:[0-9]+$"});
        Shape::new(schema, "`\"host:port\"`")
    }
}
