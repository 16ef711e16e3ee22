//! The search for callbacks that were missed, counted.

use prometheus::{IntCounter, IntGauge};

use super::labels::PollResult;
use super::metrics::Maker;
use super::tenants::TenantLabels;

/// Counters of the search.
pub struct ReconcileMetrics {
    polls: Vec<IntCounter>,
    /// One a label.
    missed: Vec<IntCounter>,
    tenants: TenantLabels,
    /// Patients that are watched.
    pub patients: IntGauge,
}

impl ReconcileMetrics {
    pub(super) fn new(maker: &Maker, tenants: &TenantLabels) -> Self {
        let polls = maker.counters(
            "reconcile_polls_total",
            "Study lists asked for in search of callbacks that were missed, by what became of the question.",
            &["result"],
        );
        let missed = maker.counters(
            "callbacks_missed_total",
            "Studies that a study list of the platform told of and no callback, and that were put into the inbox.",
            &["tenant"],
        );
        Self {
            polls: PollResult::ALL
                .iter()
                .map(|r| polls.with_label_values(&[r.as_str()]))
                .collect(),
            missed: tenants
                .all()
                .iter()
                .map(|tenant| missed.with_label_values(&[tenant]))
                .collect(),
            tenants: tenants.clone(),
            patients: maker.int_gauge(
                "reconcile_patients",
                "Patients whose study lists are compared with callbacks, over all tenants.",
            ),
        }
    }

    /// Counts a question.
    pub fn poll(&self, result: PollResult) {
        self.polls[result.index()].inc();
    }

    /// Counts a callback that was missed, of the tenant at this position.
    pub fn missed(&self, tenant: usize) {
        self.missed[self.tenants.row(tenant)].inc();
    }
}
