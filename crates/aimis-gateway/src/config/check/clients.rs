//! Who may ask: how clients are told apart, and whether their rules fit those of the tenants.

use std::collections::{BTreeMap, HashSet};

use aimis_core::contract;

use super::Check;
use super::listeners::UNUSED_CHARSET;
use crate::config::kind::choice::Choice;
use crate::config::problem::quoted;
use crate::config::suggest::nearest;
use crate::config::{AnswerCharset, Client, Config, Tenant};

impl Check<'_> {
    pub(super) fn clients(&mut self, config: &Config) {
        self.unique("clients", "name", config.clients.iter().map(|client| &*client.name));
        self.keys(config);
        let tenants = config.tenants.iter().map(|tenant| &*tenant.name).collect();
        for (index, client) in config.clients.iter().enumerate() {
            let at = format!("clients[{index}]");
            self.marks(&at, client, config);
            self.rivals(&at, client, &config.clients[..index]);
            self.names(&at, client, &tenants);
            self.hospitals(&at, client, config);
            self.windows(&at, client, config);
            self.dialect(&at, client, config);
        }
    }

    /// Each client has keys of its own.
    fn keys(&mut self, config: &Config) {
        let mut keys: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        for (index, client) in config.clients.iter().enumerate() {
            for digest in client.key_sha256.iter().flatten() {
                let reason = match keys.insert(digest.0, index) {
                    None => continue,
                    Some(other) if other == index => "is there twice".to_owned(),
                    Some(other) => format!("has a key of clients[{other}]; each client needs its own"),
                };
                self.refuse(&format!("clients[{index}].key_sha256"), "the value".into(), &reason);
            }
        }
    }

    /// How the client is known.
    fn marks(&mut self, at: &str, client: &Client, config: &Config) {
        if client.key_sha256.is_none() && client.networks.is_none() && client.certificates.is_none() {
            let reason = "has none of `key_sha256`, `networks` and `certificates`: anybody would be this client";
            self.refuse(&format!("{at}.name"), quoted(&client.name), reason);
        }
        let everywhere = client.networks.iter().flatten().filter(|network| network.prefix() == 0);
        for network in everywhere.filter(|_| client.by_network_alone()) {
            let reason =
                "is every address, and there is neither `key_sha256` nor `certificates`: anybody would be this client";
            self.refuse(&format!("{at}.networks"), quoted(&network.to_string()), reason);
        }
        let asks_for_certificates = config.lan.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
        if client.certificates.is_some() && !asks_for_certificates {
            let reason = "are asked for by nobody: lan.tls.client_ca_file is not set";
            self.refuse(&format!("{at}.certificates"), "these".into(), reason);
        }
        if client.key_sha256.as_ref().is_some_and(|keys| keys.len() > 2) {
            let reason = "are more keys than two, the old one and the new one";
            self.refuse(&format!("{at}.key_sha256"), "these".into(), reason);
        }
    }

    /// Clients that are known by their network alone have no network in common.
    fn rivals(&mut self, at: &str, client: &Client, before: &[Client]) {
        if !client.by_network_alone() {
            return;
        }
        for rival in before.iter().filter(|other| other.by_network_alone()) {
            let own = client.networks.iter().flatten();
            let theirs = rival.networks.as_deref().unwrap_or_default();
            for network in own.filter(|network| theirs.contains(network)) {
                let reason = format!(
                    "is the network of client {} as well; nothing else tells the two apart",
                    rival.name
                );
                self.refuse(&format!("{at}.networks"), quoted(&network.to_string()), &reason);
            }
        }
    }

    /// Tenants and APIs that there are.
    fn names(&mut self, at: &str, client: &Client, tenants: &HashSet<&str>) {
        if client.tenants.is_none() && tenants.len() > 1 {
            let reason = "does not say which `tenants` it may ask for, and there are several";
            self.refuse(&format!("{at}.name"), quoted(&client.name), reason);
        }
        let queries = contract::queries();
        let apis = queries.iter().map(|api| api.name()).collect();
        for (key, asked, known, what) in [
            ("tenants", &client.tenants, tenants, "is no tenant's name"),
            ("apis", &client.apis, &apis, "is no API of the platform"),
        ] {
            for name in asked.iter().flatten().filter(|name| !known.contains(&***name)) {
                let hint = nearest(name, known.iter().copied());
                let hint = hint.map_or_else(String::new, |near| format!(", did you mean {near}?"));
                self.refuse(&format!("{at}.{key}"), quoted(name), &format!("{what}{hint}"));
            }
        }
    }

    /// What is filled in where a request names no hospital may be asked for, and there is something to fill in
    /// or to compare with.
    fn hospitals(&mut self, at: &str, client: &Client, config: &Config) {
        let Some(allowed) = &client.hospital_ids else {
            let bare = may_ask(client, config).find(|tenant| tenant.hospital_id.is_none());
            if let Some(tenant) = bare.filter(|_| client.hospital_id.is_none()) {
                let reason = format!(
                    "has no `hospital_ids`, and there is no hospital_id to compare with: set hospital_id of tenant {}, \
                     hospital_ids, or hospital_ids = \"*\" for any",
                    tenant.name
                );
                self.refuse(&format!("{at}.name"), quoted(&client.name), &reason);
            }
            return;
        };
        let permitted = |filled: &str| allowed.iter().any(|id| &**id == filled || &**id == "*");
        if let Some(injected) = &client.hospital_id {
            if !permitted(injected) {
                let reason = "is not among the client's `hospital_ids`, so its own requests would be refused";
                self.refuse(&format!("{at}.hospital_id"), quoted(injected), reason);
            }
            return;
        }
        for tenant in may_ask(client, config) {
            if let Some(filled) = tenant.hospital_id.as_deref().filter(|filled| !permitted(filled)) {
                let reason = format!(
                    "do not hold {}, which tenant {} fills in where a request names no hospital, so it would be refused",
                    quoted(filled),
                    tenant.name
                );
                self.refuse(&format!("{at}.hospital_ids"), "these".into(), &reason);
            }
        }
    }

    /// The window that is filled in where a request names none is not too wide for the client.
    fn windows(&mut self, at: &str, client: &Client, config: &Config) {
        let Some(most) = client.max_range_days else { return };
        let wide = may_ask(client, config).find(|tenant| tenant.dates.default_range_days > most);
        if let Some(tenant) = wide {
            let reason = format!(
                "is less than dates.default_range_days of tenant {}, which is {}: requests without a window would be refused",
                tenant.name, tenant.dates.default_range_days
            );
            self.refuse(&format!("{at}.max_range_days"), most.to_string(), &reason);
        }
    }

    /// How it speaks and is answered.
    fn dialect(&mut self, at: &str, client: &Client, config: &Config) {
        self.aliases(&format!("{at}.aliases"), client.aliases.as_deref().unwrap_or_default());
        let ascii = client.ascii_json.unwrap_or(config.lan.ascii_json);
        let charset = client.charset.unwrap_or(config.lan.charset);
        if !ascii || charset == AnswerCharset::Utf8 {
            return;
        }
        if client.charset.is_some() {
            self.refuse(&format!("{at}.charset"), quoted(charset.name()), UNUSED_CHARSET);
        } else if client.ascii_json.is_some() {
            let reason = format!(
                "leaves lan.charset, which is {}, without effect: set charset = \"utf-8\" for this client",
                quoted(charset.name())
            );
            self.refuse(&format!("{at}.ascii_json"), "true".into(), &reason);
        }
    }
}

/// The tenants that a client may ask for; none where it does not say and there are several, which is told.
pub(super) fn may_ask<'a>(client: &'a Client, config: &'a Config) -> impl Iterator<Item = &'a Tenant> {
    let only = config.tenants.len() == 1;
    let named: Option<HashSet<_>> = client.tenants.as_ref().map(|names| names.iter().collect());
    let may = move |tenant: &&Tenant| named.as_ref().map_or(only, |names| names.contains(&tenant.name));
    config.tenants.iter().filter(may)
}
