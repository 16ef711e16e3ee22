//! What a caller learns of its quota: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers
//! (revision 10), both lists of RFC 9651, and the older `X-RateLimit-*` where `limits.legacy_headers` says so.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::bucket::Bucket;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How it stands with one quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name, without characters that a string of RFC 9651 would have to escape.
    name: &'static str,
    /// What it lets through at once.
    burst: u32,
    /// The time in which that comes back.
    window: Duration,
    /// What it lets through now.
    left: u32,
    /// When there is more: all of it, or, if it refused, enough.
    reset: Duration,
}

impl Standing {
    /// A quota of `burst`, one every `period`, which has `left` and more after `reset`.
    pub(super) fn of(name: &'static str, (period, burst): (Duration, u32), left: u32, reset: Option<Duration>) -> Self {
        Self {
            name,
            burst,
            window: period.saturating_mul(burst),
            left,
            reset: reset.unwrap_or_else(|| period.saturating_mul(burst.saturating_sub(left))),
        }
    }

    /// `bucket` let a question pass, and has `left`.
    pub(super) fn passed(name: &'static str, bucket: &Bucket, left: u32) -> Self {
        Self {
            reset: bucket.period() * bucket.burst().saturating_sub(left),
            left,
            ..Self::refused(name, bucket, Duration::ZERO)
        }
    }

    /// `bucket` refused a question, which may come again after `wait`.
    pub(super) fn refused(name: &'static str, bucket: &Bucket, wait: Duration) -> Self {
        Self {
            name,
            burst: bucket.burst(),
            window: bucket.period().saturating_mul(bucket.burst()),
            left: 0,
            reset: wait,
        }
    }
}

/// How it stands with the quotas that a request met: two of its client, one of its tenant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standings([Option<Standing>; 3]);

impl Standings {
    /// Notes one more.
    pub fn note(&mut self, standing: Standing) {
        if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(standing);
        }
    }

    /// Tells the caller; `legacy` also in the older form, which knows one quota: the one with the least left.
    pub fn write(&self, headers: &mut HeaderMap, legacy: bool) {
        let all = || self.0.iter().flatten();
        let Some(tightest) = all().min_by_key(|standing| (standing.left, std::cmp::Reverse(standing.reset))) else {
            return;
        };
        let mut policies = String::new();
        let mut limits = String::new();
        for Standing {
            name,
            burst,
            window,
            left,
            reset,
        } in all()
        {
            let comma = if policies.is_empty() { "" } else { ", " };
            let (window, reset) = (whole_seconds(*window).max(1), whole_seconds(*reset));
            // Writing to a String cannot fail.
            let _ = write!(policies, "{comma}\"{name}\";q={burst};w={window}");
            let _ = write!(limits, "{comma}\"{name}\";r={left};t={reset}");
        }
        for (header, text) in [(RATELIMIT_POLICY, policies), (RATELIMIT, limits)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(header, value);
            }
        }
        if legacy {
            headers.insert(X_RATELIMIT_LIMIT, tightest.burst.into());
            headers.insert(X_RATELIMIT_REMAINING, tightest.left.into());
            headers.insert(X_RATELIMIT_RESET, whole_seconds(tightest.reset).into());
        }
    }
}

/// Rounded up: whoever waits that long has waited long enough.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn quotas_are_told_as_the_draft_writes_them() {
        let clock = Clock::manual(0);
        let client = Bucket::new(Duration::from_millis(100), 20, &clock);
        let api = Bucket::new(Duration::from_secs(3), 2, &clock);
        let mut standings = Standings::default();
        let mut headers = HeaderMap::new();
        standings.write(&mut headers, true);
        assert!(headers.is_empty());

        standings.note(Standing::passed("client-api", &api, 1));
        standings.note(Standing::refused("client", &client, Duration::from_millis(2_001)));
        standings.write(&mut headers, false);

        assert_eq!(headers[RATELIMIT_POLICY], "\"client-api\";q=2;w=6, \"client\";q=20;w=2");
        assert_eq!(headers[RATELIMIT], "\"client-api\";r=1;t=3, \"client\";r=0;t=3");
        assert_eq!(headers.len(), 2);
        standings.write(&mut headers, true);
        assert_eq!(headers[X_RATELIMIT_LIMIT], "20");
        assert_eq!(headers[X_RATELIMIT_REMAINING], "0");
        assert_eq!(headers[X_RATELIMIT_RESET], "3");
    }
}
