//! Counters of the audit trail.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::metrics::Maker;

/// What becomes of records.
pub struct AuditMetrics {
    /// Records in the trail.
    pub written: IntCounter,
    /// Look-ups and the like that were refused since no record could be kept.
    pub refused: IntCounter,
    /// Records that could not be kept.
    pub lost: IntCounter,
    /// 1 while nothing can be written.
    pub failing: IntGauge,
    /// Number of the last line.
    pub sequence: IntGauge,
    /// Bytes of the trail's files.
    pub disk_bytes: IntGauge,
    /// When the trail was last found sound.
    pub verified: Gauge,
    /// Problems that the last verification found.
    pub problems: IntGauge,
    /// Messages that the syslog server took.
    pub export_sent: IntCounter,
    /// Messages that it did not get.
    pub export_dropped: IntCounter,
}

impl AuditMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let records = maker.counters(
            "audit_records_total",
            "Records for the audit trail: written, lost, or refused together with what they were about.",
            &["result"],
        );
        let exported = maker.counters(
            "audit_exported_total",
            "Lines of the audit trail for the syslog server: sent, or dropped.",
            &["result"],
        );
        Self {
            written: records.with_label_values(&["written"]),
            refused: records.with_label_values(&["refused"]),
            lost: records.with_label_values(&["lost"]),
            failing: maker.int_gauge("audit_failing", "1 while the audit trail cannot be written."),
            sequence: maker.int_gauge(
                "audit_last_sequence",
                "Number of the last line of the audit trail; 0 without one.",
            ),
            disk_bytes: maker.int_gauge("audit_disk_bytes", "Bytes that the files of the audit trail take."),
            verified: maker.gauge(
                "audit_last_verified_timestamp_seconds",
                "When the audit trail was last verified and found sound, in seconds since 1970; 0 before.",
            ),
            problems: maker.int_gauge(
                "audit_problems",
                "Problems that the last verification of the audit trail found.",
            ),
            export_sent: exported.with_label_values(&["sent"]),
            export_dropped: exported.with_label_values(&["dropped"]),
        }
    }
}
