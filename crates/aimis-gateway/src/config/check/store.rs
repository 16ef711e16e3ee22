//! What replicas share: keys that need others, and ways that exclude each other.

use super::Check;
use crate::config::Config;
use crate::config::problem::quoted;

impl Check<'_> {
    /// The way to the store.
    pub(super) fn store(&mut self, config: &Config) {
        let Some(store) = &config.store else { return };
        let refuse_url = |check: &mut Self, reason: &str| {
            check.refuse("store.redis_url", quoted(&store.redis_url[0].to_string()), reason);
        };
        let keeps = config.tenants.iter().any(|tenant| tenant.cache.enabled);
        if keeps && store.key_file.is_none() {
            refuse_url(
                self,
                "is shared, and answers are not, so that no callback would reach those of another gateway; set \
                 store.key_file (the same for all gateways), or cache.enabled = false",
            );
        }
        if store.other_key_file.is_some() && store.key_file.is_none() {
            let reason = "is set without `key_file`";
            self.refuse("store.other_key_file", "this".to_owned(), reason);
        }
        if store.cluster && store.sentinel_master.is_some() {
            let reason = "is without sense where cluster = true: a cluster has no sentinels";
            self.refuse("store.sentinel_master", "this".to_owned(), reason);
        }
        if !store.cluster && store.sentinel_master.is_none() && store.redis_url.len() > 1 {
            refuse_url(
                self,
                "is one of several; say what they are: cluster = true, or sentinel_master where they are sentinels",
            );
        }
        let tls = store.redis_url[0].tls;
        if store.redis_url.iter().any(|url| url.tls != tls) {
            refuse_url(
                self,
                "is one of several with redis and rediss mixed; all of them are one or the other",
            );
        }
        let database = store.redis_url[0].database;
        if store.redis_url.iter().any(|url| url.database != database) {
            refuse_url(
                self,
                "is one of several with another database each; all of them are the same",
            );
        }
        if store.cluster && database != 0 {
            refuse_url(self, "has a number of a database, and a cluster has only one");
        }
        let far = store
            .redis_url
            .iter()
            .any(|url| !url.tls && !url.peer.host.is_loopback());
        if far && !store.allow_plaintext {
            refuse_url(
                self,
                "is not rediss and not on this machine; where nobody listens set store.allow_plaintext = true",
            );
        }
        for (key, set) in [
            ("ca_file", store.ca_file.is_some()),
            ("client_cert_file", store.client_cert_file.is_some()),
        ] {
            if set && !tls {
                let reason = "is without effect: redis_url is not rediss";
                self.refuse(&format!("store.{key}"), "this".to_owned(), reason);
            }
        }
        let sentinel = [store.sentinel_user.is_some(), store.sentinel_password_file.is_some()];
        if sentinel[1] && store.sentinel_master.is_none() {
            let reason = "is without effect: there is no sentinel_master";
            self.refuse("store.sentinel_password_file", "this".to_owned(), reason);
        }
        let with_password = [(
            "user",
            "password_file",
            store.user.is_some() && store.password_file.is_none(),
        )];
        let at_sentinels = ("sentinel_user", "sentinel_password_file", sentinel == [true, false]);
        for (user, file, alone) in with_password.into_iter().chain([at_sentinels]) {
            if alone {
                let reason = format!("is set without `{file}`");
                self.refuse(&format!("store.{user}"), "this".to_owned(), &reason);
            }
        }
        self.together(
            "store",
            ["client_cert_file", "client_key_file"],
            [store.client_cert_file.is_some(), store.client_key_file.is_some()],
        );
    }
}
