//! What no table can say, because it is about two keys at once.
//!
//! | file | is about |
//! |---|---|
//! | `listeners` | addresses, TLS, web pages |
//! | `callbacks` | what tells the platform from others |
//! | `delivery` | targets of events, and the waits between attempts |
//! | `clients` | who may ask, and what the tenants make of it |
//! | `codes` | overrides of business codes |
//! | `combinations` | bounds in the wrong order, switches without effect |
//! | `proxies` | proxies, their users and passwords |
//! | `store` | the way to what replicas share |
//! | `notices` | what works and should be known all the same |
//! | `risks` | those of them that are about numbers and switches |

mod callbacks;
mod clients;
mod codes;
mod combinations;
mod delivery;
mod listeners;
mod notices;
mod proxies;
mod risks;
mod store;

use std::collections::BTreeMap;

use super::origin::Origin;
use super::problem::{Problem, quoted};
use super::section::Origins;
use super::{Alias, Config, SHORTEST_RETENTION_DAYS};

pub(crate) use notices::fetchers;
pub use notices::{
    ANSWERS_APART, PLAIN_LAN, UNSIGNED_CALLBACKS, keeps_answers_apart, notices, takes_plain_http,
    takes_unsigned_callbacks,
};

/// Complaints about values that are right alone and wrong together.
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<Problem> {
    let mut check = Check {
        origins,
        problems: Vec::new(),
    };
    check.listeners(config);
    check.tls(config);
    check.web_pages(config);
    check.lan_dialect(config);
    check.platform(config);
    check.proxies(config);
    check.store(config);
    check.dates(config);
    check.combinations(config);
    check.emptiness(config);
    check.inbox(config);
    check.audit(config);
    check.tenants(config);
    check.clients(config);
    check.codes(config);
    check.callbacks(config);
    check.reconcile(config);
    check.delivery(config);
    check.traces(config);
    check.targets(config);
    check.problems
}

