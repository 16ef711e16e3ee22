//! Callbacks: whether anything tells the platform from others, and whether the tenants' rules have an effect.

use super::Check;
use crate::config::problem::quoted;
use crate::config::{Callback, CallbackSignature, ClientAuth, Config, ListenAddr, TenantCallback};

impl Check<'_> {
    pub(super) fn callbacks(&mut self, config: &Config) {
        let Some(callback) = &config.callback else {
            return self.unheard(config);
        };
        for address in callback.listen.iter().filter(|address| !address.is_loopback()) {
            if proves_by_certificate(callback, address) {
                continue;
            }
            for tenant in config.tenants.iter().filter(|tenant| !proves(&tenant.callback)) {
                let reason = format!(
                    "can be reached from other machines, and nothing tells the platform from others for tenant {}: set \
                     callback.signature = \"required\", callback.secret_file or callback.networks, or \
                     callback.tls.client_ca_file, or use a loopback address",
                    tenant.name
                );
                self.refuse("callback.listen", quoted(&address.to_string()), &reason);
            }
        }
    }

    /// Whether callbacks that were missed can be looked for where they are to be.
    pub(super) fn reconcile(&mut self, config: &Config) {
        let wanted = |tenant: &&crate::config::Tenant| tenant.callback.reconcile;
        for (index, tenant) in config.tenants.iter().enumerate().filter(|(_, tenant)| wanted(tenant)) {
            for (key, given) in [("hospital_id", &tenant.hospital_id), ("union_id", &tenant.union_id)] {
                if given.is_none() {
                    let reason = format!("needs {key}: without it no study list can be asked for");
                    let key = format!("tenants[{index}].callback.reconcile");
                    self.refuse(&key, "true".to_owned(), &reason);
                }
            }
        }
        let (window, record) = (config.reconcile.window, config.inbox.delivered_record);
        if window > record && config.tenants.iter().any(|tenant| wanted(&tenant)) {
            let reason = format!(
                "is more than inbox.delivered_record_hours, which is {record}: what was delivered before would be \
                 taken for missed"
            );
            self.refuse("reconcile.window_hours", window.to_string(), &reason);
        }
    }

    /// What tenants ask of callbacks that nobody listens to.
    fn unheard(&mut self, config: &Config) {
        for (index, _) in config.clients.iter().enumerate().filter(|(_, client)| client.inbox) {
            let reason = "is without effect: there is no section [callback], so there are no events to fetch";
            self.refuse(&format!("clients[{index}].inbox"), "this".to_owned(), reason);
        }
        for (index, tenant) in config.tenants.iter().enumerate() {
            let TenantCallback {
                signature,
                secret_file,
                networks,
                link_hosts,
                reconcile,
                target,
                .. // that is about the target, and refused without it
            } = &tenant.callback;
            let asked = [
                ("signature", *signature != CallbackSignature::IfPresent),
                ("secret_file", secret_file.is_some()),
                ("networks", networks.is_some()),
                ("link_hosts", link_hosts.is_some()),
                ("reconcile", *reconcile),
                ("target", target.is_some()),
            ];
            for (key, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                let reason = "is without effect: there is no section [callback], so nobody listens";
                self.refuse(&format!("tenants[{index}].callback.{key}"), "this".to_owned(), reason);
            }
        }
    }
}

/// Whether a callback has to show something that others do not have.
fn proves(rules: &TenantCallback) -> bool {
    let networks = rules.networks.as_deref().unwrap_or_default();
    let somewhere = !networks.is_empty() && networks.iter().all(|network| network.prefix() > 0);
    rules.signature == CallbackSignature::Required || rules.secret_file.is_some() || somewhere
}

fn proves_by_certificate(callback: &Callback, address: &ListenAddr) -> bool {
    let required =
        |tls: &crate::config::LanTls| tls.client_ca_file.is_some() && tls.client_auth == ClientAuth::Required;
    matches!(address, ListenAddr::Tcp(_)) && callback.tls.as_ref().is_some_and(required)
}
