//! How many connections each address has: one workstation that opens all it can must leave room for the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who counts as one: an address of IPv4, or a /64 network of IPv6, within which one machine has as many
/// addresses as it likes (RFC 4291, section 2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        Self(network_of(address))
    }
}

/// What stands for `address` where addresses are counted: itself, or its /64 network of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

type Counts = Mutex<HashMap<Source, usize>>;

/// Open connections by source. Has entries for open connections only, so it is never larger than their number.
#[derive(Clone)]
pub struct Sources {
    most: usize,
    counts: Arc<Counts>,
}

/// A connection's place; given back when dropped.
pub struct Seat {
    source: Source,
    counts: Arc<Counts>,
}

/// The address has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFull;

impl Sources {
    /// At most `most` connections a source; 0 is no limit.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            counts: Arc::default(),
        }
    }

    /// Takes a place for a connection from `address`; there is nothing to take without a limit, or on a unix
    /// socket, which has no address.
    ///
    /// # Errors
    /// When the address has none left.
    pub fn take(&self, address: Option<IpAddr>) -> Result<Option<Seat>, SourceFull> {
        let Some(address) = address.filter(|_| self.most > 0) else {
            return Ok(None);
        };
        let source = Source::of(address);
        let mut counts = lock(&self.counts);
        let count = counts.entry(source).or_default();
        // One that is full has connections, so no empty entry is left behind.
        if *count >= self.most {
            return Err(SourceFull);
        }
        *count += 1;
        Ok(Some(Seat {
            source,
            counts: Arc::clone(&self.counts),
        }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = lock(&self.counts).entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

fn lock(counts: &Counts) -> MutexGuard<'_, HashMap<Source, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_places_and_takes_none_of_another() {
        let sources = Sources::new(2);
        let first = sources.take(ip("10.0.0.1")).unwrap();
        let _second = sources.take(ip("::ffff:10.0.0.1")).unwrap();

        assert_eq!(sources.take(ip("10.0.0.1")).err(), Some(SourceFull));
        assert!(sources.take(ip("10.0.0.2")).unwrap().is_some());
        drop(first);
        assert!(sources.take(ip("10.0.0.1")).unwrap().is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let sources = Sources::new(1);
        let _seat = sources.take(ip("2001:db8:0:1::1")).unwrap();

        assert!(sources.take(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(sources.take(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn who_is_gone_leaves_nothing_behind() {
        let sources = Sources::new(1);
        for last in 0..=255 {
            drop(sources.take(Some(IpAddr::from([10, 0, 0, last]))).unwrap());
        }

        assert!(lock(&sources.counts).is_empty());
    }

    #[test]
    fn no_limit_and_no_address_need_no_place() {
        let open = Sources::new(0);
        assert!((0..9).all(|_| open.take(ip("10.0.0.1")).is_ok_and(|seat| seat.is_none())));
        let closed = Sources::new(1);
        assert!((0..9).all(|_| closed.take(None).is_ok_and(|seat| seat.is_none())));
    }
}
