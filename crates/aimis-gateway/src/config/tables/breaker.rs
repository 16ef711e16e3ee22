//! When a platform that fails is left alone for a while.

use std::time::Duration;

use crate::config::kind::number::{integer, millis};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

section! {
    /// The breaker: when a platform that fails is left alone for a while. There is one per tenant and API. What
    /// counts is how many different questions failed, so that one patient's data does not suspend a clinic.
    pub struct Breaker {
        /// Whether there is one.
        enabled: bool = switch().or(true);
        /// It opens when so many of the questions in the window failed...
        ratio_percent: u32 = integer(1, 100).unit("percent").or(50);
        /// ...of at least so many.
        min_requests: usize = integer(2, 500).or(20);
        /// The window.
        window as "window_ms": Duration = millis(1_000, 600_000).or(10_000);
        /// It opens, too, when so many failed one behind the other.
        consecutive: usize = integer(1, 100).or(5);
        /// How long it stays open, up to a fifth more at random; then one question tries whether it is over.
        open as "open_ms": Duration = millis(100, 600_000).or(30_000);
    }
}
