//! Which answers are kept, how long, and how much memory they may take.

use std::time::Duration;

use crate::config::entry::table;
use crate::config::kind::number::{seconds, size};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

/// A day: no answer about a patient is worth keeping for longer.
const MOST_SECONDS: u32 = 86_400;

section! {
    /// Answers of the platform that are kept in memory for a while. Only success and "no data" are; what each client
    /// may ask is judged before.
    pub struct Cache {
        /// Whether answers are kept.
        enabled: bool = switch().or(true);
        /// Whether equal questions at one time are asked once, kept or not.
        coalesce: bool = switch().or(true);
        /// The most memory that kept answers take.
        max_bytes: usize = size(64 << 10, 64 << 30).or("64MiB");
        /// The largest answer that is kept; also, never more than a quarter of `max_bytes`, or of a sixteenth of it where that is more than this.
        max_entry as "max_entry_bytes": usize = size(1 << 10, 64 << 20).or("1MiB");
        /// How long an answer with findings serves in place of the platform's.
        fresh as "fresh_s": Duration = seconds(0, MOST_SECONDS).or(30);
        /// How long an answer without findings does: "no data", or an empty list. Code 30008 never longer than 5.
        negative as "negative_s": Duration = seconds(0, MOST_SECONDS).or(10);
        /// How much longer than `fresh_s` an answer with findings serves where the platform fails, with a warning.
        stale_if_error as "stale_if_error_s": Duration = seconds(0, MOST_SECONDS).or(300);
        /// How much longer than `fresh_s` an answer with findings serves at once, with a warning, while the platform is
        /// asked for the next. 0: nobody gets an older answer as long as the platform works.
        stale_while_revalidate as "stale_while_revalidate_s": Duration = seconds(0, MOST_SECONDS).or(0);
        /// Where `patientStudies` differs.
        patient_studies as "patientStudies": CachedApi = table();
        /// Where `patientConsultations` differs.
        patient_consultations as "patientConsultations": CachedApi = table();
        /// Where `patientReportUrl` differs: its links expire, so its answers are not kept.
        patient_report_url as "patientReportUrl": CachedLinks = table();
    }
}

section! {
    /// Where a tenant's kept answers differ. Its tables for single APIs take the place of the global ones as a whole.
    pub struct TenantCache {
        /// Whether this tenant's answers are kept.
        enabled: bool = switch().or(true);
        /// Whether equal questions at one time are asked once, kept or not.
        coalesce: bool = switch().or(true);
        /// How long an answer with findings serves in place of the platform's.
        fresh as "fresh_s": Duration = seconds(0, MOST_SECONDS).or(30);
        /// How long an answer without findings does.
        negative as "negative_s": Duration = seconds(0, MOST_SECONDS).or(10);
        /// How much longer than `fresh_s` an answer with findings serves where the platform fails, with a warning.
        stale_if_error as "stale_if_error_s": Duration = seconds(0, MOST_SECONDS).or(300);
        /// How much longer than `fresh_s` an answer with findings serves at once while the platform is asked for the next.
        stale_while_revalidate as "stale_while_revalidate_s": Duration = seconds(0, MOST_SECONDS).or(0);
        /// Where `patientStudies` differs.
        patient_studies as "patientStudies": CachedApi = table();
        /// Where `patientConsultations` differs.
        patient_consultations as "patientConsultations": CachedApi = table();
        /// Where `patientReportUrl` differs.
        patient_report_url as "patientReportUrl": CachedLinks = table();
    }
}

section! {
    /// Where an API's kept answers differ.
    pub struct CachedApi {
        /// Whether its answers are kept, where answers are.
        enabled: bool = switch().or(true);
        /// In place of `fresh_s` above.
        fresh as "fresh_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(30);
        /// In place of `negative_s` above.
        negative as "negative_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(10);
        /// In place of `stale_if_error_s` above.
        stale_if_error as "stale_if_error_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(300);
        /// In place of `stale_while_revalidate_s` above.
        stale_while_revalidate as "stale_while_revalidate_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(0);
    }
}

section! {
    /// The same for an API whose answers are links that expire: off.
    pub struct CachedLinks {
        /// Whether its answers are kept, where answers are.
        enabled: bool = switch().or(false);
        /// In place of `fresh_s` above.
        fresh as "fresh_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(30);
        /// In place of `negative_s` above.
        negative as "negative_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(10);
        /// In place of `stale_if_error_s` above.
        stale_if_error as "stale_if_error_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(0);
        /// In place of `stale_while_revalidate_s` above.
        stale_while_revalidate as "stale_while_revalidate_s": Option<Duration> = seconds(0, MOST_SECONDS).optional(0);
    }
}

impl From<CachedLinks> for CachedApi {
    fn from(links: CachedLinks) -> Self {
        let CachedLinks {
            enabled,
            fresh,
            negative,
            stale_if_error,
            stale_while_revalidate,
        } = links;
        Self {
            enabled,
            fresh,
            negative,
            stale_if_error,
            stale_while_revalidate,
        }
    }
}

impl TenantCache {
    /// What the API of this name has of its own; `None` for one that has no table.
    pub fn of_api(&self, name: &str) -> Option<CachedApi> {
        match name {
            "patientStudies" => Some(self.patient_studies.clone()),
            "patientConsultations" => Some(self.patient_consultations.clone()),
            "patientReportUrl" => Some(self.patient_report_url.clone().into()),
            _ => None,
        }
    }
}
