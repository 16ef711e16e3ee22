//! The process itself: its user, its environment, its log.

use super::{Found, Grade, Rule};
use crate::config::{Config, LogLevel, TokenSource};
use crate::hardening;

/// All of this file.
pub(super) const RULES: &[&Rule] = &[&TOKEN_IN_ENVIRONMENT, &ROOT, &NEW_TAGS, &ADDRESSES, &DEBUG];

/// A secret in the environment.
const TOKEN_IN_ENVIRONMENT: Rule = Rule {
    key: "tenants.token",
    grade: Grade::Moderate,
    why: "the token came in the environment: it is taken out of it at the start, but whoever set it still shows it (unit file, pod, docker inspect)",
    fix: "Put it into a file of mode 0600 (token_file), or use LoadCredential= with token_file = \"credential:NAME\".",
};

/// The gateway as root.
const ROOT: Rule = Rule {
    key: "process.user",
    grade: Grade::Moderate,
    why: "it runs as root: who finds a hole in it has every file of this machine",
    fix: "Run it as a user of its own, as the systemd unit does.",
};

/// Tags that nobody can compare.
const NEW_TAGS: Rule = Rule {
    key: "log.patient_tag_key_file",
    grade: Grade::Minor,
    why: "patients' tags in the log change with every restart, so nobody can tell later what was asked about one",
    fix: "Set a file with a key of 32 bytes or more.",
};

/// Addresses in the log.
const ADDRESSES: Rule = Rule {
    key: "log.client_address",
    grade: Grade::Minor,
    why: "addresses of machines stand in the log, which makes it personal data of the staff",
    fix: "Leave it out where clients are told by key.",
};

/// A talkative log.
const DEBUG: Rule = Rule {
    key: "log.level",
    grade: Grade::Minor,
    why: "debug is for the search of a fault: the log grows, and lines are dropped sooner",
    fix: "Set \"info\".",
};

pub(super) fn examine(config: &Config, found: &mut Found) {
    for tenant in &config.tenants {
        let inline = matches!(tenant.token, TokenSource::Inline(_));
        found.check(inline, &TOKEN_IN_ENVIRONMENT, &*tenant.name);
    }
    found.check(config.log.patient_tag_key_file.is_none(), &NEW_TAGS, "");
    found.check(config.log.client_address, &ADDRESSES, "");
    found.check(config.log.level == LogLevel::Debug, &DEBUG, "");
}

/// What only the running gateway can say of itself: a check may be run by another user.
pub(super) fn examine_user(found: &mut Found) {
    found.check(hardening::is_root(), &ROOT, "");
}
