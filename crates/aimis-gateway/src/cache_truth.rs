//! What a callback makes untrue is dropped from the cache before the callback is acknowledged.
//!
//! Here, because neither road knows the other.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::callback::Invalidate;
use crate::callback::open::Patient;
use crate::forward::cache::Cache;
use crate::tenant::TenantName;

/// The cache, as callbacks know it.
pub struct CacheTruth(pub Arc<Cache>);

impl Invalidate for CacheTruth {
    /// In memory and done at once: no bound of time is needed.
    fn invalidate<'a>(&'a self, tenant: &'a TenantName, patient: &'a Patient) -> BoxFuture<'a, ()> {
        self.0
            .drop_patient(tenant.as_str(), Some(&patient.id_num), Some(&patient.phone_num));
        std::future::ready(()).boxed()
    }
}
