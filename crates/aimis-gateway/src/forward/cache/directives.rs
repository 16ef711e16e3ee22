//! What a request says about kept answers: `Cache-Control` (RFC 9111, section 5.2.1) and `Pragma`.
//!
//! `max-stale` and `min-fresh` change nothing: an old answer serves where the platform fails, never because a
//! caller would take it. What is malformed is as if it were not there.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

/// What a request says about kept answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-cache`: ask the platform, whatever is kept; keep what it says.
    pub no_cache: bool,
    /// `no-store`: as if there were no cache.
    pub no_store: bool,
    /// `only-if-cached`: do not ask the platform.
    pub only_if_cached: bool,
    /// `max-age`: nothing older, not even where the platform fails.
    pub max_age: Option<Duration>,
}

impl Directives {
    /// Reads the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        let mut any = false;
        for value in headers.get_all(CACHE_CONTROL) {
            any = true;
            for directive in value.as_bytes().split(|b| *b == b',') {
                said.read(directive.trim_ascii());
            }
        }
        if !any {
            said.no_cache = headers.get_all(PRAGMA).iter().any(|value| {
                let mut words = value.as_bytes().split(|b| *b == b',');
                words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
            });
        }
        said
    }

    fn read(&mut self, directive: &[u8]) {
        let is = |name: &[u8]| directive.eq_ignore_ascii_case(name);
        if is(b"no-cache") {
            self.no_cache = true;
        } else if is(b"no-store") {
            self.no_store = true;
        } else if is(b"only-if-cached") {
            self.only_if_cached = true;
        } else if let Some(seconds) = max_age(directive) {
            // Twice is contradictory: the stricter holds.
            self.max_age = Some(self.max_age.map_or(seconds, |other| other.min(seconds)));
        }
    }
}

/// `max-age=30`, or `max-age="30"` as some send it.
fn max_age(directive: &[u8]) -> Option<Duration> {
    let (name, value) = std::str::from_utf8(directive).ok()?.split_once('=')?;
    if !name.eq_ignore_ascii_case("max-age") {
        return None;
    }
    let digits = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // More than fits is as good as for ever.
    all_digits.then(|| Duration::from_secs(digits.parse().unwrap_or(u32::MAX.into())))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(headers: &[(http::HeaderName, &'static str)]) -> Directives {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        Directives::of(&map)
    }

    #[test]
    fn directives_are_read_in_any_case_and_over_several_lines() {
        let none = Directives::default();
        let no_cache = Directives { no_cache: true, ..none };
        let age = |seconds| Directives {
            max_age: Some(Duration::from_secs(seconds)),
            ..none
        };
        for (text, wanted) in [
            ("no-cache", no_cache),
            ("No-Cache", no_cache),
            ("no-store", Directives { no_store: true, ..none }),
            (
                "only-if-cached",
                Directives {
                    only_if_cached: true,
                    ..none
                },
            ),
            ("max-age=5", age(5)),
            ("max-age=\"5\"", age(5)),
            ("max-age=5, max-age=3", age(3)),
            ("max-age=99999999999999999999", age(u32::MAX.into())),
            (
                "max-age=0 , no-cache",
                Directives {
                    no_cache: true,
                    ..age(0)
                },
            ),
            ("max-stale=60, min-fresh=1, no-transform, x", none),
            ("max-age", none),
            ("max-age=", none),
            ("max-age=-1", none),
            ("max-age=1s", none),
            ("no-cache=x", none),
            ("", none),
        ] {
            assert_eq!(read(&[(CACHE_CONTROL, text)]), wanted, "{text}");
        }
        assert_eq!(
            read(&[(CACHE_CONTROL, "max-age=9"), (CACHE_CONTROL, "max-age=4")]),
            age(4)
        );
        assert_eq!(read(&[(PRAGMA, "no-cache")]), no_cache);
        // RFC 9111, section 5.4: where there is a Cache-Control, Pragma says nothing.
        assert_eq!(read(&[(PRAGMA, "no-cache"), (CACHE_CONTROL, "max-age=9")]), age(9));
        assert_eq!(read(&[]), none);
    }
}
