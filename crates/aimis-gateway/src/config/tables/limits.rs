//! How much may be asked: of the platform for a tenant, by a client, by a client of one API.

use std::time::Duration;

use crate::config::entry::table;
use crate::config::kind::number::{Rate, integer, millis, rate};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

section! {
    /// How much may be asked. A quota lets `burst` questions through at once and `rate_per_s` in the long run.
    pub struct Limits {
        /// How long a question over its tenant's quota may wait for its turn. One that would wait longer is refused at once (800201); so is every one with 0.
        max_wait as "max_wait_ms": Duration = millis(0, 60_000).or(1_000);
        /// Questions of a tenant that may wait, for their turn or for one of the `in_flight` places. While more than half are taken the newest goes first; when all are, the oldest with a `usage` other than 2 makes room (800202, or 800201 where the quota is what they wait for).
        queue: usize = integer(0, 10_000).or(32);
        /// Share of a tenant's quota and places that questions with a `usage` other than 2 cannot take: it stays for the doctors (`usage` 2) and for the APIs without `usage`.
        interactive_percent: u32 = integer(0, 90).unit("percent").or(30);
        /// Whether fewer than `in_flight` questions are asked at a time while the platform answers much more slowly the more there are, or not in time.
        adaptive: bool = switch().or(true);
        /// How long a tenant's questions are refused when the platform says that it asks too much (status 429, code 90003); with 0 they are not.
        closed as "closed_ms": Duration = millis(0, 600_000).or(10_000);
        /// Longest that a `Retry-After` of the platform prolongs that.
        max_closed as "max_closed_ms": Duration = millis(100, 3_600_000).or(60_000);
        /// Also send `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, for programs that know no `RateLimit`.
        legacy_headers: bool = switch().or(false);
        /// What is asked of the platform for one tenant, by whichever client.
        tenant: TenantQuota = table();
        /// What one client may ask, answers from the cache included.
        client: ClientQuota = table();
        /// What one client may ask of one API, answers from the cache included.
        api: ClientQuota = table();
        /// How much a question to each API counts. A merged study list counts once for each type of study; what counts more than a `burst` costs all of it.
        weights: Weights = table();
    }
}

section! {
    /// What is asked of the platform for one tenant.
    pub struct TenantQuota {
        /// Questions a second in the long run, as in the contract with the platform; 0 is no limit.
        rate_per_s: Rate = rate().or(10);
        /// Questions at once, after a while of silence.
        burst: u32 = integer(1, 100_000).or(20);
        /// Questions on their way at the same time; 0 is no limit.
        in_flight: usize = integer(0, 10_000).or(8);
    }
}

section! {
    /// What a client may ask.
    pub struct ClientQuota {
        /// Questions a second in the long run; 0 is no limit.
        rate_per_s: Rate = rate().or(0);
        /// Questions at once, after a while of silence.
        burst: u32 = integer(1, 100_000).or(20);
    }
}

section! {
    /// How much a question counts.
    pub struct Weights {
        /// To `patientStudies`.
        patient_studies as "patientStudies": u32 = integer(1, 1_000).or(1);
        /// To `patientConsultations`.
        patient_consultations as "patientConsultations": u32 = integer(1, 1_000).or(1);
        /// To `patientReportUrl`.
        patient_report_url as "patientReportUrl": u32 = integer(1, 1_000).or(1);
    }
}

impl Weights {
    /// How much a question to the API `name` counts.
    pub fn of(&self, name: &str) -> u32 {
        match name {
            "patientStudies" => self.patient_studies,
            "patientConsultations" => self.patient_consultations,
            "patientReportUrl" => self.patient_report_url,
            _ => 1,
        }
    }
}

section! {
    /// What differs for one tenant from `[limits.tenant]`.
    pub struct OwnTenantQuota {
        /// As `limits.tenant.rate_per_s`.
        rate_per_s: Option<Rate> = rate().optional(5);
        /// As `limits.tenant.burst`.
        burst: Option<u32> = integer(1, 100_000).optional(10);
        /// As `limits.tenant.in_flight`.
        in_flight: Option<usize> = integer(0, 10_000).optional(4);
    }
}

impl OwnTenantQuota {
    /// The tenant's quota: what is not said here is as for all.
    pub fn over(own: Option<&Self>, all: &TenantQuota) -> TenantQuota {
        TenantQuota {
            rate_per_s: own.and_then(|own| own.rate_per_s).unwrap_or(all.rate_per_s),
            burst: own.and_then(|own| own.burst).unwrap_or(all.burst),
            in_flight: own.and_then(|own| own.in_flight).unwrap_or(all.in_flight),
        }
    }
}

section! {
    /// What differs for one client from `[limits.client]` and `[limits.api]`.
    pub struct OwnClientQuota {
        /// As `limits.client.rate_per_s`.
        rate_per_s: Option<Rate> = rate().optional(2);
        /// As `limits.client.burst`.
        burst: Option<u32> = integer(1, 100_000).optional(10);
        /// As `limits.api.rate_per_s`.
        api_rate_per_s: Option<Rate> = rate().optional(1);
        /// As `limits.api.burst`.
        api_burst: Option<u32> = integer(1, 100_000).optional(5);
    }
}

impl OwnClientQuota {
    /// The client's quotas, in all and for each API: what is not said here is as for all.
    pub fn over(own: Option<&Self>, all: &Limits) -> [ClientQuota; 2] {
        let quota = |rate: Option<Rate>, burst: Option<u32>, all: &ClientQuota| ClientQuota {
            rate_per_s: rate.unwrap_or(all.rate_per_s),
            burst: burst.unwrap_or(all.burst),
        };
        [
            quota(
                own.and_then(|own| own.rate_per_s),
                own.and_then(|own| own.burst),
                &all.client,
            ),
            quota(
                own.and_then(|own| own.api_rate_per_s),
                own.and_then(|own| own.api_burst),
                &all.api,
            ),
        ]
    }
}
