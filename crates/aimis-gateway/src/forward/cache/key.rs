//! The key of a question: equal for equal questions, however they were spelled, and telling nothing of them.
//!
//! A keyed hash, since identity numbers are few enough to be tried: whoever sees a key, in a store that
//! replicas share or on a screen, cannot find the patient behind it. Beside its key an answer is kept under
//! the tags of its patient, so that all of that patient's answers can be dropped without knowing the questions.

use std::hash::{Hash, Hasher};

use aimis_core::identity::{normalize_id, normalize_phone, upgrade_15};
use aimis_core::order::Order;
use aimis_core::wiped::WipedBytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::tenant::Tenant;

/// Keeps these keys apart from other uses of the same secret, and from keys of another layout.
const PURPOSE: &[u8] = b"aimis cache key 2";
/// The same for the tags of patients.
const TAG_PURPOSE: &[u8] = b"aimis cache patient 1";

/// Makes keys, and tags of patients, under one secret.
pub struct CacheKeys {
    keys: Hmac<Sha256>,
    tags: Hmac<Sha256>,
}

/// HMAC-SHA256 over tenant (name and appId), API and every member of the order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

/// A key is as random as any hash of it would be, and nobody outside can choose it.
impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_be_bytes(*self.0.first_chunk().expect("8 of 32 bytes")));
    }
}

/// One number of a patient of one tenant: 128 bits of HMAC-SHA256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag([u8; 16]);

/// As of a key.
impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_be_bytes(*self.0.first_chunk().expect("8 of 16 bytes")));
    }
}

/// The patient behind an answer: a tag of the identity number and one of the telephone, as far as they are known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PatientTags([Option<Tag>; 2]);

impl Tag {
    /// All of it.
    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PatientTags {
    /// The tags there are.
    pub(super) fn iter(self) -> impl Iterator<Item = Tag> {
        self.0.into_iter().flatten()
    }

    /// Whether the two have a number in common.
    pub(super) fn meets(self, other: Self) -> bool {
        self.iter().any(|tag| other.iter().any(|theirs| theirs == tag))
    }
}

/// Which of a patient's numbers a tag is of: the same digits mean another thing as the other number.
const ID_NUMBER: u8 = b'i';
const PHONE: u8 = b'p';

impl CacheKeys {
    /// Keys under `secret`.
    pub fn new(secret: &[u8; 32]) -> Self {
        let derived = |purpose: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
            mac.update(purpose);
            let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            Hmac::new_from_slice(key.as_slice()).expect("HMAC takes keys of every length")
        };
        Self {
            keys: derived(PURPOSE),
            tags: derived(TAG_PURPOSE),
        }
    }

    /// The key of `order`, asked of `tenant`.
    pub fn key(&self, tenant: &Tenant, order: &Order) -> CacheKey {
        let mut mac = self.keys.clone();
        for name in [tenant.name.as_str(), &tenant.app_id, order.contract().name()] {
            mac.update(&(name.len() as u32).to_be_bytes());
            mac.update(name.as_bytes());
        }
        let mut canonical = WipedBytes::with_capacity(1024);
        order.canonical(&mut canonical);
        mac.update(&canonical);
        CacheKey(mac.finalize().into_bytes().into())
    }

    /// Tags of the patient that `order` asks about.
    pub fn patient(&self, tenant: &Tenant, order: &Order) -> PatientTags {
        let patient = order.patient();
        self.tags(tenant.name.as_str(), patient.id_number(), patient.phone())
    }

    /// Tags of a patient of the tenant by these numbers, in whatever spelling; an identity number of 15 digits is
    /// the same as its form of 18.
    pub fn tags(&self, tenant: &str, id_number: Option<&str>, phone: Option<&str>) -> PatientTags {
        let id_number = id_number.filter(|text| !text.is_empty()).map(|text| {
            let normal = normalize_id(text);
            match upgrade_15(normal.as_str()) {
                Some(upgraded) => self.tag(tenant, ID_NUMBER, &upgraded),
                None => self.tag(tenant, ID_NUMBER, normal.as_str()),
            }
        });
        let phone = phone
            .filter(|text| !text.is_empty())
            .map(|text| self.tag(tenant, PHONE, normalize_phone(text).as_str()));
        PatientTags([id_number, phone])
    }

    fn tag(&self, tenant: &str, kind: u8, number: &str) -> Tag {
        let mut mac = self.tags.clone();
        mac.update(&(tenant.len() as u32).to_be_bytes());
        mac.update(tenant.as_bytes());
        mac.update(&[kind]);
        mac.update(number.as_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        Tag(*tag.first_chunk().expect("16 of 32 bytes"))
    }
}

impl CacheKey {
    /// Which of `count` parts it belongs to; independent of [`Hash`].
    pub(super) fn part(&self, count: usize) -> usize {
        usize::from(self.0[31]) % count
    }

    /// All of it.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key of this number, for tests.
    #[cfg(test)]
    pub(super) fn numbered(number: u8) -> Self {
        Self([number; 32])
    }

    /// 16 hex digits that tell keys apart on a screen or in a log.
    pub fn id(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

#[cfg(test)]
impl PatientTags {
    /// Tags of made-up numbers, for tests; 0 is an unknown one.
    pub(super) fn numbered(id_number: u8, phone: u8) -> Self {
        let tag = |kind: u8, number: u8| (number > 0).then_some(Tag([kind | number; 16]));
        Self([tag(0x00, id_number), tag(0x80, phone)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_the_same_in_every_spelling_and_another_at_every_tenant() {
        let keys = CacheKeys::new(&[7; 32]);
        let tags = |tenant: &str, id: &str, phone: &str| keys.tags(tenant, Some(id), Some(phone));
        let one = tags("first", "11010119000101009X", "13800138000");

        for (id, phone) in [
            ("11010119000101009x", "138 0013 8000"),
            ("１１０１０１１９０００１０１００９Ｘ", "＋86 138-0013-8000"),
        ] {
            assert!(one == tags("first", id, phone), "{id} {phone}");
        }
        assert!(!one.meets(tags("second", "11010119000101009X", "13800138000")));
        assert!(one.meets(keys.tags("first", None, Some("13800138000"))));
        // The same digits as the other number are another thing.
        assert!(!one.meets(tags("first", "13800138000", "11010119000101009X")));
        assert!(!one.meets(keys.tags("first", Some(""), None)));
        let old = keys.tags("first", Some("110101900101009"), None);
        assert!(old.meets(tags("first", &upgrade_15("110101900101009").unwrap(), "1")));
    }
}
