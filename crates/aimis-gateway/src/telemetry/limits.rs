//! Who is squeezed: what limits decided, how long was waited, what is left.

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::labels::{LimitDecision, WaitedFor};
use super::metrics::Maker;
use super::tenants::TenantLabels;

/// Bounds of waits for a turn, in seconds.
const WAIT_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counters and gauges of limits.
pub struct LimitMetrics {
    decisions: Vec<IntCounter>,
    waits: Vec<Histogram>,
    closed: Vec<IntCounter>,
    shown: Vec<Shown>,
    tenants: TenantLabels,
}

/// What is shown of one tenant's tap.
pub struct Shown {
    /// What is left of its quota.
    pub tokens: Gauge,
    /// Questions on their way.
    pub in_flight: IntGauge,
    /// How many may be.
    pub in_flight_limit: Gauge,
    /// Questions that wait.
    pub waiting: IntGauge,
}

impl Shown {
    /// What is shown of tenants that share a label: nothing, since what is left for one of them says nothing of the
    /// next.
    fn nowhere() -> Self {
        let gauge = || Gauge::new("nowhere", "nowhere").expect("a constant name is valid");
        let count = || IntGauge::new("nowhere", "nowhere").expect("a constant name is valid");
        Self {
            tokens: gauge(),
            in_flight: count(),
            in_flight_limit: gauge(),
            waiting: count(),
        }
    }
}

impl LimitMetrics {
    pub(super) fn new(maker: &Maker, tenants: &TenantLabels) -> Self {
        let labels = tenants.all();
        let decisions = maker.counters(
            "ratelimit_decisions_total",
            "What limits decided about questions to the platform.",
            &["tenant", "result"],
        );
        let waits = maker.histograms(
            "ratelimit_wait_seconds",
            "How long questions waited that had to wait, by what they waited for.",
            &["limit"],
            WAIT_SECONDS,
        );
        let closed = maker.counters(
            "ratelimit_closed_total",
            "Times that a tenant's questions were stopped because the platform said that it asks too much.",
            &["tenant"],
        );
        let tokens = maker.gauges(
            "ratelimit_tokens",
            "Questions that the tenant's quota lets through at once; +Inf without a quota.",
            &["tenant"],
        );
        let in_flight = maker.int_gauges(
            "ratelimit_in_flight",
            "Questions of the tenant on their way to the platform and back.",
            &["tenant"],
        );
        let in_flight_limit = maker.gauges(
            "ratelimit_in_flight_limit",
            "How many may be: in_flight, less while the platform is slow; +Inf without a limit.",
            &["tenant"],
        );
        let waiting = maker.int_gauges(
            "ratelimit_waiting",
            "Questions of the tenant that wait for their turn.",
            &["tenant"],
        );
        Self {
            decisions: labels
                .iter()
                .flat_map(|tenant| LimitDecision::ALL.iter().map(|result| [*tenant, result.as_str()]))
                .map(|labels| decisions.with_label_values(&labels))
                .collect(),
            waits: WaitedFor::ALL
                .iter()
                .map(|limit| waits.with_label_values(&[limit.as_str()]))
                .collect(),
            closed: labels
                .iter()
                .map(|tenant| closed.with_label_values(&[tenant]))
                .collect(),
            shown: labels
                .iter()
                .enumerate()
                .map(|(row, tenant)| {
                    if !tenants.is_named(row) {
                        return Shown::nowhere();
                    }
                    Shown {
                        tokens: tokens.with_label_values(&[tenant]),
                        in_flight: in_flight.with_label_values(&[tenant]),
                        in_flight_limit: in_flight_limit.with_label_values(&[tenant]),
                        waiting: waiting.with_label_values(&[tenant]),
                    }
                })
                .collect(),
            tenants: tenants.clone(),
        }
    }

    /// Counter of one kind of decision about a tenant's questions.
    pub fn decision(&self, tenant: usize, decision: LimitDecision) -> &IntCounter {
        &self.decisions[self.tenants.row(tenant) * LimitDecision::ALL.len() + decision.index()]
    }

    /// How long was waited.
    pub fn waited(&self, limit: WaitedFor) -> &Histogram {
        &self.waits[limit.index()]
    }

    /// Counter of the times that a tenant's tap was closed.
    pub fn closed(&self, tenant: usize) -> &IntCounter {
        &self.closed[self.tenants.row(tenant)]
    }

    /// What is shown of a tenant's tap.
    pub fn shown(&self, tenant: usize) -> &Shown {
        &self.shown[self.tenants.row(tenant)]
    }
}
