//! The cache against plain models: what is kept, what is dropped, who waits.

mod flights;
mod kept;
mod order;

use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::{Codes, Rule};
use http::StatusCode;
use tokio::time::Instant;

use super::directives::Directives;
use super::entry::{Entry, Subject};
use super::flight::Question;
use super::key::{CacheKey, CacheKeys, PatientTags};
use super::shard::{Begun, Entered, Verdict};
use super::terms::Terms;
use super::{Cache, Room};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;
use crate::upstream::reply::Reply;

const TERMS: Terms = Terms {
    enabled: true,
    coalesce: true,
    fresh: Duration::from_secs(30),
    negative: Duration::from_secs(10),
    stale_if_error: Duration::from_secs(300),
    stale_while_revalidate: Duration::ZERO,
};

const LIST: &str = r#"{"code":0,"data":[1]}"#;

fn rule(code: i64) -> Rule {
    *Codes::builtin().lookup("patientStudies", code)
}

fn cache_of(all: usize, one: usize, clock: &Clock) -> Arc<Cache> {
    let metrics = Metrics::new(&["first"], &["patientStudies"], &Codes::builtin());
    Cache::new(
        Room { all, one },
        Arc::new(CacheKeys::new(&[7; 32])),
        clock.clone(),
        metrics,
    )
}

fn roomy(clock: &Clock) -> Arc<Cache> {
    cache_of(1 << 20, 1 << 16, clock)
}

fn question(key: u8, terms: &Terms, deadline: Instant) -> Question<'_> {
    Question {
        key: CacheKey::numbered(key),
        terms,
        said: Directives::default(),
        deadline,
    }
}

fn about(patient: PatientTags) -> Subject {
    Subject {
        tenant: TenantName::new("first"),
        api: 0,
        patient,
    }
}

fn reply(body: &str) -> Reply {
    Reply::made_up(StatusCode::OK, body)
}
