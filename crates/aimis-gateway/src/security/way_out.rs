//! The way to the platform.

use super::{Found, Grade, Rule};
use crate::config::{Config, OwnTenantQuota, ProxyChoice};

/// All of this file.
pub(super) const RULES: &[&Rule] = &[&PLAIN_PLATFORM, &PLAIN_PASSWORD, &EXTRA_CA, &UNBOUNDED];

/// Clear text to the platform.
const PLAIN_PLATFORM: Rule = Rule {
    key: "platform.base_url",
    grade: Grade::Serious,
    why: "the platform is asked in plain HTTP: whoever is on the way reads answers and sees signatures",
    fix: "Use https; a gap device is named in platform.connect_to.",
};

/// Clear text to the proxy.
const PLAIN_PASSWORD: Rule = Rule {
    key: "platform.proxy",
    grade: Grade::Moderate,
    why: "the password for the proxy goes to it in plain HTTP",
    fix: "Use an https:// proxy, or a password that is good for nothing else.",
};

/// An authority of one's own.
const EXTRA_CA: Rule = Rule {
    key: "platform.extra_ca_file",
    grade: Grade::Minor,
    why: "whoever has the key of this authority can read and change everything between us and the platform",
    fix: "Only where a proxy inspects TLS; better, have it leave the platform's host alone.",
};

/// No bound on what is asked.
const UNBOUNDED: Rule = Rule {
    key: "limits.tenant",
    grade: Grade::Moderate,
    why: "nothing bounds what is asked of the platform: a stolen key can take everything in one night",
    fix: "Set rate_per_s or in_flight.",
};

pub(super) fn examine(config: &Config, found: &mut Found) {
    let (platform, base) = (&config.platform, &config.platform.base_url);
    found.check(
        !base.https && !base.host.is_loopback(),
        &PLAIN_PLATFORM,
        base.to_string(),
    );
    let plain = |proxy: &Option<ProxyChoice>| match proxy {
        Some(ProxyChoice::Through(proxy)) => !proxy.https && !proxy.host.is_loopback(),
        Some(ProxyChoice::Direct) | None => false,
    };
    let told = platform.proxy_password_file.is_some() && plain(&platform.proxy);
    found.check(told, &PLAIN_PASSWORD, "");
    for tenant in &config.tenants {
        let told = tenant.proxy_password_file.is_some() && plain(&tenant.proxy);
        found.check(told, &PLAIN_PASSWORD, &*tenant.name);
        let quota = OwnTenantQuota::over(tenant.limits.as_ref(), &config.limits.tenant);
        let unbounded = quota.rate_per_s.period().is_none() && quota.in_flight == 0;
        found.check(unbounded, &UNBOUNDED, &*tenant.name);
    }
    if let Some(file) = &platform.extra_ca_file {
        found.check(true, &EXTRA_CA, file.display().to_string());
    }
}
