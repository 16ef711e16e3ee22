//! How many failed sign-ins an address may make in a minute.
//!
//! Keys have 256 bits of chance, so nobody finds one by trying; what the limit keeps small is the noise in
//! the log and the work for a workstation gone wild. A right key therefore always works, also from an address
//! that is over the limit: many hospitals have several systems behind one address, and one that is set up
//! wrongly must not lock out the others.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::telemetry::throttle::Throttle;

/// Addresses that are told apart; while there are more, all share one allowance.
const MOST_ADDRESSES: usize = 10_000;

/// Stand for what has no address, out of a range that no packet comes from (100::/64, RFC 6666).
const UNIX_SOCKETS: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));
const ALL_OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 2));

type Limiter = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Clock, NoOpMiddleware<Nanos>>;

/// Counts failed sign-ins. Shared by all workers; only requests that failed come here.
pub struct Failures {
    limiter: Option<Limiter>,
    clock: Clock,
    lines: Throttle,
}

/// An address has had its share.
#[derive(Debug, PartialEq, Eq)]
pub struct Limited {
    /// How long to wait.
    pub wait: Duration,
    /// Lines of the log that were left out since the last; `None` to leave this one out as well.
    pub left_out: Option<u64>,
}

impl Failures {
    /// `per_minute` failures for each address, 0 for any number; those beyond are a line of the log per `interval`.
    pub fn new(per_minute: u32, interval: Duration, clock: Clock) -> Self {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self {
            limiter: quota.map(|quota| RateLimiter::new(quota, DashMapStateStore::default(), clock.clone())),
            lines: Throttle::new(interval, clock.clone()),
            clock,
        }
    }

    /// Notes a failure of `address`; a unix socket has none and counts as one.
    ///
    /// # Errors
    /// [`Limited`].
    pub fn note(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let key = if limiter.len() < MOST_ADDRESSES {
            source(address)
        } else {
            ALL_OTHERS
        };
        limiter.check_key(&key).map_err(|until| Limited {
            wait: until.wait_time_from(governor::clock::Clock::now(&self.clock)),
            left_out: self.lines.pass(),
        })
    }

    /// Forgets addresses that have been quiet; called now and then.
    pub fn forget_quiet(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// What counts as one source: a machine has a whole /64 of IPv6 addresses.
fn source(address: Option<IpAddr>) -> IpAddr {
    match address {
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        Some(address) => address,
        None => UNIX_SOCKETS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let clock = Clock::manual(0);
        let failures = Failures::new(3, Duration::ZERO, clock.clone());
        let (noisy, other) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));

        for _ in 0..3 {
            assert_eq!(failures.note(noisy), Ok(()));
        }

        let wait = failures.note(noisy).unwrap_err().wait;
        assert_eq!(wait, Duration::from_secs(20));
        assert_eq!(failures.note(other), Ok(()));
        clock.advance(wait);
        assert_eq!(failures.note(noisy), Ok(()));
    }

    #[test]
    fn a_machine_with_many_addresses_is_one_source() {
        let failures = Failures::new(1, Duration::ZERO, Clock::manual(0));
        let address = |text: &str| Some(text.parse().unwrap());

        assert_eq!(failures.note(address("fd00::1")), Ok(()));

        assert!(failures.note(address("fd00::2")).is_err());
        assert_eq!(failures.note(address("fd00:0:0:1::1")), Ok(()));
    }

    #[test]
    fn addresses_are_forgotten_and_bounded() {
        let clock = Clock::manual(0);
        let failures = Failures::new(1, Duration::ZERO, clock.clone());
        for number in 0..MOST_ADDRESSES as u32 + 100 {
            let _ = failures.note(Some(std::net::Ipv4Addr::from_bits(number).into()));
        }
        let count = |failures: &Failures| failures.limiter.as_ref().unwrap().len();
        assert!(count(&failures) <= MOST_ADDRESSES + 1);

        clock.advance(Duration::from_secs(120));
        failures.forget_quiet();

        assert_eq!(count(&failures), 0);
    }
}
