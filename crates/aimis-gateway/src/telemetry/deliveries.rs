//! Deliveries to the HIS, counted by target.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::labels::{DeliveryResult, OTHER_TENANT, TargetState};
use super::metrics::Maker;
use super::tenants::TenantLabels;

/// Bounds of the time from a callback's arrival to its delivery, in seconds: a second to a day.
const LAG_SECONDS: &[f64] = &[
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0,
];

/// Families of metrics about deliveries; each target has its series from the start.
pub struct DeliveryMetrics {
    deliveries: IntCounterVec,
    lag: HistogramVec,
    states: IntGaugeVec,
    /// One for all that count: deliveries go on over a reload, and then find targets that are new.
    tenants: Arc<ArcSwap<TenantLabels>>,
}

impl DeliveryMetrics {
    pub(super) fn new(maker: &Maker, tenants: &TenantLabels, before: Option<&Self>) -> Self {
        let labels = before.map_or_else(
            || Arc::new(ArcSwap::from_pointee(tenants.clone())),
            |before| {
                before.tenants.store(Arc::new(tenants.clone()));
                Arc::clone(&before.tenants)
            },
        );
        let metrics = Self {
            deliveries: maker.counters(
                "deliveries_total",
                "Attempts to deliver an event to the HIS, by what became of them.",
                &["target", "result"],
            ),
            lag: maker.histograms(
                "delivery_lag_seconds",
                "Time from a callback's arrival to its delivery to the HIS.",
                &["target"],
                LAG_SECONDS,
            ),
            states: maker.int_gauges(
                "delivery_target_state",
                "1 for the state that the target is in.",
                &["target", "state"],
            ),
            tenants: labels,
        };
        for label in tenants.all() {
            // Known to exist, so exported from the start.
            drop(metrics.of(label));
        }
        metrics
    }

    /// The series of a target, which is called as its tenant. Targets that share a label show no state.
    pub fn of(&self, target: &str) -> TargetMetrics {
        let tenants = self.tenants.load();
        let target = tenants.label(target);
        let results = DeliveryResult::ALL.iter();
        let states = TargetState::ALL.iter();
        TargetMetrics {
            results: results
                .map(|r| self.deliveries.with_label_values(&[target, r.as_str()]))
                .collect(),
            lag: self.lag.with_label_values(&[target]),
            states: states
                .filter(|_| target != OTHER_TENANT)
                .map(|s| self.states.with_label_values(&[target, s.as_str()]))
                .collect(),
        }
    }
}

/// The series of one target.
pub struct TargetMetrics {
    results: Vec<IntCounter>,
    lag: Histogram,
    states: Vec<IntGauge>,
}

impl TargetMetrics {
    /// Counts an attempt.
    pub fn count(&self, result: DeliveryResult) {
        self.results[result.index()].inc();
    }

    /// Notes how long an event was on its way.
    pub fn lag(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    /// Nobody delivers there any more.
    pub fn end(&self) {
        self.states.iter().for_each(|gauge| gauge.set(0));
    }

    /// Shows the target's state.
    pub fn state(&self, state: TargetState) {
        for (index, gauge) in self.states.iter().enumerate() {
            gauge.set(i64::from(index == state.index()));
        }
    }
}
