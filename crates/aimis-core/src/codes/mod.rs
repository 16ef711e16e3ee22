//! The platform's business codes as data: what each means, its class, and what follows from it (section 7).
//!
//! Every answer of the platform is HTTP 200, so the `code` in the envelope is all there is to tell success from
//! failure. The same number means other things on sibling APIs, hence the overrides per API.

mod class;
mod table;
mod text;

use std::time::Duration;

pub use class::{Class, UnknownClass};

/// What one code means and what the gateway does about it. "Relay" is no flag: every code is relayed unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What kind of outcome it is.
    pub class: Class,
    /// The query may be repeated, once, with jitter, inside the caller's deadline.
    pub retry: bool,
    /// Before the repetition the clock offset is measured again: the signature may be wrong because the time is.
    pub resign: bool,
    /// Upper limit for caching this "no data", since data may appear soon. `None`: the configured time.
    pub negative_ttl_cap: Option<Duration>,
    /// Closes the tenant's tap towards the platform for a while.
    pub brake: bool,
    /// An operator should look at a single occurrence. Rising rates are seen by the counters and are no matter of this
    /// flag.
    pub alert: bool,
    /// The code's meaning in English.
    pub meaning_en: &'static str,
    /// The code's meaning in Chinese.
    pub meaning_zh: &'static str,
    /// What an operator can do.
    pub remedy_en: &'static str,
}

impl Rule {
    /// Whether an answer of this code may be cached: success and "no data" only (design.md, section 4).
    pub const fn is_cacheable(&self) -> bool {
        matches!(self.class, Class::Success | Class::NoData)
    }
}

/// The code table with its overrides.
#[derive(Clone, Debug)]
pub struct Codes {
    overrides: Vec<Override>,
}

#[derive(Clone, Debug)]
struct Override {
    /// `None`: every API.
    api: Option<String>,
    code: i64,
    rule: Rule,
}

impl Codes {
    /// The table of section 7, without overrides.
    pub const fn builtin() -> Self {
        Self { overrides: Vec::new() }
    }

    /// Gives `code` another class, for one API or (`None`) for all. What follows from a class (retry, cache, alert)
    /// follows, but for `retry` where that is given; the meaning stays. With the class it has already a code keeps all
    /// else that the table says of it. One for an API goes before one for all; of two equal ones the later counts.
    pub fn with_override(mut self, api: Option<&str>, code: i64, class: Class, retry: Option<bool>) -> Self {
        let known = builtin(code).unwrap_or(&table::UNKNOWN);
        let mut rule = if class == known.class {
            *known
        } else {
            table::rule(class, known.meaning_en, known.meaning_zh)
        };
        if let Some(retry) = retry {
            // A signature that is made anew is a repetition, too.
            rule = Rule {
                retry,
                resign: rule.resign && retry,
                ..rule
            };
        }
        self.overrides.retain(|o| o.code != code || o.api.as_deref() != api);
        self.overrides.push(Override {
            api: api.map(str::to_owned),
            code,
            rule,
        });
        self
    }

    /// The rule for `code` in an answer of `api`. An undocumented code has class [`Class::Unknown`].
    pub fn lookup(&self, api: &str, code: i64) -> &Rule {
        let set = |wanted: Option<&str>| {
            self.overrides
                .iter()
                .find(|o| o.code == code && o.api.as_deref() == wanted)
                .map(|o| &o.rule)
        };
        set(Some(api))
            .or_else(|| set(None))
            .or_else(|| builtin(code))
            .unwrap_or(&table::UNKNOWN)
    }

    /// Every code of the table and the overrides, ascending and once: the closed set of a metric's label, to which the
    /// metric adds `other`.
    pub fn documented(&self) -> impl Iterator<Item = i64> {
        let mut codes: Vec<i64> = table::TABLE.iter().map(|(code, _)| *code).collect();
        codes.extend(self.overrides.iter().map(|o| o.code));
        codes.sort_unstable();
        codes.dedup();
        codes.into_iter()
    }

    /// Whether [`documented`](Self::documented) has `code`.
    pub fn is_documented(&self, code: i64) -> bool {
        builtin(code).is_some() || self.overrides.iter().any(|o| o.code == code)
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self::builtin()
    }
}

/// The built-in table as TOML with comments: the content of `config/codes.toml`, which a test compares.
pub fn to_toml() -> String {
    text::write(table::TABLE)
}

