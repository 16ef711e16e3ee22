//! When the tokens end.

use aimis_core::sign::Timestamp;

use super::{Found, Grade, Rule};
use crate::config::Config;

/// All of this file.
pub(super) const RULES: &[&Rule] = &[&ENDS_SOON, &NO_END];

/// How long before its end a token is found: time enough to get another one from the platform.
const SOON_S: u64 = 30 * 86_400;

/// A token that is, or will soon be, of no use.
const ENDS_SOON: Rule = Rule {
    key: "tenants.token_not_after",
    grade: Grade::Moderate,
    why: "the token ends within 30 days, or has ended: then the platform refuses the hospital as a whole",
    fix: "Get the next one from the platform, and change it as docs/operations.md says.",
};

/// A token of which nobody knows.
const NO_END: Rule = Rule {
    key: "tenants.token_not_after",
    grade: Grade::Minor,
    why: "nobody wrote down when the token ends, so nothing warns before the platform refuses it",
    fix: "Ask the platform, and set the day, or \"never\".",
};

pub(super) fn examine(config: &Config, now: Timestamp, found: &mut Found) {
    let soon = now.as_millis() / 1000 + SOON_S;
    for tenant in &config.tenants {
        let next = tenant.next_token_file.as_ref().map(|_| &tenant.next_token_not_after);
        let ends = [
            Some(("", &tenant.token_not_after)),
            next.map(|end| (", next token", end)),
        ];
        for (which, end) in ends.into_iter().flatten() {
            let about = format!("{}{which}", &*tenant.name);
            let near = end.as_ref().and_then(|end| end.seconds()).is_some_and(|end| end < soon);
            found.check(near, &ENDS_SOON, about.clone());
            found.check(end.is_none(), &NO_END, about);
        }
    }
}
