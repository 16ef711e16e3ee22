//! Overrides of business codes: for APIs that there are, each once.

use aimis_core::contract;

use super::Check;
use crate::config::Config;
use crate::config::problem::quoted;
use crate::config::suggest::nearest;

impl Check<'_> {
    pub(super) fn codes(&mut self, config: &Config) {
        let queries = contract::queries();
        let known: Vec<&str> = queries.iter().map(|api| api.name()).collect();
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
            let same = |other: &&crate::config::Code| other.code == code.code && other.api == code.api;
            if let Some(other) = config.codes[..index].iter().position(|other| same(&other)) {
                let reason = format!("is that of codes[{other}] already, for the same API");
                self.refuse(&key("code"), code.code.to_string(), &reason);
            }
        }
    }
}
