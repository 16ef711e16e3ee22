//! The cache's metrics.

use prometheus::{IntCounter, IntGauge};

use super::labels::{CacheFault, CacheResult, Eviction, Forgotten};
use super::metrics::Maker;

/// Counters and gauges of the cache.
pub struct CacheMetrics {
    requests: Vec<IntCounter>,
    evictions: Vec<IntCounter>,
    faults: Vec<IntCounter>,
    forgotten: Vec<IntCounter>,
    /// Bytes that kept answers take, their bookkeeping included.
    pub bytes: IntGauge,
    /// Answers kept.
    pub entries: IntGauge,
}

impl CacheMetrics {
    pub(super) fn new(maker: &Maker, apis: &[&str]) -> Self {
        let requests = maker.counters(
            "cache_requests_total",
            "Questions by how they came past the cache.",
            &["api", "result"],
        );
        let evictions = maker.counters(
            "cache_evictions_total",
            "Answers no longer kept, by the reason.",
            &["reason"],
        );
        let faults = maker.counters(
            "cache_faults_total",
            "What replicas share and this one could not use, by the reason.",
            &["reason"],
        );
        let forgotten = maker.counters(
            "cache_invalidations_total",
            "Acts that end answers at all replicas, by when the store was told.",
            &["result"],
        );
        Self {
            faults: CacheFault::ALL
                .iter()
                .map(|reason| faults.with_label_values(&[reason.as_str()]))
                .collect(),
            forgotten: Forgotten::ALL
                .iter()
                .map(|result| forgotten.with_label_values(&[result.as_str()]))
                .collect(),
            requests: apis
                .iter()
                .flat_map(|api| CacheResult::ALL.iter().map(|result| [*api, result.as_str()]))
                .map(|labels| requests.with_label_values(&labels))
                .collect(),
            evictions: Eviction::ALL
                .iter()
                .map(|reason| evictions.with_label_values(&[reason.as_str()]))
                .collect(),
            bytes: maker.int_gauge(
                "cache_bytes",
                "Memory that kept answers take, their bookkeeping included.",
            ),
            entries: maker.int_gauge("cache_entries", "Answers kept."),
        }
    }

    /// Counter of questions of an API with one result.
    pub fn requests(&self, api: usize, result: CacheResult) -> &IntCounter {
        &self.requests[api * CacheResult::ALL.len() + result.index()]
    }

    /// Counter of one reason to leave.
    pub fn evicted(&self, reason: Eviction) -> &IntCounter {
        &self.evictions[reason.index()]
    }

    /// Counter of one fault.
    pub fn fault(&self, reason: CacheFault) -> &IntCounter {
        &self.faults[reason.index()]
    }

    /// Counter of acts that end answers.
    pub fn forgotten(&self, result: Forgotten) -> &IntCounter {
        &self.forgotten[result.index()]
    }

    /// A part of the cache changed from one size (bytes, entries) to another.
    pub fn changed(&self, before: (usize, usize), after: (usize, usize)) {
        let difference = |before: usize, after: usize| after as i64 - before as i64;
        if before != after {
            self.bytes.add(difference(before.0, after.0));
            self.entries.add(difference(before.1, after.1));
        }
    }
}
