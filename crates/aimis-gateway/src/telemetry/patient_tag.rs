//! The patient in the log: a keyed tag that tells "the same patient again" and nothing else.

use aimis_core::order::Order;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::log::Loggable;

/// Makes tags under one key. Without the key a tag cannot be tried against a list of numbers, which a
/// plain hash of an identity number could in minutes.
#[derive(Clone)]
pub struct PatientTagger(Hmac<Sha256>);

/// 64 bits of HMAC-SHA256 over the patient's normalised numbers, as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PatientTag([u8; 16]);

impl PatientTagger {
    /// Tags under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// The tag of the patient that `order` asks about; equal for every spelling of the same numbers.
    pub fn tag(&self, order: &Order) -> PatientTag {
        let mut mac = self.0.clone();
        order.patient().feed(|part| mac.update(part));
        let mut digits = [0; 16];
        hex::encode_to_slice(&mac.finalize().into_bytes()[..8], &mut digits).expect("8 bytes are 16 hex digits");
        PatientTag(digits)
    }
}

impl Loggable for &PatientTag {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.0);
        out.push(b'"');
    }
}
