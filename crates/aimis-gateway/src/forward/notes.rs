//! What the road learns about a request on its way: for the caller's headers, the log line and the counters.

use aimis_core::contract::{ID_NUM, PHONE_NUM};
use aimis_core::order::{RepairKind, Warning};

use crate::client::Answers;
use crate::forward::audited::Audited;
use crate::forward::cache::flight::Asked;
use crate::forward::cache::status::Passage;
use crate::limit::Charge;
use crate::limit::headers::Standings;
use crate::telemetry::exchange::{Exchange, FieldName, Findings};

/// Bytes that the list of repairs, or of warnings, may take in a header.
const MAX_LIST: usize = 1024;

/// What is known of a request so far.
pub struct Notes {
    /// The facts.
    pub exchange: Exchange,
    /// What the audit trail is to know beside them.
    pub audited: Audited,
    /// How whoever asks wants to be answered.
    pub answers: Answers,
    /// How it stands with the quotas that it met.
    pub standings: Standings,
    repairs: String,
    warnings: String,
}

impl Notes {
    /// Nothing is known yet but `exchange`; `answers` holds until the client is known.
    pub fn new(exchange: Exchange, answers: Answers) -> Self {
        Self {
            exchange,
            audited: Audited::default(),
            answers,
            standings: Standings::default(),
            repairs: String::new(),
            warnings: String::new(),
        }
    }

    /// Something in the request was changed: told to the caller, and counted.
    pub fn repair(&mut self, field: Option<&str>, kind: RepairKind) {
        self.exchange.repairs.push(kind);
        list(&mut self.repairs, field.unwrap_or("body"), kind.as_str());
    }

    /// Something is suspicious: told to the caller.
    pub fn warn(&mut self, field: &str, what: &str) {
        list(&mut self.warnings, field, what);
    }

    /// A field looks wrong and is sent all the same: told to the caller, counted and logged. If it is the identity or
    /// telephone number, that is kept in mind until it is known whether anything was found under it.
    pub fn warn_of(&mut self, warning: Warning<'_>) {
        self.exchange.failed_check |= [PHONE_NUM, ID_NUM].contains(&warning.field);
        self.exchange
            .warnings
            .push((FieldName::warned_of(&warning), warning.reason));
        self.warn(warning.field, warning.reason.as_str());
    }

    /// The platform said whether it found anything. That it found nothing behind a number that failed a check may
    /// only mean that the number is mistyped (P9).
    pub fn found(&mut self, findings: Findings) {
        self.exchange.findings = Some(findings);
        if self.exchange.failed_check && findings == Findings::Nothing {
            self.warn("reply", "empty-after-failed-check");
        }
    }

    /// How what was asked came past the cache, for one answer made of all. That an older answer serves is told (P9).
    pub fn passed<'a>(&mut self, asked: impl IntoIterator<Item = &'a Asked>) {
        let mut away = false;
        for asked in asked {
            if asked.fetched.local {
                self.by_own_part();
            }
            let exchange = &mut self.exchange;
            let passage = asked.passage;
            exchange.passage = Some(exchange.passage.map_or(passage, |others| others.together(passage)));
            exchange.age = exchange.age.max(passage.age());
            if let Some((error, detail)) = asked.behind {
                exchange.error = Some(error);
                exchange.error_detail = detail;
            }
            if asked.fell_back {
                away = true;
            }
            if matches!(passage, Passage::Kept { stale: true, .. }) && !exchange.stale {
                exchange.stale = true;
                self.warn("cache", "stale");
            }
        }
        if away {
            self.warn("cache", "local");
        }
    }

    /// What a client owed at the store that gateways share was judged.
    pub fn charged(&mut self, charge: &Charge) {
        self.standings = charge.standings();
        if charge.is_local() {
            self.by_own_part();
        }
    }

    /// The store that gateways share is away, so quotas are this gateway's part (P9).
    fn by_own_part(&mut self) {
        if !self.warnings.contains("limits=local") {
            self.warn("limits", "local");
        }
    }

    /// Our clock is `off_ms` ahead of the platform's, below 0 behind: that is why a signature was refused.
    pub fn clock_off(&mut self, off_ms: i64) {
        if self.warnings.contains("clock=") {
            return;
        }
        let (word, detail) = if off_ms < 0 {
            (
                "slow",
                "this machine's clock is behind the platform's: set it, see aimis_upstream_clock_offset_seconds",
            )
        } else {
            (
                "fast",
                "this machine's clock is ahead of the platform's: set it, see aimis_upstream_clock_offset_seconds",
            )
        };
        self.warn("clock", &format!("{}s-{word}", off_ms.unsigned_abs() / 1000));
        self.exchange.error_detail = Some(detail);
    }

    /// The value of `X-Aimis-Repairs`; empty for none.
    pub fn repairs(&self) -> &str {
        &self.repairs
    }

    /// The value of `X-Aimis-Warnings`; empty for none.
    pub fn warnings(&self) -> &str {
        &self.warnings
    }
}

fn list(list: &mut String, field: &str, what: &str) {
    if list.len() + field.len() + what.len() > MAX_LIST {
        if !list.ends_with("...") {
            list.push_str(", ...");
        }
        return;
    }
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(field);
    list.push('=');
    list.push_str(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let mut text = String::new();
        for _ in 0..500 {
            list(&mut text, "field", "repair");
        }
        assert!(text.len() < MAX_LIST + 10);
        assert!(text.ends_with(", ..."));
        assert_eq!(text.matches("...").count(), 1);
    }
}
