//! What the inbox counts.

use prometheus::{Gauge, Histogram, IntGauge};

use super::{State, Stats};
use crate::telemetry::metrics::Maker;

/// Bounds of the time of a commit, in seconds: a sync takes 0.2 ms on a good disk and 30 ms on a turning one.
const FSYNC_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// States that are counted: what is delivered is no backlog.
const COUNTED: &[State] = &[
    State::Ready,
    State::InFlight,
    State::Retrying,
    State::Dead,
    State::Quarantined,
];

/// What the inbox counts.
pub struct InboxMetrics {
    items: Vec<IntGauge>,
    oldest: Gauge,
    disk_bytes: IntGauge,
    disk_limit: IntGauge,
    store_up: IntGauge,
    /// Time of a commit: one write and one sync.
    pub(super) fsync_seconds: Histogram,
}

impl InboxMetrics {
    pub(crate) fn new(maker: &Maker) -> Self {
        let items = maker.int_gauges("inbox_items", "Events in the inbox, by state.", &["state"]);
        Self {
            items: COUNTED
                .iter()
                .map(|state| items.with_label_values(&[state.as_str()]))
                .collect(),
            oldest: maker.gauge(
                "inbox_oldest_item_timestamp_seconds",
                "When the oldest event that is still to be delivered became so, in seconds since 1970; 0 when there is none.",
            ),
            disk_bytes: maker.int_gauge("inbox_disk_bytes", "Bytes of the inbox on the disk."),
            disk_limit: maker.int_gauge("inbox_disk_limit_bytes", "Bytes that the inbox may take; 0 without an inbox."),
            store_up: maker.int_gauge(
                "inbox_store_up",
                "1 while the store of the inbox answers; 0 while it does not, or without an inbox.",
            ),
            fsync_seconds: maker.histogram(
                "inbox_fsync_duration_seconds",
                "Time of a commit of the inbox: one write, and one sync of the disk.",
                FSYNC_SECONDS,
            ),
        }
    }

    /// Shows what is in the store.
    pub(super) fn show(&self, stats: &Stats, disk_bytes: u64) {
        for (state, gauge) in COUNTED.iter().zip(&self.items) {
            let items = stats.items.iter().filter(|(_, of, _)| of == state);
            gauge.set(items.map(|(_, _, count)| count.cast_signed()).sum());
        }
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
        self.oldest
            .set(stats.oldest.map_or(0.0, |oldest| oldest.as_millis() as f64 / 1000.0));
        self.disk_bytes.set(disk_bytes.cast_signed());
    }

    /// Shows whether the store answers.
    pub(crate) fn show_contact(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// Shows what the store may take, and that it is there.
    pub(super) fn show_limit(&self, bytes: u64) {
        self.disk_limit.set(bytes.cast_signed());
        self.store_up.set(1);
    }
}
