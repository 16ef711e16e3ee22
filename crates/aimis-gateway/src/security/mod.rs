//! Settings that work and are a risk: each with a grade, why it is one, and what to do (`check --security`).
//!
//! What is refused is not among them: a configuration that can only do harm does not load (`config::check`). Every
//! rule stands in one of the files below as a constant, and in docs/security.md.

mod callbacks;
mod clients;
mod disk;
mod process;
mod records;
mod tokens;
mod way_out;

use std::path::Path;

use aimis_core::sign::Timestamp;

use crate::config::Config;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Somebody can read or change what they must not, as things are.
    Serious,
    /// One mistake or one stolen thing more, and they can.
    Moderate,
    /// Good to know, and to have decided.
    Minor,
}

impl Grade {
    /// Every grade, gravest first.
    pub const ALL: [Self; 3] = [Self::Serious, Self::Moderate, Self::Minor];

    /// Stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serious => "serious",
            Self::Moderate => "moderate",
            Self::Minor => "minor",
        }
    }
}

/// What is looked for.
#[derive(Debug)]
pub struct Rule {
    /// The key that decides it, without an index where there are several; `disk.…` and `process.…` where no key does.
    pub key: &'static str,
    /// How grave it is.
    pub grade: Grade,
    /// What can happen. One sentence, without a full stop.
    pub why: &'static str,
    /// What to do. One sentence.
    pub fix: &'static str,
}

/// A rule that something breaks.
#[derive(Debug)]
pub struct Finding {
    /// Which.
    pub rule: &'static Rule,
    /// Whose: a tenant, a client, a file, an address. Empty where there is only one.
    pub about: String,
}

/// Every rule there is, in the order in which they are looked at.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        clients::RULES,
        callbacks::RULES,
        way_out::RULES,
        disk::RULES,
        process::RULES,
        records::RULES,
        tokens::RULES,
    ]
    .concat()
    .into_iter()
}

/// Everything that a security reviewer should look at, gravest first. `file` is the configuration's own, `now` the time
/// that the ends of tokens are compared with.
pub fn examine(config: &Config, file: Option<&Path>, now: Timestamp) -> Vec<Finding> {
    let mut found = Found(Vec::new());
    clients::examine(config, &mut found);
    callbacks::examine(config, &mut found);
    way_out::examine(config, &mut found);
    disk::examine(config, file, &mut found);
    process::examine(config, &mut found);
    records::examine(config, &mut found);
    tokens::examine(config, now, &mut found);
    found.0.sort_by_key(|finding| finding.rule.grade);
    found.0
}

/// What the log says at the start: serious and moderate findings, each rule once. Two of them have notices of their own
/// (`config::notices`) and are left to these.
pub fn at_start(config: &Config, file: Option<&Path>, now: Timestamp) -> Vec<&'static Rule> {
    let mut found = Found(examine(config, file, now));
    process::examine_user(&mut found);
    let mut rules: Vec<&'static Rule> = Vec::new();
    for Finding { rule, .. } in found.0 {
        let told = rules.iter().any(|other| std::ptr::eq(*other, rule));
        if rule.grade < Grade::Minor && !told && !NOTICED.contains(&rule.key) {
            rules.push(rule);
        }
    }
    rules
}

/// Keys whose risk has a notice.
const NOTICED: [&str; 2] = ["lan.tls", "callback.signature"];

/// What was found so far.
struct Found(Vec<Finding>);

impl Found {
    /// Adds a finding where `risky`.
    fn check(&mut self, risky: bool, rule: &'static Rule, about: impl Into<String>) {
        if risky {
            let about = about.into();
            self.0.push(Finding { rule, about });
        }
    }
}

#[cfg(test)]
mod tests;
