//! The members of a body, from whatever dialect, on their way into the order.

use aimis_core::order::{OrderBuilder, RepairKind, Slot, Value};

use super::MAX_MEMBERS;
use crate::config::UnknownFields;
use crate::rejection::BodyFault;

/// What became of a member that the contract does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Left out.
    Dropped,
    /// Goes to the platform as it is.
    Forwarded,
    /// The request is to be refused.
    Refused,
}

/// Takes members one by one; a name that comes twice is a fault in every dialect.
pub struct Members<'o> {
    order: &'o mut OrderBuilder,
    policy: UnknownFields,
    /// Names of unknown members, to tell duplicates; known ones are told by the order.
    names: Vec<String>,
    unknown: Vec<(String, Unknown)>,
}

impl<'o> Members<'o> {
    /// Members for `order`.
    pub fn new(order: &'o mut OrderBuilder, policy: UnknownFields) -> Self {
        Self {
            order,
            policy,
            names: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Whether the contract has a field of this name.
    pub fn is_known(&self, name: &str) -> bool {
        self.order.contract().field(name).is_some()
    }

    /// Notes what was done to the body as a whole.
    pub fn note(&mut self, repair: RepairKind) {
        self.order.note(None, repair);
    }

    /// Takes one member.
    ///
    /// # Errors
    /// [`BodyFault::DuplicateKey`], [`BodyFault::TooManyMembers`].
    pub fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), BodyFault> {
        match self.order.set(name, value) {
            Ok(Slot::Known) => Ok(()),
            Ok(Slot::Unknown) => self.set_unknown(name, value),
            Err(_duplicate) => Err(BodyFault::DuplicateKey),
        }
    }

    /// Members that the contract does not know, by their names as far as these may be repeated, and what
    /// became of each.
    pub fn into_unknown(self) -> Vec<(String, Unknown)> {
        self.unknown
    }

    fn set_unknown(&mut self, name: &str, value: Value<'_>) -> Result<(), BodyFault> {
        if self.names.iter().any(|known| known == name) {
            return Err(BodyFault::DuplicateKey);
        }
        if self.names.len() >= MAX_MEMBERS {
            return Err(BodyFault::TooManyMembers);
        }
        let outcome = match self.policy {
            UnknownFields::Drop => Unknown::Dropped,
            // What the order does not let through, such as a field's name in another case, is dropped.
            UnknownFields::Forward if self.order.forward(name, value).is_ok() => Unknown::Forwarded,
            UnknownFields::Forward => Unknown::Dropped,
            UnknownFields::Reject => Unknown::Refused,
        };
        self.names.push(name.to_owned());
        self.unknown.push((repeatable(name), outcome));
        Ok(())
    }
}

/// A member's name as it may be told in a header: a plain identifier in which no number can hide.
fn repeatable(name: &str) -> String {
    let plain = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.bytes().filter(u8::is_ascii_digit).count() < 5;
    if plain { name.to_owned() } else { "?".to_owned() }
}
