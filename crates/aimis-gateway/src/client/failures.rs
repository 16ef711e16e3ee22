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

/// Addresses that are told apart; beyond them, new ones share one allowance.
const MOST_ADDRESSES: usize = 10_000;

type Limiter = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Clock, NoOpMiddleware<Nanos>>;

/// Counts failed sign-ins. Shared by all workers; only requests that failed come here.
pub struct Failures {
    limiter: Option<Limiter>,
    clock: Clock,
}

impl Failures {
    /// `per_minute` failures for each address; 0 for any number.
    pub fn new(per_minute: u32, clock: Clock) -> Self {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self {
            limiter: quota.map(|quota| RateLimiter::new(quota, DashMapStateStore::default(), clock.clone())),
            clock,
        }
    }

    /// Notes a failure of `address`; a unix socket has none and counts as one.
    ///
    /// # Errors
    /// How long to wait, when the address has had its share.
    pub fn note(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let key = if limiter.len() < MOST_ADDRESSES {
            source(address)
        } else {
            source(None)
        };
        limiter
            .check_key(&key)
            .map_err(|until| until.wait_time_from(governor::clock::Clock::now(&self.clock)))
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
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let clock = Clock::manual(0);
        let failures = Failures::new(3, clock.clone());
        let (noisy, other) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));

        for _ in 0..3 {
            assert_eq!(failures.note(noisy), Ok(()));
        }

        let wait = failures.note(noisy).unwrap_err();
        assert_eq!(wait, Duration::from_secs(20));
        assert_eq!(failures.note(other), Ok(()));
        clock.advance(wait);
        assert_eq!(failures.note(noisy), Ok(()));
    }

    #[test]
    fn a_machine_with_many_addresses_is_one_source() {
        let failures = Failures::new(1, Clock::manual(0));
        let address = |text: &str| Some(text.parse().unwrap());

        assert_eq!(failures.note(address("fd00::1")), Ok(()));

        assert!(failures.note(address("fd00::2")).is_err());
        assert_eq!(failures.note(address("fd00:0:0:1::1")), Ok(()));
    }

    #[test]
    fn addresses_are_forgotten_and_bounded() {
        let clock = Clock::manual(0);
        let failures = Failures::new(1, clock.clone());
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
