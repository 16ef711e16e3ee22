//! How an answer came past the cache, for its headers: `Cache-Status` (RFC 9211), never with a key.

use std::time::Duration;

use http::HeaderValue;

use crate::telemetry::labels::CacheResult;

/// Why a question went on towards the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Answers to it are not kept.
    Bypass,
    /// There was no answer.
    Miss,
    /// The answer there was is no longer fresh.
    Stale,
    /// There was a fresh one, and the request's directives did not allow it.
    Request,
}

impl Forward {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

/// How an answer, or that there is none, came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It was kept.
    Kept {
        /// Since when.
        age: Duration,
        /// Seconds that it is still fresh, below 0 since when it is not.
        ttl: i64,
        /// It served though it is not fresh.
        stale: bool,
    },
    /// It was asked for.
    Asked {
        /// Why.
        forward: Forward,
        /// It is kept now.
        stored: bool,
        /// By another request.
        collapsed: bool,
    },
    /// It was not kept and not to be asked for.
    Absent,
}

impl Passage {
    /// Past a cache that was not looked at.
    pub const BYPASS: Self = Self::Asked {
        forward: Forward::Bypass,
        stored: false,
        collapsed: false,
    };

    /// For counting. That nothing was kept and nobody to be asked counts as a miss.
    pub fn result(self) -> CacheResult {
        match self {
            Self::Kept { stale: true, .. } => CacheResult::Stale,
            Self::Kept { stale: false, .. } => CacheResult::Hit,
            Self::Asked { collapsed: true, .. } => CacheResult::Coalesced,
            Self::Asked {
                forward: Forward::Bypass,
                ..
            } => CacheResult::Bypass,
            Self::Asked { .. } | Self::Absent => CacheResult::Miss,
        }
    }

    /// The value of `Cache-Status`.
    pub fn header(self) -> HeaderValue {
        let text = match self {
            Self::Kept { ttl, stale: true, .. } => format!("aimis; hit; ttl={ttl}; detail=stale"),
            Self::Kept { ttl, stale: false, .. } => format!("aimis; hit; ttl={ttl}"),
            Self::Absent => return HeaderValue::from_static("aimis; detail=only-if-cached"),
            // As most do, without making a text of it.
            Self::Asked {
                forward: Forward::Miss,
                stored: true,
                collapsed: false,
            } => return HeaderValue::from_static("aimis; fwd=miss; stored"),
            Self::Asked {
                forward,
                stored,
                collapsed,
            } => {
                let mut text = format!("aimis; fwd={}", forward.as_str());
                for (is, name) in [(stored, "; stored"), (collapsed, "; collapsed")] {
                    if is {
                        text.push_str(name);
                    }
                }
                text
            }
        };
        HeaderValue::try_from(text).expect("words and numbers are legal in a header")
    }

    /// How one answer made of several came about: as the part that had the longest way did.
    pub fn together(self, other: Self) -> Self {
        let way = |passage| match passage {
            Self::Absent => 0,
            Self::Kept { stale: false, .. } => 1,
            Self::Kept { stale: true, .. } => 2,
            Self::Asked { collapsed: true, .. } => 3,
            Self::Asked { collapsed: false, .. } => 4,
        };
        let (longer, shorter) = if way(other) > way(self) {
            (other, self)
        } else {
            (self, other)
        };
        match (longer, shorter) {
            (Self::Kept { age, ttl, stale }, Self::Kept { age: a, ttl: t, .. }) => Self::Kept {
                age: age.max(a),
                ttl: ttl.min(t),
                stale,
            },
            _ => longer,
        }
    }

    /// How old the answer is, if it was kept.
    pub fn age(self) -> Option<Duration> {
        match self {
            Self::Kept { age, .. } => Some(age),
            Self::Asked { .. } | Self::Absent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_passage_has_its_words_and_never_a_key() {
        let kept = |seconds, ttl, stale| Passage::Kept {
            age: Duration::from_secs(seconds),
            ttl,
            stale,
        };
        let asked = |forward, stored, collapsed| Passage::Asked {
            forward,
            stored,
            collapsed,
        };
        for (passage, header, result) in [
            (kept(18, 12, false), "aimis; hit; ttl=12", "hit"),
            (kept(70, -40, true), "aimis; hit; ttl=-40; detail=stale", "stale"),
            (asked(Forward::Miss, true, false), "aimis; fwd=miss; stored", "miss"),
            (
                asked(Forward::Miss, false, true),
                "aimis; fwd=miss; collapsed",
                "coalesced",
            ),
            (asked(Forward::Stale, true, false), "aimis; fwd=stale; stored", "miss"),
            (asked(Forward::Request, false, false), "aimis; fwd=request", "miss"),
            (Passage::BYPASS, "aimis; fwd=bypass", "bypass"),
            (
                asked(Forward::Bypass, false, true),
                "aimis; fwd=bypass; collapsed",
                "coalesced",
            ),
            (Passage::Absent, "aimis; detail=only-if-cached", "miss"),
        ] {
            assert_eq!(passage.header(), header);
            assert_eq!(passage.result().as_str(), result);
        }
        assert_eq!(kept(3, 27, false).together(kept(70, -40, true)), kept(70, -40, true));
        assert_eq!(kept(70, -40, true).together(kept(3, 7, false)), kept(70, -40, true));
        assert_eq!(kept(3, 27, false).together(Passage::BYPASS), Passage::BYPASS);
    }
}
