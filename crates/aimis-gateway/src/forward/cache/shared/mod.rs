//! Known answers where replicas share them: kept in the store, sealed, and asked about there every time.
//!
//! | file | is about |
//! |---|---|
//! | [`keys`] | a tenant's data key, and the key of the file that wraps it |
//! | [`seal`] | an answer as the store has it |
//! | `flights` | questions of this replica on their way |
//! | `question` | what becomes of a question |
//! | `look` | looking an answer up, and opening it |
//! | `lead` | a question that goes to the platform |
//! | `tenants` | the data keys in use |
//! | `forget` | what a callback, or an operator, makes untrue |
//!
//! # What always holds
//!
//! 1. An answer serves only after the store has said so for this very request: so whatever ended it, at any replica, has
//!    ended it here. A copy in this process spares only the way of its bytes.
//! 2. An answer is kept only under the generations that it was asked under (`store::look`), and a callback ends these
//!    before it is acknowledged. Who waits for another's question goes by the store's word at its end, not by its beginning.
//! 3. While the store is away nothing that was kept before serves. What is asked then is kept in this process, apart from all
//!    else, for `store.fallback_fresh_ms`; what was found empty is not kept at all. It is dropped when the store is back.
//! 4. A callback that the store was not told of is not acknowledged, and the store hears of it before this replica uses it
//!    again.

mod flights;
mod forget;
pub mod keys;
mod lead;
mod look;
mod question;
pub mod seal;
mod tenants;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::key::CacheKeys;
use super::{Cache, Room};
use crate::clock::{Clock, Moment};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::upstream::jitter::Jitter;
use flights::Flights;
use forget::Debts;
use keys::FileKeys;
use tenants::TenantKeys;

pub use forget::Unforgotten;
pub(crate) use question::{Asking, Gate};
pub(crate) use tenants::data_key_name;

/// The part of `cache.max_bytes` that is for answers kept while the store is away.
const FALLBACK_PART: usize = 4;

/// `[store]`, as far as it is about answers.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long other replicas wait for one that asks.
    pub lease: Duration,
    /// How long an answer serves that was asked for while the store is away.
    pub fallback_fresh: Duration,
    /// How long a callback waits for the store.
    pub forget_wait: Duration,
    /// The longest that a question takes.
    pub deadline: Duration,
}

/// The answers that replicas share, as one replica knows them.
pub struct Shared {
    store: Arc<Store>,
    files: FileKeys,
    tenants: TenantKeys,
    /// Copies, under keys of this process.
    copies: Arc<Cache>,
    /// What is kept while the store is away.
    fallback: Arc<Cache>,
    /// Something may be kept there.
    fell_back: AtomicBool,
    flights: Flights,
    debts: Debts,
    settings: Settings,
    jitter: Jitter,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// What is kept in `store` under `files`. `keys` are for this process only.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        store: Arc<Store>,
        files: FileKeys,
        settings: Settings,
        room: Room,
        keys: &Arc<CacheKeys>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Arc<Self>> {
        let part = |all| {
            Cache::new(
                Room { all, ..room },
                Arc::clone(keys),
                clock.clone(),
                Arc::clone(metrics),
            )
        };
        Ok(Arc::new(Self {
            store,
            files,
            tenants: TenantKeys::new(),
            copies: part(room.all - room.all / FALLBACK_PART),
            fallback: part(room.all / FALLBACK_PART),
            fell_back: AtomicBool::new(false),
            flights: Flights::default(),
            debts: Debts::default(),
            settings,
            jitter: Jitter::new()?,
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
        }))
    }

    /// Drops what this process has about a patient.
    pub(super) fn drop_patient_here(&self, tenant: &str, id_number: Option<&str>, phone: Option<&str>) -> usize {
        let parts = [&self.copies, &self.fallback];
        parts
            .map(|part| part.drop_patient(tenant, id_number, phone))
            .iter()
            .sum()
    }

    /// Drops what this process has of a tenant, an API, or all.
    pub(super) fn drop_all_here(&self, tenant: Option<&str>, api: Option<usize>) -> usize {
        [&self.copies, &self.fallback]
            .map(|part| part.drop_all(tenant, api))
            .iter()
            .sum()
    }

    /// Frees what nothing can be served from any more; called now and then by every worker, on its runtime.
    pub fn sweep(self: &Arc<Self>) {
        self.copies.sweep();
        self.fallback.sweep();
        if self.debts.any() && self.store.is_up() {
            let shared = Arc::clone(self);
            tokio::task::spawn_local(async move { shared.pay().await });
        }
    }

    /// The store is there: what was kept while it was not is dropped, once.
    fn returned(&self) {
        if self.fell_back.load(Ordering::Relaxed) && self.fell_back.swap(false, Ordering::AcqRel) {
            self.fallback.drop_all(None, None);
        }
    }

    fn now(&self) -> Moment {
        self.clock.moment()
    }
}
