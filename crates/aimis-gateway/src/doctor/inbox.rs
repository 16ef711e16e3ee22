//! The inbox: whether it opens with its key, and what waits in it for somebody.

use std::sync::Arc;

use aimis_core::codes::Codes;

use super::chart::Chart;
use super::finding::Findings;
use crate::callback::inbox::sqlite::Role;
use crate::callback::inbox::{Parts, State, Stats, open};
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;

/// Percent of its bound from which on the inbox is nearly full.
const NEARLY_FULL: u64 = 70;

pub(super) async fn examine(chart: &mut Chart) {
    let (config, findings) = (&chart.config, &mut chart.findings);
    if config.callback.is_none() {
        return findings.skipped(None, "there is no section callback: none are taken");
    }
    let metrics = Arc::clone(&Metrics::new(&[], &[], &Codes::builtin()).inbox);
    let opened = open(
        &config.inbox,
        Role::Command,
        Parts::of_command(findings.clock.clone(), metrics),
    );
    let place = match &config.inbox.database_url {
        Some(_) => "inbox.database_url",
        None => "inbox.path",
    };
    match opened {
        Ok(inbox) => match inbox.stats().await {
            Ok(stats) => {
                let known = |tenant: &TenantName| config.tenants.iter().any(|known| *known.name == *tenant.as_str());
                judge(&stats, &stats.stranded(known), findings);
            }
            Err(error) => findings.fail(
                None,
                format!("{place}: {error}"),
                "Look at the disk that inbox.path is on, or at the log of the database, then run inbox verify.",
            ),
        },
        Err(error) if error.is_not_there() => findings.ok(None, error.to_string()),
        Err(error) => findings.fail(
            None,
            error.to_string(),
            "Correct what this names (inbox.path or inbox.database_url, inbox.key_file, inbox.previous_key_files): without its inbox the \
             gateway does not start.",
        ),
    }
}

fn judge(stats: &Stats, stranded: &[(TenantName, u64)], findings: &mut Findings) {
    let count = |wanted| -> u64 {
        let of_state = stats.items.iter().filter(|(_, state, _)| *state == wanted);
        of_state.map(|(.., count)| count).sum()
    };
    let waiting = count(State::Ready) + count(State::InFlight) + count(State::Retrying);
    let used = stats.disk_bytes * 100 / stats.disk_limit.max(1);
    let (dead, quarantined) = (count(State::Dead), count(State::Quarantined));
    let found = format!(
        "opened: {waiting} to be delivered, {dead} dead, {quarantined} in quarantine, {used} % of inbox.max_bytes"
    );
    for (tenant, count) in stranded {
        let tenant = tenant.as_str();
        findings.warn(
            None,
            format!("{count} event(s) wait for tenant {tenant}, which the configuration does not have"),
            "Nobody delivers them: give the tenant this name until inbox stats shows that they are delivered.",
        );
    }
    if used >= NEARLY_FULL {
        findings.warn(
            None,
            found,
            "See why events are not delivered, or raise inbox.max_bytes: a full inbox refuses callbacks.",
        );
    } else if dead + quarantined > 0 {
        findings.warn(
            None,
            found,
            "Look at them with inbox list, then redeliver, release or drop them.",
        );
    } else {
        findings.ok(None, found);
    }
}
