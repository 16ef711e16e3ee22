//! How events are brought to the HIS: what holds for every target. Where a tenant's target is stands in its `callback`.

use std::time::Duration;

use crate::config::kind::choice::choices;
use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::{Kind, one_or_more};
use crate::config::plain::Plain;
use crate::config::section::section;

/// Waits that a schedule may have.
pub(in crate::config) const MOST_WAITS: usize = 32;

const SCHEDULE_MS: [i64; 9] = [
    5_000, 30_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000, 86_400_000,
];

section! {
    /// How events are brought to the HIS (`tenants.callback.target`): at least once, in the order of their arrival for
    /// each study. It works only where there is a callback listener.
    pub struct Delivery {
        /// The longest a delivery may take: connecting, sending and the answer together.
        timeout as "timeout_ms": Duration = millis(100, 120_000).or(15_000);
        /// Deliveries at a time to one target; never two of one study.
        in_flight: usize = integer(1, 256).or(8);
        /// The waits between the attempts at one event: 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h, 24 h. Behind
        /// the last attempt it is a dead letter and waits for an operator. At most 32.
        schedule as "schedule_ms": Vec<Duration> = one_or_more(millis(1, 604_800_000))
            .or(Plain::List(SCHEDULE_MS.into_iter().map(Plain::from).collect()));
        /// How much longer a wait may be, at random, so that events that failed together do not come together again.
        jitter_percent: u32 = integer(0, 100).unit("percent").or(20);
        /// The longest `Retry-After` of a HIS (on 429 and 503) that is followed. Until then nothing is sent to it.
        retry_after_max as "retry_after_max_ms": Duration = millis(0, 86_400_000).or(3_600_000);
        /// Failures in a row, of different events or because no connection came about, after which a target is
        /// suspended: one delivery at a time then tries whether it is back, and the other events keep their attempts.
        suspend_after: u32 = integer(1, 1_000).or(5);
        /// The wait before the first such try, doubled for each further one...
        probe as "probe_ms": Duration = millis(1, 3_600_000).or(5_000);
        /// ...up to this. So much later at most is it noticed that the HIS is back.
        probe_max as "probe_max_ms": Duration = millis(1, 3_600_000).or(60_000);
        /// How long an event is taken by a delivery. If the process cannot note how that ended, the event is up again
        /// by then. More than `timeout_ms`.
        lease as "lease_ms": Duration = millis(1_000, 600_000).or(60_000);
        /// The largest answer of a HIS that is read.
        max_answer: usize = size(1 << 10, 1 << 20).or("64KiB");
    }
}

choices! {
    /// The charset of what is delivered.
    pub enum TargetCharset {
        /// UTF-8, as JSON is meant to be.
        Utf8 = "utf-8",
        /// GB18030, for a HIS that knows no UTF-8.
        Gb18030 = "gb18030",
        /// GBK, likewise; characters that it lacks are escaped (`\u`).
        Gbk = "gbk",
    }
}
