//! Settings that work and are a risk, or do less than they seem to.

use std::time::Duration;

use aimis_core::codes::{Class, Codes};
use aimis_core::contract;

use crate::config::kind::choice::Choice;
use crate::config::{CachedApi, Config, OwnTenantQuota, Tenant};

/// The longest that "no data", or a link, is kept without a word, in seconds.
const LONG_S: u64 = 300;
/// The API whose answers are links.
const LINKS: &str = "patientReportUrl";

/// All of them, a sentence each.
pub(super) fn risks(config: &Config) -> Vec<String> {
    let mut notices = Vec::new();
    time_outs(config, &mut notices);
    protection(config, &mut notices);
    cache(config, &mut notices);
    codes(config, &mut notices);
    notices
}

fn time_outs(config: &Config, notices: &mut Vec<String>) {
    let deadline = config.platform.deadline;
    if config.limits.max_wait >= deadline {
        notices.push(format!(
            "limits.max_wait_ms is {}, and platform.deadline_ms only {}: a question can wait for its turn until it is \
             too late to ask it",
            config.limits.max_wait.as_millis(),
            deadline.as_millis()
        ));
    }
    if config.platform.connect_timeout > deadline {
        notices.push(format!(
            "platform.connect_timeout_ms is {}, and platform.deadline_ms only {}: connecting ends with the \
             deadline already",
            config.platform.connect_timeout.as_millis(),
            deadline.as_millis()
        ));
    }
}

fn protection(config: &Config, notices: &mut Vec<String>) {
    if !config.breaker.enabled {
        notices
            .push("breaker.enabled is false: while the platform fails, each question waits for it in full".to_owned());
    }
    let unbounded = named(config, |tenant| {
        let quota = OwnTenantQuota::over(tenant.limits.as_ref(), &config.limits.tenant);
        quota.rate_per_s.period().is_none() && quota.in_flight == 0
    });
    if !unbounded.is_empty() {
        notices.push(format!(
            "{unbounded}: rate_per_s and in_flight are 0, so nothing bounds what is asked of the platform: set one of \
             them in limits.tenant"
        ));
    }
}

fn cache(config: &Config, notices: &mut Vec<String>) {
    for api in contract::queries().iter().map(|api| api.name()) {
        let mut tell = |risk: fn(&Kept, &str) -> bool, sentence: &str| {
            let tenants = named(config, |tenant| {
                Kept::of(tenant, config, api).is_some_and(|kept| risk(&kept, api))
            });
            if !tenants.is_empty() {
                notices.push(format!("{tenants}: {api}: {sentence}"));
            }
        };
        tell(
            |kept, _| kept.negative > kept.fresh,
            "cache.negative_s is more than fresh_s: \"no data\" is kept for longer than findings, so new studies show late",
        );
        tell(
            |kept, _| kept.negative.as_secs() > LONG_S,
            "cache.negative_s is more than 300: studies that have come meanwhile are not shown for so long",
        );
        tell(
            |kept, api| api == LINKS && (kept.fresh + kept.revalidating).as_secs() > LONG_S,
            "links are kept for more than 300 s (fresh_s and stale_while_revalidate_s together), and may have expired",
        );
    }
}

/// How long a tenant's answers of an API are kept.
struct Kept {
    fresh: Duration,
    negative: Duration,
    revalidating: Duration,
}

impl Kept {
    /// `None` if they are not.
    fn of(tenant: &Tenant, config: &Config, api: &str) -> Option<Self> {
        let all = &tenant.cache;
        let CachedApi {
            enabled,
            fresh,
            negative,
            stale_while_revalidate,
            ..
        } = all.of_api(api)?;
        (config.cache.enabled && all.enabled && enabled).then(|| Self {
            fresh: fresh.unwrap_or(all.fresh),
            negative: negative.unwrap_or(all.negative),
            revalidating: stale_while_revalidate.unwrap_or(all.stale_while_revalidate),
        })
    }
}

fn codes(config: &Config, notices: &mut Vec<String>) {
    let table = Codes::builtin();
    for (index, code) in config.codes.iter().enumerate() {
        let class = table.lookup("", code.code).class;
        let becomes = code.class.class();
        if matches!(class, Class::Permission | Class::Configuration)
            && matches!(becomes, Class::Success | Class::NoData)
        {
            notices.push(format!(
                "codes[{index}]: {} is {} in the table of codes; as {} it is kept in the cache and alerts nobody",
                code.code,
                class.as_str(),
                code.class.name()
            ));
        }
    }
}

/// `tenant a` or `tenants a, b`: those that are concerned; empty for none.
fn named(config: &Config, concerned: impl Fn(&Tenant) -> bool) -> String {
    let tenants = config.tenants.iter().filter(|tenant| concerned(tenant));
    let names: Vec<&str> = tenants.map(|tenant| &*tenant.name).collect();
    match names[..] {
        [] => String::new(),
        [one] => format!("tenant {one}"),
        _ => format!("tenants {}", names.join(", ")),
    }
}
