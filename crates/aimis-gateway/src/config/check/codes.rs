//! Overrides of business codes: for APIs that there are, each once, and none that hides a failure.

use std::ops::RangeInclusive;

use aimis_core::codes::{Class, Codes};
use aimis_core::contract;

use super::Check;
use crate::config::Config;
use crate::config::kind::choice::Choice;
use crate::config::problem::quoted;
use crate::config::suggest::nearest;

/// The codes that the gateway itself answers with.
const OWN: RangeInclusive<i64> = 800_000..=800_999;

impl Check<'_> {
    pub(super) fn codes(&mut self, config: &Config) {
        let queries = contract::queries();
        let known: Vec<&str> = queries.iter().map(|api| api.name()).collect();
        let table = Codes::builtin();
        for (index, code) in config.codes.iter().enumerate() {
            let key = |key: &str| format!("codes[{index}].{key}");
            if let Some(api) = code.api.as_deref().filter(|api| !known.contains(api)) {
                let hint = nearest(api, known.iter().copied());
                let hint = hint.map_or_else(String::new, |near| format!(", did you mean {near}?"));
                self.refuse(&key("api"), quoted(api), &format!("is no API of the platform{hint}"));
            }
            if code.code == 0 {
                self.refuse(&key("code"), "0".into(), "is success by definition and stays that");
            }
            if OWN.contains(&code.code) {
                let reason = "is of the gateway's own codes (800000 to 800999), which are not looked up here";
                self.refuse(&key("code"), code.code.to_string(), reason);
            }
            let (is, becomes) = (table.lookup("", code.code).class, code.class.class());
            if matches!(is, Class::Auth | Class::Limit) && matches!(becomes, Class::Success | Class::NoData) {
                let reason = format!(
                    "would hide that {} is {} in the table of codes: a refusal would be kept, and taken for an answer about \
                     the patient",
                    code.code,
                    is.as_str()
                );
                self.refuse(&key("class"), quoted(code.class.name()), &reason);
            }
            if becomes == Class::Limit && code.retry == Some(true) {
                let reason = "is without effect: what is over a limit is not asked again; leave it out";
                self.refuse(&key("retry"), "true".to_owned(), reason);
            }
            let same = |other: &&crate::config::Code| other.code == code.code && other.api == code.api;
            if let Some(other) = config.codes[..index].iter().position(|other| same(&other)) {
                let reason = format!("is that of codes[{other}] already, for the same API");
                self.refuse(&key("code"), code.code.to_string(), &reason);
            }
        }
    }
}
