//! What answers hold: counted by tenant, since an emptiness that nobody expects is a sign of something wrong.

use prometheus::{Gauge, IntCounter};

use super::exchange::{Findings, Parts};
use super::labels::MergedPart;
use super::metrics::Maker;

/// Counters of what answers hold.
pub struct AnswerMetrics {
    tenants: Vec<OfTenant>,
    merged_parts: Vec<IntCounter>,
    compared: Gauge,
}

/// Those of one tenant.
struct OfTenant {
    lookups: IntCounter,
    empty: IntCounter,
    suspicious: IntCounter,
    jumps: IntCounter,
}

impl AnswerMetrics {
    pub(super) fn new(maker: &Maker, tenants: &[&str]) -> Self {
        let lookups = maker.counters(
            "lookup_answers_total",
            "Answers of the platform that say whether anything was found.",
            &["tenant"],
        );
        let empty = maker.counters(
            "empty_answers_total",
            "Answers of the platform that hold nothing.",
            &["tenant"],
        );
        let suspicious = maker.counters(
            "suspicious_empty_answers_total",
            "Answers that hold nothing, to questions whose identity or telephone number failed a check.",
            &["tenant"],
        );
        let jumps = maker.counters(
            "empty_share_jumps_total",
            "Times that the share of empty answers rose far above what it was before.",
            &["tenant"],
        );
        let merged_parts = maker.counters(
            "merged_parts_total",
            "Parts of merged study lists, one a type of study.",
            &["result"],
        );
        let tenants = tenants.iter().map(|tenant| OfTenant {
            lookups: lookups.with_label_values(&[tenant]),
            empty: empty.with_label_values(&[tenant]),
            suspicious: suspicious.with_label_values(&[tenant]),
            jumps: jumps.with_label_values(&[tenant]),
        });
        let merged_parts = MergedPart::ALL
            .iter()
            .map(|r| merged_parts.with_label_values(&[r.as_str()]));
        Self {
            tenants: tenants.collect(),
            merged_parts: merged_parts.collect(),
            compared: maker.gauge(
                "empty_share_compared_timestamp_seconds",
                "When the shares of empty answers were last compared, in seconds since 1970; 0 before the first time.",
            ),
        }
    }

    /// Counts an answer that says whether anything was found.
    pub fn count(&self, tenant: usize, findings: Findings, failed_check: bool) {
        let Some(tenant) = self.tenants.get(tenant) else { return };
        tenant.lookups.inc();
        if findings == Findings::Nothing {
            tenant.empty.inc();
            if failed_check {
                tenant.suspicious.inc();
            }
        }
    }

    /// Counts the parts of a merged study list.
    pub fn count_parts(&self, parts: Parts) {
        for (result, count) in [
            (MergedPart::Ok, parts.ok),
            (MergedPart::Empty, parts.empty),
            (MergedPart::Failed, parts.failed),
        ] {
            self.merged_parts[result.index()].inc_by(count.into());
        }
    }

    /// Answers of a tenant so far, and how many of them were empty.
    pub fn totals(&self, tenant: usize) -> (u64, u64) {
        let of = &self.tenants[tenant];
        // Every empty one was counted as an answer before: read in this order, none is missing among the answers.
        let empty = of.empty.get();
        (of.lookups.get(), empty)
    }

    /// Counts a jump of a tenant's share of empty answers.
    pub fn jumped(&self, tenant: usize) {
        self.tenants[tenant].jumps.inc();
    }

    /// Notes that the shares were compared at `seconds` since 1970.
    pub fn compared(&self, seconds: f64) {
        self.compared.set(seconds);
    }
}
