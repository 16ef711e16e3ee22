//! What works and should be known all the same.

use std::collections::HashMap;

use super::clients::may_ask;
use super::risks::risks;
use crate::config::{CallbackSignature, Config, ListenAddr};

/// The notice about plain HTTP, which is also told at the start.
pub const PLAIN_LAN: &str = "lan.listen takes plain HTTP from other machines: keys and identity numbers cross the LAN in clear; set lan.tls, and no plain: before such addresses";

/// The notice about callbacks without signature, which is also told at the start.
pub const UNSIGNED_CALLBACKS: &str = "callbacks are taken without signature: whoever has seen one can send its numbers again with another link or status; ask the platform whether it signs, and set callback.signature = \"required\"";

/// The notice about answers that a callback taken elsewhere does not reach, which is also told at the start.
pub const ANSWERS_APART: &str = "inbox.database_url can be shared by several gateways, and answers are kept by each for itself: a callback that one takes does not reach the answers of the others, which show an old list for cache.fresh_s, and for cache.stale_if_error_s more while the platform fails; with more than one gateway set store (with store.key_file), or cache.enabled = false";

/// Whether answers are kept for this gateway alone though its inbox can be that of several.
pub fn keeps_answers_apart(config: &Config) -> bool {
    let keeps = config.tenants.iter().any(|tenant| tenant.cache.enabled);
    config.callback.is_some()
        && config.inbox.database_url.is_some()
        && config.store.is_none()
        && config.cache.enabled
        && keeps
}

/// Whether callbacks of any tenant are taken without signature.
pub fn takes_unsigned_callbacks(config: &Config) -> bool {
    let unsigned = |tenant: &crate::config::Tenant| tenant.callback.signature != CallbackSignature::Required;
    config.callback.is_some() && config.tenants.iter().any(unsigned)
}

/// Whether clients on other machines are spoken to without TLS.
pub fn takes_plain_http(config: &Config) -> bool {
    let plain = |address: &ListenAddr| match address {
        ListenAddr::Plain(_) => true,
        ListenAddr::Tcp(_) => config.lan.tls.is_none(),
        ListenAddr::Unix(_) => false,
    };
    let reachable = config.lan.listen.iter().filter(|address| !address.is_loopback());
    !config.clients.is_empty() && reachable.into_iter().any(plain)
}

/// Everything that an operator should know about a configuration that is accepted, a sentence each.
pub fn notices(config: &Config) -> Vec<String> {
    let mut notices = Vec::new();
    if takes_plain_http(config) {
        notices.push(PLAIN_LAN.to_owned());
    }
    if takes_unsigned_callbacks(config) {
        notices.push(UNSIGNED_CALLBACKS.to_owned());
    }
    if keeps_answers_apart(config) {
        notices.push(ANSWERS_APART.to_owned());
    }
    for client in &config.clients {
        let rules = [
            ("usage", client.usage.is_some()),
            ("data_flag", client.data_flag.is_some()),
            ("study_type", client.study_type.is_some()),
            ("max_range_days", client.max_range_days.is_some()),
        ];
        let set: Vec<_> = rules.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect();
        if !set.is_empty() && client.apis.is_none() {
            notices.push(format!(
                "client {}: {}: these rules hold for patientStudies only; patientConsultations and patientReportUrl have no such \
                 fields: set apis",
                client.name,
                set.join(", ")
            ));
        }
    }
    let fetchers = fetchers(config);
    for tenant in config.tenants.iter().filter(|_| config.callback.is_some()) {
        let fetched_by = fetchers.get(&*tenant.name).map_or(&[][..], Vec::as_slice);
        if tenant.callback.target.is_none() && fetched_by.is_empty() && !config.clients.is_empty() {
            notices.push(format!(
                "tenant {}: its events are kept and go nowhere: set its callback.target, or let a client fetch them \
                 (inbox = true)",
                tenant.name
            ));
        }
        if tenant.callback.target.is_some() && !fetched_by.is_empty() {
            notices.push(format!(
                "tenant {}: its events are delivered to callback.target, so {} cannot fetch them",
                tenant.name,
                fetched_by.join(", ")
            ));
        }
    }
    for (index, tenant) in config.tenants.iter().enumerate() {
        let Some(hospital) = &tenant.hospital_id else { continue };
        let same = |other: &&crate::config::Tenant| other.hospital_id.as_ref() == Some(hospital);
        for other in config.tenants[..index].iter().filter(same) {
            let both = |client| {
                may_ask(client, config)
                    .filter(|may| [&other.name, &tenant.name].contains(&&may.name))
                    .count()
                    == 2
            };
            if config.clients.is_empty() || config.clients.iter().any(both) {
                notices.push(format!(
                    "tenants {} and {} have the same hospital_id: a request without an appId in its path goes to neither",
                    other.name, tenant.name
                ));
            }
        }
    }
    notices.extend(risks(config));
    notices
}

/// The clients that may fetch events, by the name of the tenant whose these are, where it is not delivered to.
pub(crate) fn fetchers(config: &Config) -> HashMap<&str, Vec<&str>> {
    let mut fetchers: HashMap<&str, Vec<&str>> = HashMap::new();
    for client in config.clients.iter().filter(|client| client.inbox) {
        for tenant in may_ask(client, config) {
            fetchers.entry(&tenant.name).or_default().push(&client.name);
        }
    }
    fetchers
}
