//! Bounds in the wrong order, and switches that leave each other without effect.

use std::time::Duration;

use super::Check;
use crate::config::Config;

impl Check<'_> {
    pub(super) fn combinations(&mut self, config: &Config) {
        let (platform, limits, clock) = (&config.platform, &config.limits, &config.clock);
        self.ordered(
            ("platform.retry_base_ms", platform.retry_base),
            ("retry_max_ms", platform.retry_max),
        );
        self.ordered(
            ("limits.closed_ms", limits.closed),
            ("max_closed_ms", limits.max_closed),
        );
        self.ordered(("clock.warn_ms", clock.warn), ("alarm_ms", clock.alarm));
        if clock.auto_correct && clock.max_correction.is_zero() {
            let reason = "is without effect: max_correction_ms is 0, so nothing would be corrected";
            self.refuse("clock.auto_correct", "true".to_owned(), reason);
        }
        if platform.http2 && !platform.base_url.https {
            let reason = "is without effect: HTTP/2 is agreed upon in TLS, and platform.base_url is not https";
            self.refuse("platform.http2", "true".to_owned(), reason);
        }
    }

    /// `less` is not more than `most`, a key of the same section.
    fn ordered(&mut self, less: (&str, Duration), most: (&str, Duration)) {
        if less.1 > most.1 {
            let reason = format!("is more than {}, which is {}", most.0, most.1.as_millis());
            self.refuse(less.0, less.1.as_millis().to_string(), &reason);
        }
    }
}
