//! The proxies on the way to the platform.

use super::Check;
use crate::config::{Config, ProxyChoice};

impl Check<'_> {
    /// User and password need each other, and a proxy.
    pub(super) fn proxies(&mut self, config: &Config) {
        let platform = &config.platform;
        let common = matches!(platform.proxy, Some(ProxyChoice::Through(_)));
        let has = [platform.proxy_user.is_some(), platform.proxy_password_file.is_some()];
        self.proxy_user("platform", common, has);
        for (index, tenant) in config.tenants.iter().enumerate() {
            let through = match &tenant.proxy {
                Some(choice) => matches!(choice, ProxyChoice::Through(_)),
                None => common,
            };
            let has = [tenant.proxy_user.is_some(), tenant.proxy_password_file.is_some()];
            self.proxy_user(&format!("tenants[{index}]"), through, has);
        }
    }

    fn proxy_user(&mut self, at: &str, through: bool, has: [bool; 2]) {
        const KEYS: [&str; 2] = ["proxy_user", "proxy_password_file"];
        self.together(at, KEYS, has);
        if has == [true, true] && !through {
            let reason = "is without effect: there is no proxy";
            self.refuse(&format!("{at}.proxy_user"), "this".to_owned(), reason);
        }
    }

    /// Complains where only one of two keys is set.
    pub(super) fn together(&mut self, at: &str, keys: [&str; 2], set: [bool; 2]) {
        let (there, missing) = match set {
            [true, false] => (keys[0], keys[1]),
            [false, true] => (keys[1], keys[0]),
            _ => return,
        };
        let reason = format!("is set without `{missing}`; both are needed, or neither");
        self.refuse(&format!("{at}.{there}"), "this".to_owned(), &reason);
    }
}
