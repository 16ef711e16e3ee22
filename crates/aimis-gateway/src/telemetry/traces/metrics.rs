//! What becomes of spans.

use prometheus::{IntCounter, IntGauge};

use crate::telemetry::metrics::Maker;

/// Counts them.
pub struct TraceMetrics {
    /// Spans that the collector took.
    pub exported: IntCounter,
    /// Spans for which the queue had no room.
    pub dropped: IntCounter,
    /// Spans that the collector did not take.
    pub failed: IntCounter,
    /// 1 while the collector takes nothing.
    pub failing: IntGauge,
}

impl TraceMetrics {
    pub(in crate::telemetry) fn new(maker: &Maker) -> Self {
        let spans = maker.counters(
            "trace_spans_total",
            "Spans for the collector: exported, dropped since the queue was full, or given up since it did not take them.",
            &["result"],
        );
        Self {
            exported: spans.with_label_values(&["exported"]),
            dropped: spans.with_label_values(&["dropped"]),
            failed: spans.with_label_values(&["failed"]),
            failing: maker.int_gauge(
                "trace_export_failing",
                "1 while the collector takes no spans; 0 also without one.",
            ),
        }
    }
}
