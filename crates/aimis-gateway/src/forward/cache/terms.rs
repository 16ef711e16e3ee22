//! How long an answer may serve, and what for: decided when it comes, from configuration and code.

use std::time::Duration;

use aimis_core::codes::{Class, Rule};
use http::StatusCode;

/// The times of one tenant and one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether answers are kept at all.
    pub enabled: bool,
    /// Whether equal questions at one time are asked once.
    pub coalesce: bool,
    /// An answer with findings serves in place of the platform's for so long.
    pub fresh: Duration,
    /// One without findings.
    pub negative: Duration,
    /// Beyond `fresh`, one with findings serves for so long where the platform fails.
    pub stale_if_error: Duration,
    /// Beyond `fresh`, one with findings serves at once for so long, while the platform is asked for the next.
    pub stale_while_revalidate: Duration,
}

/// How long one answer serves, from when it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// In place of the platform's.
    pub fresh: Duration,
    /// At once, while the next is fetched.
    pub while_revalidate: Duration,
    /// Where the platform fails.
    pub if_error: Duration,
}

impl Life {
    /// The end of all use.
    pub fn longest(self) -> Duration {
        self.fresh.max(self.while_revalidate).max(self.if_error)
    }
}

impl Terms {
    /// The life of an answer with this status and of a code with this rule; `empty` if its `data` holds nothing.
    /// `None`: it is not kept.
    ///
    /// What holds no findings serves for seconds and never stale: a wrong emptiness is the clinical risk (P9).
    pub fn life(&self, status: StatusCode, rule: &Rule, empty: bool) -> Option<Life> {
        if !self.enabled || status != StatusCode::OK || !rule.is_cacheable() {
            return None;
        }
        let life = if rule.class == Class::NoData || empty {
            let cap = rule.negative_ttl_cap.unwrap_or(self.negative);
            Life {
                fresh: self.negative.min(cap),
                ..Life::default()
            }
        } else {
            Life {
                fresh: self.fresh,
                while_revalidate: self.fresh + self.stale_while_revalidate,
                if_error: self.fresh + self.stale_if_error,
            }
        };
        (!life.longest().is_zero()).then_some(life)
    }
}

/// Whether an answer ends what was kept before: it is another answer to the question, or says that the question or
/// the hospital is wrong. What means neither leaves an older answer where it is, for the day that it is needed.
pub fn contradicts(status: StatusCode, rule: Option<&Rule>) -> bool {
    !is_failure(status, rule)
        && rule.is_some_and(|rule| {
            matches!(
                rule.class,
                Class::Success | Class::NoData | Class::Caller | Class::Configuration | Class::Auth | Class::Permission
            )
        })
}

/// Whether an answer says that the platform failed, not that this question or this hospital is wrong.
pub fn is_failure(status: StatusCode, rule: Option<&Rule>) -> bool {
    let too_much = status == StatusCode::TOO_MANY_REQUESTS;
    match rule.map(|rule| rule.class) {
        Some(Class::Success | Class::NoData) => status.is_server_error() || too_much,
        Some(Class::Transient | Class::Limit) => true,
        Some(Class::Caller | Class::Configuration | Class::Auth | Class::Permission) => false,
        Some(Class::Unexpected | Class::Unknown) | None => status.is_server_error() || too_much,
    }
}

#[cfg(test)]
mod tests {
    use aimis_core::codes::Codes;

    use super::*;

    const TERMS: Terms = Terms {
        enabled: true,
        coalesce: true,
        fresh: Duration::from_secs(30),
        negative: Duration::from_secs(10),
        stale_if_error: Duration::from_secs(300),
        stale_while_revalidate: Duration::ZERO,
    };

    #[test]
    fn only_success_and_no_data_live_and_what_is_empty_lives_for_seconds() {
        let codes = Codes::builtin();
        let life = |status: u16, code, empty| {
            let status = StatusCode::from_u16(status).unwrap();
            TERMS
                .life(status, codes.lookup("patientStudies", code), empty)
                .map(|life| (life.fresh.as_secs(), life.if_error.as_secs()))
        };
        assert_eq!(life(200, 0, false), Some((30, 330)));
        assert_eq!(life(200, 0, true), Some((10, 0)));
        assert_eq!(life(200, 100_004, true), Some((10, 0)));
        assert_eq!(life(200, 30_008, true), Some((5, 0)));
        assert_eq!(life(502, 0, false), None);
        assert_eq!(life(206, 0, false), None);
        assert_eq!(life(404, 0, false), None);
        for code in codes.documented().chain([77_777]) {
            let kept = [0, 10_003, 30_002, 30_003, 30_008, 100_004].contains(&code);
            assert_eq!(life(200, code, false).is_some(), kept, "{code}");
        }
        let off = Terms {
            enabled: false,
            ..TERMS
        };
        assert_eq!(off.life(StatusCode::OK, codes.lookup("patientStudies", 0), false), None);
    }

    #[test]
    fn what_speaks_of_the_question_or_the_hospital_is_no_failure_of_the_platform() {
        let codes = Codes::builtin();
        let failure = |status: u16, code| {
            is_failure(
                StatusCode::from_u16(status).unwrap(),
                Some(codes.lookup("patientStudies", code)),
            )
        };
        for (status, code, wanted) in [
            (200, 0, false),
            (200, 100_004, false),
            (503, 0, true),
            (200, 30_001, true),
            (200, 90_003, true),
            (200, 90_001, false),
            (503, 90_001, false),
            (200, 20_008, false),
            (200, 100_001, false),
            (200, 77_777, false),
            (500, 77_777, true),
        ] {
            assert_eq!(failure(status, code), wanted, "{status} {code}");
        }
        assert!(is_failure(StatusCode::BAD_GATEWAY, None));
        assert!(is_failure(StatusCode::TOO_MANY_REQUESTS, None));
        assert!(!is_failure(StatusCode::OK, None));
    }

    #[test]
    fn only_what_answers_or_blames_the_question_ends_what_was_kept() {
        let codes = Codes::builtin();
        let ends = |status: u16, code: Option<i64>| {
            let rule = code.map(|code| codes.lookup("patientStudies", code));
            contradicts(StatusCode::from_u16(status).unwrap(), rule)
        };
        for (status, code, wanted) in [
            (200, Some(0), true),
            (200, Some(100_004), true),
            (200, Some(100_001), true),
            (200, Some(20_008), true),
            (200, Some(90_001), true),
            (200, Some(20_016), true),
            (200, Some(90_003), false),
            (200, Some(30_001), false),
            (200, Some(77_777), false),
            (200, None, false),
            (404, None, false),
            (429, None, false),
            (429, Some(0), false),
            (503, Some(0), false),
        ] {
            assert_eq!(ends(status, code), wanted, "{status} {code:?}");
        }
    }
}
