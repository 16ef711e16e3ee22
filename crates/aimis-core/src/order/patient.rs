//! Whom an order is about: the one thing a tag of the patient may be made from.

use crate::identity::{self, Normal, normalize_id, normalize_phone};

/// Identity and telephone number in one spelling, whatever `identity.mode` sends: a query and a later callback about
/// one patient give equal patients. A sound 15-digit number is the person of its 18-digit form.
pub struct Patient<'a> {
    id_number: Option<Normal<'a>>,
    phone: Option<Normal<'a>>,
}

impl<'a> Patient<'a> {
    /// The patient with these plaintext numbers, in whatever spelling; empty ones and placeholders count as none.
    pub fn new(id_number: Option<&'a str>, phone: Option<&'a str>) -> Self {
        let some = |number: &Normal<'_>| !number.as_str().is_empty() && !identity::is_placeholder(number.as_str());
        let id_number = id_number.map(normalize_id).filter(some);
        let upgraded = id_number.as_ref().and_then(|id| identity::upgrade_15(id.as_str()));
        Self {
            id_number: upgraded.map(Normal::Owned).or(id_number),
            phone: phone.map(normalize_phone).filter(some),
        }
    }

    /// Whether neither number is known.
    pub fn is_unknown(&self) -> bool {
        self.id_number.is_none() && self.phone.is_none()
    }

    /// The identity number: personal.
    pub fn id_number(&self) -> Option<&str> {
        self.id_number.as_ref().map(Normal::as_str)
    }

    /// The telephone number: personal.
    pub fn phone(&self) -> Option<&str> {
        self.phone.as_ref().map(Normal::as_str)
    }

    /// Feeds `keyed_hash` bytes that are equal for equal patients and differ otherwise: for each number a mark whether
    /// it is there, its length as four bytes, and its text. Only for a keyed hash: there are few enough numbers to try
    /// them all against any other.
    pub fn feed(&self, mut keyed_hash: impl FnMut(&[u8])) {
        for number in [self.id_number(), self.phone()] {
            let text = number.unwrap_or_default();
            keyed_hash(&[number.is_some().into()]);
            keyed_hash(&(text.len() as u32).to_be_bytes());
            keyed_hash(text.as_bytes());
        }
    }
}
