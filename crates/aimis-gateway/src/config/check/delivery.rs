//! Delivery to the HIS: targets that are safe to send to, waits that leave room for each other.

use super::Check;
use crate::config::problem::quoted;
use crate::config::tables::delivery::MOST_WAITS;
use crate::config::{Config, TargetCharset, TenantCallback};

impl Check<'_> {
    pub(super) fn delivery(&mut self, config: &Config) {
        let delivery = &config.delivery;
        if delivery.lease <= delivery.timeout {
            let reason = format!(
                "is not more than delivery.timeout_ms, which is {}: an event would be delivered again while it is being delivered",
                delivery.timeout.as_millis()
            );
            self.refuse("delivery.lease_ms", delivery.lease.as_millis().to_string(), &reason);
        }
        if delivery.probe > delivery.probe_max {
            let reason = format!("is more than probe_max_ms, which is {}", delivery.probe_max.as_millis());
            self.refuse("delivery.probe_ms", delivery.probe.as_millis().to_string(), &reason);
        }
        if delivery.schedule.len() > MOST_WAITS {
            let value = format!("a list of {}", delivery.schedule.len());
            self.refuse(
                "delivery.schedule_ms",
                value,
                "is too long, allowed are at most 32 waits",
            );
        }
    }

    pub(super) fn targets(&mut self, config: &Config) {
        for (index, tenant) in config.tenants.iter().enumerate() {
            let (at, callback) = (format!("tenants[{index}].callback"), &tenant.callback);
            self.together(
                &at,
                ["target_client_cert_file", "target_client_key_file"],
                [
                    callback.target_client_cert_file.is_some(),
                    callback.target_client_key_file.is_some(),
                ],
            );
            if callback.target_previous_secret_file.is_some() && callback.target_secret_file.is_none() {
                let reason = "is set without `target_secret_file`, which it was before";
                self.refuse(&format!("{at}.target_previous_secret_file"), "this".to_owned(), reason);
            }
            let Some(target) = &callback.target else {
                self.aimless(&at, callback);
                continue;
            };
            let origin = &target.origin;
            if !origin.https && !origin.host.is_loopback() && !callback.target_allow_plaintext {
                let reason = "is not https, and events carry patients' names, numbers and findings; for a HIS that \
                              speaks plain http only, set target_allow_plaintext = true beside it";
                self.refuse(&format!("{at}.target"), quoted(&target.to_string()), reason);
            }
        }
    }

    /// Settings of a target that is not there. Defaults do not count: `config print` shows them, and what it shows is good.
    fn aimless(&mut self, at: &str, callback: &TenantCallback) {
        let asked = [
            ("target_allow_plaintext", callback.target_allow_plaintext),
            ("target_charset", callback.target_charset != TargetCharset::Utf8),
            ("target_success_codes", callback.target_success_codes != [0]),
            ("target_secret_file", callback.target_secret_file.is_some()),
            ("target_bearer_file", callback.target_bearer_file.is_some()),
            ("target_ca_file", callback.target_ca_file.is_some()),
            ("target_client_cert_file", callback.target_client_cert_file.is_some()),
        ];
        for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            let reason = "is without effect: there is no `target` beside it";
            self.refuse(&format!("{at}.{key}"), "this".to_owned(), reason);
        }
    }
}
