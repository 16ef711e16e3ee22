//! The data keys in use: fetched from the store when the store says that another is in use than we know.

use std::sync::Arc;

use moka::sync::Cache;

use super::Shared;
use super::keys::{NotUnwrapped, TenantKey};
use crate::store::{Away, Keys};
use crate::telemetry::labels::CacheFault;

/// The data key of each tenant, as far as it was needed. Every question of every worker looks at one, and hardly any
/// changes one, so nobody waits for anybody to look. There are no more than tenants.
pub(super) struct TenantKeys(Cache<String, Arc<TenantKey>>);

impl TenantKeys {
    pub(super) fn new() -> Self {
        Self(Cache::builder().build())
    }

    pub(super) fn get(&self, tenant: &str) -> Option<Arc<TenantKey>> {
        self.0.get(tenant)
    }

    fn set(&self, tenant: &str, key: TenantKey) -> Arc<TenantKey> {
        let key = Arc::new(key);
        self.0.insert(tenant.to_owned(), Arc::clone(&key));
        key
    }
}

/// Why there is no data key.
pub(super) enum NoKey {
    Away,
    /// The one in the store cannot be unwrapped here.
    Foreign,
}

impl From<Away> for NoKey {
    fn from(Away: Away) -> Self {
        Self::Away
    }
}

impl Shared {
    /// Goes by the data key that the store has (`wrapped`), or draws one where it has none. A key that does not open is
    /// replaced: what it sealed is lost anyway. One of another file is left alone, or replicas that were given different
    /// files would take turns to drop each other's.
    pub(super) async fn go_by(&self, tenant: &str, wrapped: &[u8]) -> Result<Arc<TenantKey>, NoKey> {
        let mut wrapped = wrapped.to_vec();
        // Another replica may be at the same: the first one's key is everybody's.
        for _ in 0..3 {
            let (ours, put) = match self.files.unwrap(tenant, &wrapped) {
                Ok((key, None)) => return Ok(self.tenants.set(tenant, key)),
                Ok((key, Some(again))) => (key, again),
                Err(NotUnwrapped::OtherFile) => {
                    self.metrics.cache.fault(CacheFault::KeyFile).inc();
                    return Err(NoKey::Foreign);
                }
                Err(NotUnwrapped::Damaged) => {
                    if !wrapped.is_empty() {
                        self.metrics.cache.fault(CacheFault::Key).inc();
                    }
                    self.files.draw(tenant).map_err(|_| NoKey::Away)?
                }
            };
            let name = self.data_key_name(tenant);
            let there = self.store.adopt(&name, &wrapped, &put).await?;
            if there == put {
                return Ok(self.tenants.set(tenant, ours));
            }
            wrapped = there;
        }
        Err(NoKey::Away)
    }

    /// The data key that the store has, for a tenant that was not asked about yet.
    pub(super) async fn first_key(&self, tenant: &str) -> Result<Arc<TenantKey>, NoKey> {
        let wrapped = self.store.data_key(&self.data_key_name(tenant)).await?;
        self.go_by(tenant, &wrapped).await
    }

    pub(super) fn data_key_name(&self, tenant: &str) -> String {
        data_key_name(self.store.keys(), tenant)
    }
}

/// The name of a tenant's data key in the store.
pub(crate) fn data_key_name(keys: &Keys, tenant: &str) -> String {
    keys.of_tenant(tenant, "cache", "key")
}
