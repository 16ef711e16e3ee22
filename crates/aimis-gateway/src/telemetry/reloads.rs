//! What changed while the process ran: the configuration with its files, and the tokens in use.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::labels::{ReloadResult, SwitchReason};
use super::metrics::Maker;
use super::tenants::TenantLabels;

/// Counters and gauges of reloads.
pub struct ReloadMetrics {
    reloads: Vec<IntCounter>,
    last_successful: IntGauge,
    last_success: Gauge,
    switches: Vec<IntCounter>,
    tenants: TenantLabels,
}

impl ReloadMetrics {
    pub(super) fn new(maker: &Maker, tenants: &TenantLabels) -> Self {
        let reloads = maker.counters(
            "config_reloads_total",
            "Times that the configuration, with the files it names, was taken up anew, or was of no use.",
            &["result"],
        );
        let switches = maker.counters(
            "token_switches_total",
            "Times that requests of a tenant began to be signed with another token.",
            &["tenant", "reason"],
        );
        Self {
            reloads: ReloadResult::ALL
                .iter()
                .map(|result| reloads.with_label_values(&[result.as_str()]))
                .collect(),
            last_successful: maker.int_gauge(
                "config_last_reload_successful",
                "1 if the configuration and its files were of use when they were last read; 0: what was before is kept.",
            ),
            last_success: maker.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read, in seconds since 1970.",
            ),
            switches: tenants
                .all()
                .iter()
                .flat_map(|tenant| SwitchReason::ALL.iter().map(|reason| [*tenant, reason.as_str()]))
                .map(|labels| switches.with_label_values(&labels))
                .collect(),
            tenants: tenants.clone(),
        }
    }

    /// The configuration was read at the start, at `seconds` since 1970.
    pub fn started(&self, seconds: f64) {
        self.last_successful.set(1);
        self.last_success.set(seconds);
    }

    /// It was read anew, and is in force since `seconds` since 1970.
    pub fn succeeded(&self, seconds: f64) {
        self.reloads[ReloadResult::Ok.index()].inc();
        self.started(seconds);
    }

    /// It was read anew, and is of no use.
    pub fn failed(&self) {
        self.reloads[ReloadResult::Failed.index()].inc();
        self.last_successful.set(0);
    }

    /// A tenant, by its position, uses another token.
    pub fn switched(&self, tenant: usize, reason: SwitchReason) {
        self.switches[self.tenants.row(tenant) * SwitchReason::ALL.len() + reason.index()].inc();
    }
}
