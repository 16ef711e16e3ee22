//! What is seen of the store that several gateways share.

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::labels::{StoreFallback, StoreFault};
use super::metrics::Maker;

/// Bounds of calls, in seconds.
const CALL_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

/// Counters and gauges of the store.
pub struct StoreMetrics {
    /// 1 while limits are counted where they are meant to be.
    pub up: Gauge,
    /// Gateways that share it.
    pub replicas: IntGauge,
    /// How long its calls take.
    pub seconds: Histogram,
    fallbacks: Vec<IntCounter>,
    faults: Vec<IntCounter>,
}

impl StoreMetrics {
    /// `is_new` unless another generation went before.
    pub(super) fn new(maker: &Maker, is_new: bool) -> Self {
        let up = maker.gauge("ratelimit_store_up", "1 while what limits count is to be had.");
        let replicas = maker.int_gauge("store_replicas", "Gateways that share the store, this one among them.");
        if is_new {
            // Without a store limits are counted in this process, so they are always there.
            up.set(1.0);
            replicas.set(1);
        }
        let fallbacks = maker.counters(
            "store_fallbacks_total",
            "Calls of the store in whose place the gateway went by itself, by reason.",
            &["reason"],
        );
        let faults = maker.counters(
            "store_faults_total",
            "Calls of the store that failed, those of the heartbeat among them, by what was wrong.",
            &["error_type"],
        );
        Self {
            up,
            replicas,
            seconds: maker.histogram(
                "store_request_duration_seconds",
                "How long calls of the store took, those without an answer included.",
                CALL_SECONDS,
            ),
            fallbacks: StoreFallback::ALL
                .iter()
                .map(|reason| fallbacks.with_label_values(&[reason.as_str()]))
                .collect(),
            faults: StoreFault::ALL
                .iter()
                .map(|fault| faults.with_label_values(&[fault.as_str()]))
                .collect(),
        }
    }

    /// Counter of what was wrong.
    pub fn fault(&self, fault: StoreFault) -> &IntCounter {
        &self.faults[fault.index()]
    }

    /// Counter of one reason.
    pub fn fallback(&self, reason: StoreFallback) -> &IntCounter {
        &self.fallbacks[reason.index()]
    }
}
