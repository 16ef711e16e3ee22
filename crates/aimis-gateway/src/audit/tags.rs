//! Keyed tags: whom a record is about, told only to those who hold the key and can name the person.

use std::borrow::Cow;

use aimis_core::order::Patient;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::telemetry::log::Loggable;

/// Makes tags under one key. Without it a tag cannot be tried against a list of numbers, which a plain hash of an
/// identity number could in minutes.
#[derive(Clone)]
pub struct Tagger(Hmac<Sha256>);

/// 128 bits of HMAC-SHA256 over one number of one tenant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; 16]);

/// The person that a record is about: a tag of the identity number and one of the telephone, as far as they are known.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Subject {
    /// Of the identity number.
    pub id: Option<Tag>,
    /// Of the telephone number.
    pub phone: Option<Tag>,
}

/// The members of an event that name its patient.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Person<'p> {
    #[serde(borrow)]
    id_num: Option<Cow<'p, str>>,
    #[serde(borrow)]
    phone_num: Option<Cow<'p, str>>,
}

/// Which number a tag is of: the same digits mean another thing as the other number.
#[derive(Clone, Copy)]
enum Of {
    Id = b'i' as isize,
    Phone = b'p' as isize,
    Operator = b'o' as isize,
}

impl Tagger {
    /// Tags under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// The tags of a patient of `tenant`: equal for every spelling of the same numbers, different at every tenant.
    pub fn patient(&self, tenant: &str, patient: &Patient<'_>) -> Subject {
        let tag = |of, number: Option<&str>| number.map(|number| self.tag(of, tenant, number.as_bytes()));
        Subject {
            id: tag(Of::Id, patient.id_number()),
            phone: tag(Of::Phone, patient.phone()),
        }
    }

    /// The tags of the patient that an event of `tenant` is about, as far as it names him.
    pub fn event(&self, tenant: &str, json: &[u8]) -> Subject {
        let Ok(person) = serde_json::from_slice::<Person<'_>>(json) else {
            return Subject::default();
        };
        self.patient(
            tenant,
            &Patient::new(person.id_num.as_deref(), person.phone_num.as_deref()),
        )
    }

    /// The tag of a user of the hospital's system who is named by what could be a person's number or name.
    pub fn operator(&self, text: &[u8]) -> Tag {
        self.tag(Of::Operator, "", text)
    }

    fn tag(&self, of: Of, tenant: &str, text: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(&(tenant.len() as u32).to_be_bytes());
        mac.update(tenant.as_bytes());
        mac.update(&[of as u8]);
        mac.update(text);
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        Tag(*tag.first_chunk().expect("16 of 32 bytes"))
    }
}

impl Subject {
    /// Whether both name nobody.
    pub fn is_unknown(&self) -> bool {
        self.id.is_none() && self.phone.is_none()
    }
}

impl Tag {
    /// As it stands in a record: 32 hex digits.
    pub fn digits(&self) -> [u8; 32] {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0, &mut digits).expect("16 bytes are 32 hex digits");
        digits
    }
}

impl Loggable for Tag {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.digits());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_the_same_in_every_spelling_and_another_at_every_tenant() {
        let tagger = Tagger::new(&[7; 32]);
        let of = |tenant: &str, id: &str, phone: &str| tagger.patient(tenant, &Patient::new(Some(id), Some(phone)));
        let one = of("north", "11010119000101009X", "13800138000");

        for (id, phone) in [
            ("11010119000101009x", "138 0013 8000"),
            ("１１０１０１１９０００１０１００９Ｘ", "＋86 138-0013-8000"),
        ] {
            assert!(one == of("north", id, phone), "{id} {phone}");
        }
        let other = of("south", "11010119000101009X", "13800138000");
        assert!(one.id != other.id && one.phone != other.phone);
        // The same digits as the other number are another thing.
        assert!(one.id != of("north", "1", "11010119000101009X").phone);
        assert!(of("north", "", "无").is_unknown());
        assert!(
            tagger.operator(b"13800138000")
                != tagger
                    .patient("", &Patient::new(None, Some("13800138000")))
                    .phone
                    .unwrap()
        );
    }
}
