//! How callbacks that were missed are found.

use std::time::Duration;

use crate::config::kind::Kind;
use crate::config::kind::number::{integer, seconds};
use crate::config::section::section;

section! {
    /// How callbacks that were missed are found, for tenants with `callback.reconcile`: the study lists of patients whom
    /// the HIS asked about lately are asked for again, and what no callback told of is delivered as if one had. These
    /// questions are a batch of the lowest order: they go only when nobody else waits and most of the tenant's quota is left.
    pub struct Reconcile {
        /// How long a patient is watched after the HIS last asked for its study list. The telephone and identity number
        /// are in memory for so long, and nowhere else.
        seen as "seen_hours": u32 = integer(1, 168).unit("hours").or(24);
        /// Patients that are watched at a time, for each tenant; for a further one that is forgotten whom the HIS asked about the longest ago.
        max_patients: usize = integer(1, 10_000).or(1_000);
        /// Questions an hour to the platform, for each tenant.
        polls_per_hour: u32 = integer(1, 3_600).or(60);
        /// The same patient and type of study is not asked about again before so long.
        interval as "interval_s": Duration = seconds(60, 86_400).or(1_800);
        /// How long a list has to show something, from when it is first seen there, until its callback counts as missed.
        grace as "grace_s": Duration = seconds(0, 86_400).or(600);
        /// How far back lists are asked for, by `studyDate`; a report for an older study is not found. At most
        /// `inbox.delivered_record_hours`, since what was delivered has to be known as such.
        window as "window_hours": u32 = integer(1, 720).unit("hours").or(168);
    }
}
