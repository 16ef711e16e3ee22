//! The key of a question: equal for equal questions, however they were spelled, and telling nothing of them.
//!
//! A keyed hash, since identity numbers are few enough to be tried: whoever sees a key, in a store that
//! replicas share or on a screen, cannot find the patient behind it.

use aimis_core::order::Order;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::tenant::Tenant;

/// Keeps these keys apart from other uses of the same secret, and from keys of another layout.
const PURPOSE: &[u8] = b"aimis cache key 1";

/// Makes keys under one secret.
pub struct CacheKeys(Hmac<Sha256>);

/// HMAC-SHA256 over tenant, API and every member of the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKeys {
    /// Keys under `secret`.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
        mac.update(PURPOSE);
        let derived = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Self(Hmac::new_from_slice(derived.as_slice()).expect("HMAC takes keys of every length"))
    }

    /// The key of `order`, asked of `tenant`.
    pub fn key(&self, tenant: &Tenant, order: &Order) -> CacheKey {
        let mut mac = self.0.clone();
        for name in [tenant.name.as_str(), order.contract().name()] {
            mac.update(&(name.len() as u32).to_be_bytes());
            mac.update(name.as_bytes());
        }
        let mut canonical = Zeroizing::new(Vec::with_capacity(1024));
        order.canonical(&mut canonical);
        mac.update(&canonical);
        CacheKey(mac.finalize().into_bytes().into())
    }
}

impl CacheKey {
    /// 16 hex digits that tell keys apart on a screen or in a log.
    pub fn id(&self) -> String {
        hex::encode(&self.0[..8])
    }
}