fn builtin(code: i64) -> Option<&'static Rule> {
    let at = table::TABLE.binary_search_by_key(&code, |(code, _)| *code).ok()?;
    Some(&table::TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "patientStudies";

    #[test]
    fn the_table_is_ascending_and_complete() {
        assert!(table::TABLE.is_sorted_by(|(a, _), (b, _)| a < b));
        let ranges = [
            0..=2,
            10_001..=10_005,
            20_001..=20_032,
            30_001..=30_015,
            40_001..=40_011,
            50_001..=50_006,
            60_001..=60_006,
            90_001..=90_003,
            100_001..=100_004,
        ];
        let documented: Vec<i64> = Codes::builtin().documented().collect();
        assert_eq!(documented, ranges.into_iter().flatten().collect::<Vec<i64>>());
        assert!(documented.iter().all(|&code| Codes::builtin().is_documented(code)));
    }

    #[test]
    fn each_class_follows_section_7() {
        let codes = Codes::builtin();
        let class = |code| codes.lookup(API, code).class;
        let expected = [
            (Class::Success, vec![0]),
            (Class::Transient, vec![1, 2, 100_002, 100_003, 30_001]),
            (
                Class::Caller,
                vec![100_001, 10_004, 10_005, 20_030, 20_031, 50_003, 50_005, 50_006],
            ),
            (Class::NoData, vec![100_004, 10_003, 30_002, 30_003, 30_008]),
            (Class::Limit, vec![20_003, 20_004, 50_001, 50_004, 90_003]),
            (Class::Auth, vec![20_005, 20_006, 20_007, 90_001, 90_002]),
            (Class::Permission, vec![20_008, 20_010, 20_011, 20_012, 30_009, 50_002]),
            (Class::Configuration, vec![20_016, 20_023]),
            (Class::Unknown, vec![20_013, 20_014, 77_777, -1]),
            (
                Class::Unexpected,
                vec![10_001, 20_001, 20_015, 20_032, 30_015, 40_001, 60_006],
            ),
        ];
        for (wanted, list) in expected {
            for code in list {
                assert_eq!(class(code), wanted, "{code}");
            }
        }
    }

    #[test]
    fn what_follows_from_a_code_is_that_of_section_7() {
        let codes = Codes::builtin();
        let rule = |code| codes.lookup(API, code);

        let retried: Vec<i64> = codes.documented().filter(|&code| rule(code).retry).collect();
        assert_eq!(retried, [1, 2, 30_001, 90_001, 90_002, 100_002, 100_003]);
        let resigned: Vec<i64> = codes.documented().filter(|&code| rule(code).resign).collect();
        assert_eq!(resigned, [90_001, 90_002]);
        let alerted: Vec<i64> = codes.documented().filter(|&code| rule(code).alert).collect();
        assert_eq!(
            alerted,
            [
                20_005, 20_006, 20_007, 20_008, 20_010, 20_011, 20_012, 20_016, 20_023, 90_001, 90_002, 90_003
            ]
        );
        let cached: Vec<i64> = codes.documented().filter(|&code| rule(code).is_cacheable()).collect();
        assert_eq!(cached, [0, 10_003, 30_002, 30_003, 30_008, 100_004]);
        assert_eq!(rule(30_008).negative_ttl_cap, Some(Duration::from_secs(5)));
        assert!(rule(90_003).brake && !rule(20_003).brake);
    }

    #[test]
    fn an_override_for_an_api_goes_before_one_for_all() {
        let codes = Codes::builtin()
            .with_override(None, 10_003, Class::Auth, None)
            .with_override(Some(API), 10_003, Class::Limit, None)
            .with_override(Some(API), 10_003, Class::Transient, None)
            .with_override(None, 12_345, Class::Caller, None);

        assert_eq!(codes.lookup(API, 10_003).class, Class::Transient);
        assert!(codes.lookup(API, 10_003).retry);
        assert_eq!(codes.lookup("patientReportUrl", 10_003).class, Class::Auth);
        assert_eq!(
            codes.lookup(API, 10_003).meaning_en,
            Codes::builtin().lookup(API, 10_003).meaning_en
        );
        assert!(codes.is_documented(12_345) && codes.documented().any(|code| code == 12_345));
    }

    #[test]
    fn an_override_changes_what_it_says_and_no_more() {
        let codes = Codes::builtin()
            .with_override(None, 90_001, Class::Auth, None)
            .with_override(None, 90_002, Class::Auth, Some(false))
            .with_override(None, 30_001, Class::Transient, Some(false))
            .with_override(None, 20_014, Class::NoData, Some(true));

        assert_eq!(codes.lookup(API, 90_001), Codes::builtin().lookup(API, 90_001));
        assert!(!codes.lookup(API, 90_002).resign && !codes.lookup(API, 90_002).retry);
        assert!(!codes.lookup(API, 30_001).retry);
        assert!(codes.lookup(API, 20_014).retry && codes.lookup(API, 20_014).is_cacheable());
    }

    #[test]
    fn the_file_in_config_is_the_table() {
        let file = include_str!("../../../../config/codes.toml");
        assert_eq!(file, to_toml(), "write it anew: cargo xtask docs");
    }
}
