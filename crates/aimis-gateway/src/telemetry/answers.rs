//! What answers hold: counted by tenant, since an emptiness that nobody expects is a sign of something wrong.

use prometheus::{Gauge, IntCounter};

use super::exchange::{Findings, Parts};
use super::labels::MergedPart;
use super::metrics::Maker;
use super::tenants::TenantLabels;

/// Counters of what answers hold.
pub struct AnswerMetrics {
    /// One a tenant, with a label of its own or not.
    tenants: Vec<OfTenant>,
    /// What the tenants without a label of their own share, if there are any.
    shared: Option<Series>,
    merged_parts: Vec<IntCounter>,
    compared: Gauge,
}

/// Those of one tenant.
struct OfTenant {
    /// Exported only if the tenant has a label of its own; its totals are compared in any case.
    series: Series,
    is_named: bool,
}

/// Those of one label.
struct Series {
    lookups: IntCounter,
    empty: IntCounter,
    suspicious: IntCounter,
    jumps: IntCounter,
}

impl Series {
    /// Of a tenant whose label is not its own.
    fn nowhere() -> Self {
        let counter = || IntCounter::new("nowhere", "nowhere").expect("a constant name is valid");
        Self {
            lookups: counter(),
            empty: counter(),
            suspicious: counter(),
            jumps: counter(),
        }
    }

    fn count(&self, findings: Findings, failed_check: bool) {
        self.lookups.inc();
        if findings == Findings::Nothing {
            self.empty.inc();
            if failed_check {
                self.suspicious.inc();
            }
        }
    }
}

impl AnswerMetrics {
    pub(super) fn new(maker: &Maker, tenants: &TenantLabels) -> Self {
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
        let mut labelled = tenants.all().into_iter().map(|label| Series {
            lookups: lookups.with_label_values(&[label]),
            empty: empty.with_label_values(&[label]),
            suspicious: suspicious.with_label_values(&[label]),
            jumps: jumps.with_label_values(&[label]),
        });
        let of_tenants = (0..tenants.tenants()).map(|tenant| {
            let is_named = tenants.is_named(tenant);
            let own = if is_named { labelled.next() } else { None };
            OfTenant {
                series: own.unwrap_or_else(Series::nowhere),
                is_named,
            }
        });
        let of_tenants = of_tenants.collect();
        let merged_parts = MergedPart::ALL
            .iter()
            .map(|r| merged_parts.with_label_values(&[r.as_str()]));
        Self {
            tenants: of_tenants,
            shared: labelled.next(),
            merged_parts: merged_parts.collect(),
            compared: maker.gauge(
                "empty_share_compared_timestamp_seconds",
                "When the shares of empty answers were last compared, in seconds since 1970; 0 before the first time.",
            ),
        }
    }

    /// Counts an answer that says whether anything was found.
    pub fn count(&self, tenant: usize, findings: Findings, failed_check: bool) {
        let Some(of) = self.tenants.get(tenant) else { return };
        of.series.count(findings, failed_check);
        if let Some(shared) = self.shared(of) {
            shared.count(findings, failed_check);
        }
    }

    /// What a tenant is counted in beside its own series.
    fn shared(&self, of: &OfTenant) -> Option<&Series> {
        self.shared.as_ref().filter(|_| !of.is_named)
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
        let of = &self.tenants[tenant].series;
        // Every empty one was counted as an answer before: read in this order, none is missing among the answers.
        let empty = of.empty.get();
        (of.lookups.get(), empty)
    }

    /// Counts a jump of a tenant's share of empty answers.
    pub fn jumped(&self, tenant: usize) {
        let of = &self.tenants[tenant];
        self.shared(of).unwrap_or(&of.series).jumps.inc();
    }

    /// Notes that the shares were compared at `seconds` since 1970.
    pub fn compared(&self, seconds: f64) {
        self.compared.set(seconds);
    }
}
