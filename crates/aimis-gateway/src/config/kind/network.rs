//! Networks that a client may come from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its first address; the bits behind the prefix are 0.
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` belongs to it. An IPv4 address that comes in IPv6's form is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix).is_some_and(|first| first == self.first)
    }

    /// Number of leading bits that count: of two networks with an address in both, the longer is the closer.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// `address` with only its first `prefix` bits; `None` if it has fewer.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix.into())?).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix.into())?).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    })
}

/// A network, or one address.
pub(in crate::config) struct NetworkKind;

/// A network, or one address.
pub(in crate::config) fn network() -> NetworkKind {
    NetworkKind
}

impl Kind for NetworkKind {
    type Value = Network;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Network, Refusal> {
        let wrong = || Refusal::not("an address or a network, like 10.0.0.5 or 10.0.0.0/16", node);
        let text = node.text().ok_or_else(wrong)?;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if !digits.bytes().all(|b| b.is_ascii_digit()) => return Err(wrong()),
            Some(digits) => digits.parse().map_err(|_| wrong())?,
            None => whole,
        };
        if address.to_canonical() != address {
            return Err(Refusal::new(
                "is an IPv4 address in IPv6's form; write the IPv4 address",
            ));
        }
        let first = masked(address, prefix).ok_or_else(wrong)?;
        if first != address {
            let reason = format!("has bits behind its prefix; did you mean {first}/{prefix} or {address}?");
            return Err(Refusal::new(reason));
        }
        Ok(Network { first, prefix })
    }

    fn show(&self, value: &Network) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"});
        Shape::new(schema, "`\"10.0.0.5\"`, `\"10.0.0.0/16\"`, `\"fd00::/8\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<Network, String> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        network().read(&node, Path::new("")).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_network_holds_its_addresses_and_not_the_neighbours() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00:1::/32", "fd00:1:ffff::1", "fd00:2::1"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:11.1.1.1"),
        ] {
            let network = read(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_likely_one() {
        assert!(read("10.1.2.3/16").unwrap_err().contains("10.1.0.0/16"));
        for text in [
            "10.1.2.0/33",
            "10.1.2/24",
            "hospital",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "::ffff:10.0.0.1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
