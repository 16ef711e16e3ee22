//! An order becomes bytes that may leave the house: its personal fields encrypted, nothing else in it.
//!
//! Only this module makes a [`ProtectedRequest`], and `upstream` takes nothing else; so whatever the
//! caller sent, what goes out was made from an order and a tenant's key.

use std::sync::Arc;

use aimis_core::order::Order;
use aimis_core::sign::{Signed, Timestamp};
use bytes::Bytes;

use crate::keyring::Key;
use crate::tenant::Tenant;

/// A question ready to be signed, under the token that its fields are encrypted with: it has that with it, so there is
/// no signing it under another. It has no `Debug`: ciphertext is personal data.
#[derive(Clone)]
pub struct ProtectedRequest {
    tenant: Arc<Tenant>,
    key: Arc<Key>,
    api: usize,
    body: Bytes,
}

/// Encrypts the personal fields of `order` under `key`, one of the tenant's.
pub fn protect(order: &Order, api: usize, tenant: &Arc<Tenant>, key: &Arc<Key>) -> ProtectedRequest {
    let body = order.protected_body(key.cipher()).into_bytes();
    ProtectedRequest {
        tenant: Arc::clone(tenant),
        key: Arc::clone(key),
        api,
        body: body.into(),
    }
}

impl ProtectedRequest {
    /// Whose question it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Signature and timestamp for it at `at`, under the token that it is encrypted with.
    pub fn sign(&self, at: Timestamp) -> Signed {
        self.key.sign(&self.tenant.app_id, at)
    }

    /// Position of the API.
    pub fn api(&self) -> usize {
        self.api
    }

    /// The body to send; shared, not copied.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }
}

#[cfg(test)]
impl ProtectedRequest {
    /// A question of `tenant` with any body, for tests of what is behind this stage.
    pub(crate) fn made(tenant: &Arc<Tenant>, api: usize, body: &'static [u8]) -> Self {
        Self {
            tenant: Arc::clone(tenant),
            key: Arc::clone(tenant.keyring.current()),
            api,
            body: Bytes::from_static(body),
        }
    }
}
