//! An order becomes bytes that may leave the house: its personal fields encrypted, nothing else in it.
//!
//! Only this module makes a [`ProtectedRequest`], and `upstream` takes nothing else; so whatever the
//! caller sent, what goes out was made from an order and a tenant's key.

use std::sync::Arc;

use aimis_core::order::Order;
use bytes::Bytes;

use crate::tenant::Tenant;

/// A question ready to be signed. It has no `Debug`: ciphertext is personal data.
#[derive(Clone)]
pub struct ProtectedRequest {
    tenant: Arc<Tenant>,
    api: usize,
    body: Bytes,
}

/// Encrypts the personal fields of `order` under the tenant's key.
pub fn protect(order: &Order, api: usize, tenant: &Arc<Tenant>) -> ProtectedRequest {
    let body = order.protected_body(tenant.cipher()).into_bytes();
    ProtectedRequest {
        tenant: Arc::clone(tenant),
        api,
        body: body.into(),
    }
}

impl ProtectedRequest {
    /// Whose question it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Position of the API.
    pub fn api(&self) -> usize {
        self.api
    }

    /// The body to send; shared, not copied.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The same, to look at.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
impl ProtectedRequest {
    /// A question of `tenant` with any body, for tests of what is behind this stage.
    pub(crate) fn made(tenant: &Arc<Tenant>, api: usize, body: &'static [u8]) -> Self {
        Self {
            tenant: Arc::clone(tenant),
            api,
            body: Bytes::from_static(body),
        }
    }
}
