//! When a rise of empty answers is worth a line.

use std::time::Duration;

use crate::config::kind::Kind;
use crate::config::kind::number::{integer, seconds};
use crate::config::section::section;

section! {
    /// When a rise of empty answers is worth a line. Nothing fails when the encryption switch, the token or
    /// `hospitalId` is wrong: the platform finds nobody, and says so as for a patient without studies. Each tenant's
    /// share of empty answers is compared every minute with what it was before; a jump is counted and logged.
    pub struct Emptiness {
        /// The time that is looked at.
        window as "window_s": Duration = seconds(60, 86_400).or(1_800);
        /// The time before it, with which it is compared.
        baseline as "baseline_s": Duration = seconds(60, 2_592_000).or(86_400);
        /// Answers that each of both needs to tell anything: a clinic at night has three an hour.
        min_answers: u64 = integer(1, 1_000_000).or(20);
        /// By how much the share has to have risen.
        jump_points: u8 = integer(1, 100).unit("percentage points").or(30);
    }
}
