//! What no table can say, because it is about two keys at once.

use std::collections::BTreeMap;

use super::origin::Origin;
use super::problem::{Problem, quoted};
use super::section::Origins;
use super::{ClientAuth, Config, ListenAddr};

/// Complaints about values that are right alone and wrong together.
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<Problem> {
    let mut check = Check {
        origins,
        problems: Vec::new(),
    };
    check.listeners(config);
    check.lan_tls(config);
    check.platform(config);
    check.dates(config);
    check.tenants(config);
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
        for address in config.lan.listen.iter().filter(|address| !address.is_loopback()) {
            self.refuse(
                "lan.listen",
                quoted(&address.to_string()),
                "can be reached from other machines, and client authorisation is not configured; use a loopback address",
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
        self.unique("name", config.tenants.iter().map(|tenant| &*tenant.name));
        self.unique("app_id", config.tenants.iter().map(|tenant| &*tenant.app_id));
    }

    fn unique<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, value) in values.enumerate() {
            if let Some(other) = first.get(value) {
                let reason = format!("is that of tenants[{other}] already");
                self.refuse(&format!("tenants[{index}].{key}"), quoted(value), &reason);
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
