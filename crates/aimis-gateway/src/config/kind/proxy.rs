//! The proxy on the way, and what is reached without it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::network::{Network, network};
use super::url::{BaseUrl, Host, base_url};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// Which way leads to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None; for a tenant that differs from the others.
    Direct,
    /// Through this proxy; `https` is TLS with the proxy itself.
    Through(BaseUrl),
}

/// The URL of a proxy, or `direct`.
pub(in crate::config) struct ProxyUrl;

/// `http://host:port`, `https://host:port` or `direct`.
pub(in crate::config) fn proxy() -> ProxyUrl {
    ProxyUrl
}

impl Kind for ProxyUrl {
    type Value = ProxyChoice;

    fn read(&self, node: &Node, directory: &Path) -> Result<ProxyChoice, Refusal> {
        let text = node.text().ok_or_else(|| Refusal::not("the URL of a proxy", node))?;
        if text == "direct" {
            return Ok(ProxyChoice::Direct);
        }
        if text.contains('@') {
            return Err(Refusal::hidden(
                "has a user or password in it; they belong into `proxy_user` and `proxy_password_file`",
            ));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(Refusal::new("is not a URL that begins with http:// or https://"));
        }
        let url = base_url().read(node, directory).map_err(|refusal| Refusal {
            reason: refusal.reason.replace(
                "the paths are the platform's own and are added to it",
                "a proxy has none",
            ),
            ..refusal
        })?;
        // There is no usual one: programs take 80, 443, 1080 or 3128 when it is missing.
        let authority = text
            .split_once("://")
            .map_or("", |(_, rest)| rest)
            .trim_end_matches('/');
        if !authority.ends_with(&format!(":{}", url.port)) {
            return Err(Refusal::new("has no port; write it, as in http://proxy.hospital:3128"));
        }
        Ok(ProxyChoice::Through(url))
    }

    fn show(&self, value: &ProxyChoice) -> Plain {
        Plain::Text(match value {
            ProxyChoice::Direct => "direct".to_owned(),
            ProxyChoice::Through(url) => {
                let scheme = if url.https { "https" } else { "http" };
                format!("{scheme}://{}:{}", url.host, url.port)
            }
        })
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+:[0-9]+/?|direct)$"});
        Shape::new(schema, "`\"http://host:port\"`, `\"https://host:port\"`, `\"direct\"`")
    }
}

/// Hosts that are reached without the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// This one.
    Name(Arc<str>),
    /// All names that end so; begins with a dot. The name without the dot is among them.
    Suffix(Arc<str>),
    /// All addresses of a network.
    Network(Network),
}

impl Bypass {
    /// Whether `host` is one of them.
    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(own), Host::Name(name)) => own == name,
            (Self::Suffix(suffix), Host::Name(name)) => name.ends_with(&**suffix) || **name == suffix[1..],
            (Self::Network(network), Host::Ip(ip)) => network.contains(*ip),
            (Self::Network(network), Host::Name(name)) => {
                &**name == "localhost" && network.contains(IpAddr::from([127, 0, 0, 1]))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Suffix(text) => f.write_str(text),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// An entry of `no_proxy`.
pub(in crate::config) struct BypassKind;

/// A name, `.suffix`, address or network.
pub(in crate::config) fn bypass() -> BypassKind {
    BypassKind
}

impl Kind for BypassKind {
    type Value = Bypass;

    fn read(&self, node: &Node, directory: &Path) -> Result<Bypass, Refusal> {
        let wrong = || Refusal::not("a host, a suffix like .hospital.lan, an address or a network", node);
        let text = node.text().ok_or_else(wrong)?;
        // What ends in a number, or has a colon, is no name.
        let last = text.rsplit('.').next().unwrap_or(text);
        if text.contains([':', '/']) || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return network().read(node, directory).map(Bypass::Network);
        }
        let name = text.strip_prefix('.').unwrap_or(text);
        match Host::parse(name) {
            Some(Host::Name(_)) if name != text => Ok(Bypass::Suffix(text.to_ascii_lowercase().into())),
            Some(Host::Name(name)) => Ok(Bypass::Name(name)),
            _ => Err(wrong()),
        }
    }

    fn show(&self, value: &Bypass) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[A-Za-z0-9._:/-]+$"});
        Shape::new(schema, "`\"host\"`, `\".suffix\"`, `\"10.0.0.5\"`, `\"10.0.0.0/8\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn node(text: &str) -> Node {
        Node::new(Value::Text(text.to_owned()), Origin::Default)
    }

    #[test]
    fn what_is_reached_without_the_proxy_is_told_by_name_end_or_network() {
        let host = |text: &str| Host::parse(text).unwrap();
        for (entry, covered, other) in [
            (
                "Platform.Hospital.lan",
                "platform.hospital.lan",
                "a.platform.hospital.lan",
            ),
            (".hospital.lan", "a.b.hospital.lan", "ahospital.lan"),
            (".hospital.lan", "hospital.lan", "hospital.lan.example"),
            ("10.0.0.0/8", "10.9.8.7", "11.0.0.1"),
            ("10.0.0.5", "10.0.0.5", "10.0.0.6"),
            ("fd00::/8", "[fd00::1]", "10.0.0.1"),
            ("127.0.0.0/8", "localhost", "platform"),
        ] {
            let entry = bypass().read(&node(entry), Path::new("")).ok().unwrap();
            assert!(entry.covers(&host(covered)), "{entry} {covered}");
            assert!(!entry.covers(&host(other)), "{entry} {other}");
        }
        for text in ["", ".", "*", "*.lan", "10.0.0.0/40", "a b"] {
            assert!(bypass().read(&node(text), Path::new("")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_a_url_with_a_port_and_without_a_user() {
        let read = |text: &str| proxy().read(&node(text), Path::new(""));
        for text in [
            "http://proxy.hospital:3128",
            "https://10.0.0.1:443",
            "http://[fd00::1]:80",
            "direct",
        ] {
            let value = read(text).ok().unwrap();
            assert_eq!(proxy().show(&value), Plain::Text(text.to_owned()));
        }
        for (text, reason) in [
            ("http://proxy.hospital", "has no port"),
            ("https://[fd00::443]", "has no port"),
            ("socks5://proxy:1080", "http:// or https://"),
            ("proxy:3128", "http:// or https://"),
            ("http://proxy:3128/path", "a proxy has none"),
        ] {
            assert!(read(text).err().unwrap().reason.contains(reason), "{text}");
        }
        let refusal = read("http://user:geheim@proxy:3128").err().unwrap();
        assert!(refusal.hidden && refusal.reason.contains("proxy_password_file"));
    }
}
