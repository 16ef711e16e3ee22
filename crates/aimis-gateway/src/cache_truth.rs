//! What a callback makes untrue is dropped from the cache before the callback is acknowledged.
//!
//! Here, because neither road knows the other.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};

use crate::callback::open::Patient;
use crate::callback::{Invalidate, StillHeld};
use crate::forward::cache::Cache;
use crate::forward::cache::shared::{Shared, Unforgotten};
use crate::tenant::TenantName;

/// The cache, as callbacks know it.
pub struct CacheTruth(pub Arc<Cache>);

impl Invalidate for CacheTruth {
    /// In memory and done at once: no bound of time is needed.
    fn invalidate<'a>(&'a self, tenant: &'a TenantName, patient: &'a Patient) -> BoxFuture<'a, Result<(), StillHeld>> {
        self.0
            .drop_patient(tenant.as_str(), Some(&patient.id_num), Some(&patient.phone_num));
        std::future::ready(Ok(())).boxed()
    }
}

/// The cache that replicas share, as callbacks know it.
pub struct SharedTruth(pub Arc<Shared>);

impl Invalidate for SharedTruth {
    fn invalidate<'a>(&'a self, tenant: &'a TenantName, patient: &'a Patient) -> BoxFuture<'a, Result<(), StillHeld>> {
        let forgotten = self
            .0
            .forget_patient(tenant.as_str(), Some(&patient.id_num), Some(&patient.phone_num));
        forgotten.map_err(|Unforgotten| StillHeld).boxed()
    }
}
