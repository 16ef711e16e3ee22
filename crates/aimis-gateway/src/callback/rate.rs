//! How many callbacks an address may send a second, judged before anything is read, compared or decrypted.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::sources;

/// Addresses that are told apart; while there are more, all others share one allowance.
const MOST_ADDRESSES: usize = 10_000;

/// Stand for what has no address, out of a range that no packet comes from (100::/64, RFC 6666).
const UNIX_SOCKETS: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));
const ALL_OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 2));

type Limiter = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Clock, NoOpMiddleware<Nanos>>;

/// Counts callbacks by address.
pub struct Rate(Option<Limiter>);

impl Rate {
    /// `callback.max_per_source_per_s`; 0 is no limit.
    pub fn new(per_second: u32, clock: Clock) -> Self {
        let quota = NonZeroU32::new(per_second).map(Quota::per_second);
        Self(quota.map(|quota| RateLimiter::new(quota, DashMapStateStore::default(), clock)))
    }

    /// Whether one more from `address` is within its share.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let Some(limiter) = &self.0 else { return true };
        let key = match address {
            _ if limiter.len() >= MOST_ADDRESSES => ALL_OTHERS,
            Some(address) => sources::network_of(address),
            None => UNIX_SOCKETS,
        };
        limiter.check_key(&key).is_ok()
    }

    /// Forgets addresses that have been quiet; called now and then.
    pub fn forget_quiet(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_has_its_share_and_takes_none_of_another() {
        let clock = Clock::manual(1_735_689_600_000);
        let rate = Rate::new(2, clock.clone());
        let one = Some(IpAddr::from([192, 0, 2, 1]));
        let other = Some(IpAddr::from([192, 0, 2, 2]));

        assert!(rate.admits(one) && rate.admits(one));
        assert!(!rate.admits(one));
        assert!(rate.admits(other) && rate.admits(None));
        clock.advance(Duration::from_millis(500));
        assert!(rate.admits(one) && !rate.admits(one));
        assert!(Rate::new(0, clock).admits(one));
    }
}
