//! What no table can say, because it is about two keys at once.

use std::collections::BTreeMap;

use aimis_core::contract;

use super::origin::Origin;
use super::problem::{Problem, quoted};
use super::section::Origins;
use super::suggest::nearest;
use super::{Client, ClientAuth, Config, ListenAddr, ProxyChoice};

/// Complaints about values that are right alone and wrong together.
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<Problem> {
    let mut check = Check {
        origins,
        problems: Vec::new(),
    };
    check.listeners(config);
    check.lan_tls(config);
    check.platform(config);
    check.proxies(config);
    check.dates(config);
    check.tenants(config);
    check.clients(config);
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

    fn listeners(&mut self, config: &Config) {
        let reachable = config.lan.listen.iter().filter(|address| !address.is_loopback());
        for address in reachable.filter(|_| config.clients.is_empty()) {
            self.refuse(
                "lan.listen",
                quoted(&address.to_string()),
                "can be reached from other machines, and there are no [[clients]] to tell who may ask; add one, or use a loopback address",
            );
        }
        let mut seen: Vec<&ListenAddr> = Vec::new();
        let all = [
            ("lan.listen", &config.lan.listen),
            ("telemetry.listen", &config.telemetry.listen),
        ];
        for (key, address) in all
            .into_iter()
            .flat_map(|(key, list)| list.iter().map(move |address| (key, address)))
        {
            let any_port = address.tcp().is_some_and(|address| address.port() == 0);
            let same = |other: &&ListenAddr| match (address.tcp(), other.tcp()) {
                (Some(one), Some(other)) => one == other,
                _ => address == *other,
            };
            if seen.iter().any(same) && !any_port {
                self.refuse(key, quoted(&address.to_string()), "is listened on already");
            }
            seen.push(address);
        }
    }

    fn lan_tls(&mut self, config: &Config) {
        let Some(tls) = &config.lan.tls else { return };
        let key = "lan.tls.client_auth";
        if tls.client_ca_file.is_none() && self.origins.contains_key(key) {
            let value = match tls.client_auth {
                ClientAuth::Required => "\"required\"",
                ClientAuth::Optional => "\"optional\"",
            };
            let reason = "is without effect as long as lan.tls.client_ca_file does not say whose certificates are good";
            self.refuse(key, value.to_owned(), reason);
        }
        if !config
            .lan
            .listen
            .iter()
            .any(|address| matches!(address, ListenAddr::Tcp(_)))
        {
            let value = quoted(&tls.cert_file.display().to_string());
            let reason = "is without effect: no address in lan.listen speaks TLS, all are plain: or unix:";
            self.refuse("lan.tls.cert_file", value, reason);
        }
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

    /// User and password need each other, and a proxy.
    fn proxies(&mut self, config: &Config) {
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
    fn together(&mut self, at: &str, keys: [&str; 2], set: [bool; 2]) {
        let (there, missing) = match set {
            [true, false] => (keys[0], keys[1]),
            [false, true] => (keys[1], keys[0]),
            _ => return,
        };
        let reason = format!("is set without `{missing}`; both are needed, or neither");
        self.refuse(&format!("{at}.{there}"), "this".to_owned(), &reason);
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

    fn tenants(&mut self, config: &Config) {
        self.unique("tenants", "name", config.tenants.iter().map(|tenant| &*tenant.name));
        self.unique("tenants", "app_id", config.tenants.iter().map(|tenant| &*tenant.app_id));
    }

    fn clients(&mut self, config: &Config) {
        self.unique("clients", "name", config.clients.iter().map(|client| &*client.name));
        let digests = config.clients.iter().enumerate();
        let mut keys: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        for (index, digest) in digests.flat_map(|(index, c)| c.key_sha256.iter().flatten().map(move |d| (index, d.0))) {
            if let Some(other) = keys.insert(digest, index) {
                let reason = format!("has a key of clients[{other}]; each client needs its own");
                self.refuse(&format!("clients[{index}].key_sha256"), "the value".into(), &reason);
            }
        }
        for (index, client) in config.clients.iter().enumerate() {
            self.client(&format!("clients[{index}]"), client, config);
        }
    }

    fn client(&mut self, at: &str, client: &Client, config: &Config) {
        let name = || quoted(&client.name);
        if client.key_sha256.is_none() && client.networks.is_none() && client.certificates.is_none() {
            let reason = "has none of `key_sha256`, `networks` and `certificates`: anybody would be this client";
            self.refuse(&format!("{at}.name"), name(), reason);
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
        match &client.tenants {
            None if config.tenants.len() > 1 => {
                let reason = "does not say which `tenants` it may ask for, and there are several";
                self.refuse(&format!("{at}.name"), name(), reason);
            }
            None => {}
            Some(tenants) => {
                for tenant in tenants {
                    if !config.tenants.iter().any(|known| known.name == *tenant) {
                        let names = config.tenants.iter().map(|tenant| &*tenant.name);
                        let hint =
                            nearest(tenant, names).map_or_else(String::new, |near| format!(", did you mean {near}?"));
                        self.refuse(
                            &format!("{at}.tenants"),
                            quoted(tenant),
                            &format!("is no tenant's name{hint}"),
                        );
                    }
                }
            }
        }
        for api in client.apis.iter().flatten() {
            let apis = contract::queries();
            if !apis.iter().any(|known| known.name() == &**api) {
                let hint = nearest(api, apis.iter().map(|known| known.name()));
                let hint = hint.map_or_else(String::new, |near| format!(", did you mean {near}?"));
                self.refuse(
                    &format!("{at}.apis"),
                    quoted(api),
                    &format!("is no API of the platform{hint}"),
                );
            }
        }
        let index = config.clients.iter().position(|other| std::ptr::eq(other, client));
        let rivals = config
            .clients
            .iter()
            .take(index.unwrap_or(0))
            .filter(|other| by_network_alone(other));
        for (rival, network) in rivals.filter(|_| by_network_alone(client)).flat_map(|other| {
            let theirs = other.networks.iter().flatten();
            theirs
                .filter(|network| client.networks.iter().flatten().any(|own| own == *network))
                .map(move |n| (other, n))
        }) {
            let reason = format!(
                "is the network of client {} as well; nothing else tells the two apart",
                rival.name
            );
            self.refuse(&format!("{at}.networks"), quoted(&network.to_string()), &reason);
        }
        if let (Some(injected), Some(allowed)) = (&client.hospital_id, &client.hospital_ids)
            && !allowed.iter().any(|id| id == injected || &**id == "*")
        {
            let reason = "is not among the client's `hospital_ids`, so its own requests would be refused";
            self.refuse(&format!("{at}.hospital_id"), quoted(injected), reason);
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

/// Nothing but its address tells this client.
fn by_network_alone(client: &Client) -> bool {
    client.key_sha256.is_none() && client.certificates.is_none()
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
