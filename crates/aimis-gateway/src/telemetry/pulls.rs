//! Requests of a HIS that fetches its events.

use prometheus::{IntCounter, IntGauge};

use super::labels::{CodeClass, PullOperation};
use super::metrics::Maker;

/// Counters of the pull road.
pub struct PullMetrics {
    requests: Vec<IntCounter>,
    /// Requests that wait for events.
    pub waiting: IntGauge,
}

impl PullMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let requests = maker.counters(
            "pull_requests_total",
            "Requests of a HIS that fetches its events, by what it wanted and class of the answer.",
            &["operation", "code_class"],
        );
        let labels = PullOperation::ALL
            .iter()
            .flat_map(|operation| CLASSES.iter().map(|class| [operation.as_str(), class.as_str()]));
        Self {
            requests: labels.map(|labels| requests.with_label_values(&labels)).collect(),
            waiting: maker.int_gauge("pull_waiting", "Requests of a HIS that wait for events."),
        }
    }

    /// Counts a request.
    pub fn count(&self, operation: PullOperation, class: CodeClass) {
        // The platform has no part in it, so other classes cannot be.
        let class = CLASSES
            .iter()
            .position(|known| *known == class)
            .unwrap_or(CLASSES.len() - 1);
        self.requests[operation.index() * CLASSES.len() + class].inc();
    }
}

/// What an answer of this road can mean.
const CLASSES: [CodeClass; 4] = [CodeClass::Ok, CodeClass::Data, CodeClass::Limit, CodeClass::Gateway];