struct Check<'a> {
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn refuse(&mut self, key: &str, value: String, reason: &str) {
        let origin = self.origins.get(key).cloned();
        self.problems
            .push(Problem::about(origin, key, reason).with_value(Some(value)));
    }

    fn platform(&mut self, config: &Config) {
        let platform = &config.platform;
        if !platform.base_url.https && !platform.base_url.host.is_loopback() && !platform.allow_plaintext {
            let reason =
                "is not https, and requests carry signatures; in a test network set platform.allow_plaintext = true";
            self.refuse("platform.base_url", quoted(&platform.base_url.to_string()), reason);
        }
        let (certificate, key) = (&platform.client_cert_file, &platform.client_key_file);
        self.together(
            "platform",
            ["client_cert_file", "client_key_file"],
            [certificate.is_some(), key.is_some()],
        );
    }

    fn dates(&mut self, config: &Config) {
        let tenants = config.tenants.iter().enumerate();
        let own = tenants.map(|(index, tenant)| (format!("tenants[{index}].dates"), &tenant.dates));
        for (at, dates) in std::iter::once(("dates".to_owned(), &config.dates)).chain(own) {
            let key = format!("{at}.default_range_days");
            let inherited = at != "dates" && *dates == config.dates;
            if dates.max_range_days > 0 && dates.default_range_days > dates.max_range_days && !inherited {
                let reason = format!("is more than max_range_days, which is {}", dates.max_range_days);
                self.refuse(&key, dates.default_range_days.to_string(), &reason);
            }
        }
    }

    fn emptiness(&mut self, config: &Config) {
        let (window, baseline) = (config.emptiness.window.as_secs(), config.emptiness.baseline.as_secs());
        if baseline < window {
            let reason = format!("is less than window_s, which is {window}: nothing could be told from it");
            self.refuse("emptiness.baseline_s", baseline.to_string(), &reason);
        }
    }

    fn inbox(&mut self, config: &Config) {
        let inbox = &config.inbox;
        if let Some(url) = &inbox.database_url {
            let said = |key| {
                self.origins
                    .get(key)
                    .is_some_and(|origin| !matches!(origin, Origin::Default))
            };
            // The default, written out, says nothing.
            if said("inbox.path") && !inbox.path.ends_with("data/inbox.db") {
                let reason = "is named beside database_url; an inbox is in a file or in a database, not in both";
                self.refuse("inbox.path", quoted(&inbox.path.display().to_string()), reason);
            }
            if !url.tls() && !url.is_local() && !inbox.database_allow_plaintext {
                let reason = "has sslmode=disable, and leads to another machine: take that away, or, in a network that \
                              protects the connection itself, set inbox.database_allow_plaintext = true";
                self.refuse("inbox.database_url", quoted(&url.to_string()), reason);
            }
        } else if inbox.database_password_file.is_some() || inbox.database_ca_file.is_some() {
            let (key, file) = match (&inbox.database_password_file, &inbox.database_ca_file) {
                (Some(file), _) => ("inbox.database_password_file", file),
                (None, file) => ("inbox.database_ca_file", file.as_ref().unwrap_or(&inbox.path)),
            };
            let reason = "has no effect without database_url";
            self.refuse(key, quoted(&file.display().to_string()), reason);
        }
        if inbox.delivered_record < inbox.delivered_body {
            let reason = "is less than delivered_body_hours: the content would be kept longer than the record of it";
            self.refuse(
                "inbox.delivered_record_hours",
                inbox.delivered_record.to_string(),
                reason,
            );
        }
    }

    fn audit(&mut self, config: &Config) {
        let Some(audit) = &config.audit else { return };
        let days = audit.retention_days;
        if (1..SHORTEST_RETENTION_DAYS).contains(&days) && !audit.allow_short_retention {
            let reason = format!(
                "is less than {SHORTEST_RETENTION_DAYS}, which is six months, as long as the law wants logs kept; where \
                 another copy is kept as long, set audit.allow_short_retention = true"
            );
            self.refuse("audit.retention_days", days.to_string(), &reason);
        }
        if audit.max_file_bytes > audit.max_bytes / 4 {
            let reason = format!("is more than a quarter of max_bytes, which is {}", audit.max_bytes);
            self.refuse("audit.max_file_bytes", audit.max_file_bytes.to_string(), &reason);
        }
    }

    fn traces(&mut self, config: &Config) {
        let traces = &config.traces;
        if traces.headers.is_some() && traces.headers_file.is_some() && traces.target().is_some() {
            let reason = "is set beside headers of the environment (OTEL_EXPORTER_OTLP_HEADERS): one of them is enough";
            self.refuse("traces.headers_file", "a file".to_owned(), reason);
        }
        if traces.batch > traces.queue {
            let reason = format!("is more than queue, which is {}: so many never wait", traces.queue);
            self.refuse("traces.batch", traces.batch.to_string(), &reason);
        }
    }

    fn tenants(&mut self, config: &Config) {
        self.unique("tenants", "name", config.tenants.iter().map(|tenant| &*tenant.name));
        self.unique("tenants", "app_id", config.tenants.iter().map(|tenant| &*tenant.app_id));
        for (index, tenant) in config.tenants.iter().enumerate() {
            if tenant.next_token_not_after.is_some() && tenant.next_token_file.is_none() {
                let reason = "is set without `next_token_file`, whose end it tells";
                self.refuse(
                    &format!("tenants[{index}].next_token_not_after"),
                    "this".to_owned(),
                    reason,
                );
            }
        }
    }

    /// One name of the HIS's means one field. Case does not tell names apart, as it does not for fields.
    fn aliases(&mut self, key: &str, aliases: &[Alias]) {
        let mut first: BTreeMap<String, &str> = BTreeMap::new();
        for Alias { alias, field } in aliases {
            let meant = *first.entry(alias.to_lowercase()).or_insert(field);
            if meant != field {
                let reason = format!("gives another meaning to a name that is {meant} already");
                self.refuse(key, quoted(&format!("{alias}={field}")), &reason);
            }
        }
    }

    fn unique<'a>(&mut self, list: &str, key: &str, values: impl Iterator<Item = &'a str>) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, value) in values.enumerate() {
            if let Some(other) = first.get(value) {
                let reason = format!("is that of {list}[{other}] already");
                self.refuse(&format!("{list}[{index}].{key}"), quoted(value), &reason);
            } else {
                first.insert(value, index);
            }
        }
    }
}

/// The complaint about a configuration without tenants. It tells both ways out.
pub(super) fn no_tenant(file: Option<&str>) -> Problem {
    let first = match file {
        Some(name) => format!("add a [[tenants]] table with name, app_id and token_file to {name}"),
        None => "name a file with [[tenants]] by --config".to_owned(),
    };
    let sentence = format!("there is no tenant: {first}, or set AIMIS_APP_ID and AIMIS_TOKEN_FILE");
    Problem::sentence(None::<Origin>, "tenants", sentence)
}
