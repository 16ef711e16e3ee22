//! What came from the platform: counted by what became of it.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::labels::{CallbackRefusal, CallbackRepair, CallbackResult};
use super::metrics::Maker;

/// Bounds of the time to an acknowledgement in seconds: the disk's work, and a platform that waits.
const ACK_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Counters of the callback road.
pub struct CallbackMetrics {
    received: Vec<IntCounter>,
    refused: Vec<IntCounter>,
    repairs: Vec<IntCounter>,
    /// From a callback's head to its acknowledgement, in seconds.
    pub ack_seconds: Histogram,
    /// Callbacks whose signature had come with another body before.
    pub shared: IntCounter,
    /// Different hosts that links led to where any is allowed.
    pub link_hosts: IntGauge,
    /// Connections that are open.
    pub connections: IntGauge,
    /// Connections that were refused.
    pub connections_refused: IntCounter,
}

impl CallbackMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let received = maker.counters(
            "callbacks_received_total",
            "Callbacks received, by what became of them.",
            &["result"],
        );
        let refused = maker.counters(
            "callbacks_refused_total",
            "Callbacks refused, by the reason that the platform is not told.",
            &["reason"],
        );
        let repairs = maker.counters(
            "callback_repairs_total",
            "Repairs made to callbacks, by kind.",
            &["reason"],
        );
        Self {
            received: CallbackResult::ALL
                .iter()
                .map(|r| received.with_label_values(&[r.as_str()]))
                .collect(),
            refused: CallbackRefusal::ALL
                .iter()
                .map(|r| refused.with_label_values(&[r.as_str()]))
                .collect(),
            repairs: CallbackRepair::ALL
                .iter()
                .map(|r| repairs.with_label_values(&[r.as_str()]))
                .collect(),
            ack_seconds: maker.histogram(
                "callback_ack_duration_seconds",
                "Time from a callback's head to its acknowledgement.",
                ACK_SECONDS,
            ),
            shared: maker.counter(
                "callbacks_shared_total",
                "Callbacks taken whose signature had come with another body before.",
            ),
            link_hosts: maker.int_gauge(
                "callback_link_hosts",
                "Different hosts that links of callbacks led to where any is allowed, since the start; at most 256.",
            ),
            connections: maker.int_gauge("callback_connections", "Connections of callers with callbacks that are open."),
            connections_refused: maker.counter(
                "callback_connections_refused_total",
                "Connections with callbacks closed at once because as many were open as may be, in all or from one address.",
            ),
        }
    }

    /// Counter of callbacks.
    pub fn received(&self, result: CallbackResult) -> &IntCounter {
        &self.received[result.index()]
    }

    /// Counter of refusals.
    pub fn refused(&self, reason: CallbackRefusal) -> &IntCounter {
        &self.refused[reason.index()]
    }

    /// Counter of repairs.
    pub fn repair(&self, repair: CallbackRepair) -> &IntCounter {
        &self.repairs[repair.index()]
    }
}
