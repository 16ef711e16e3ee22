//! The members of a body, from whatever dialect, on their way into the order.

use std::sync::Arc;

use aimis_core::order::{Duplicate, OrderBuilder, RepairKind, Slot, Value};

use super::{Dialects, MAX_MEMBERS};
use crate::config::UnknownFields;
use crate::rejection::{BodyFault, Rejection};

/// What became of a member that the contract does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Left out.
    Dropped,
    /// Goes to the platform as it is.
    Forwarded,
}

impl Unknown {
    /// As what it is told.
    pub fn repair(self) -> RepairKind {
        match self {
            Self::Dropped => RepairKind::UnknownDropped,
            Self::Forwarded => RepairKind::UnknownForwarded,
        }
    }
}

/// Takes members one by one; a name that comes twice is a fault in every dialect.
pub struct Members<'o> {
    order: &'o mut OrderBuilder,
    dialects: &'o Dialects,
    /// Names of unknown members, to tell duplicates; known ones are told by the order.
    names: Vec<String>,
    unknown: Vec<(String, Unknown)>,
    /// The field that stands twice.
    twice: Option<String>,
    /// Whether one of the unknown members is an object.
    object: bool,
}

impl<'o> Members<'o> {
    /// Members for `order`.
    pub fn new(order: &'o mut OrderBuilder, dialects: &'o Dialects) -> Self {
        Self {
            order,
            dialects,
            names: Vec::new(),
            unknown: Vec::new(),
            twice: None,
            object: false,
        }
    }

    /// Whether a member of this name is a field of the contract.
    pub fn is_known(&self, name: &str) -> bool {
        self.order.contract().index(name).is_some() || self.other_name(name).is_some()
    }

    /// Whether the whole request may stand under this name.
    pub fn may_wrap(&self, name: &str) -> bool {
        self.dialects.form_fields.iter().any(|field| field == name) && !self.is_known(name)
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
            Ok(Slot::Unknown) => match self.other_name(name) {
                Some((index, repair)) => self.set_renamed(index, repair, value),
                None => self.set_unknown(name, value),
            },
            Err(duplicate) => Err(self.duplicate(duplicate)),
        }
    }

    /// The field meant by a name that is none of the contract's to the letter. The contract's own names come first, so
    /// that an alias never takes a member from them.
    fn other_name(&self, name: &str) -> Option<(usize, RepairKind)> {
        let Dialects {
            any_key_case, aliases, ..
        } = self.dialects;
        let contract = self.order.contract();
        if let Some(index) = contract.index_in_any_case(name).filter(|_| *any_key_case) {
            return Some((index, RepairKind::KeyCase));
        }
        let target = |same: &dyn Fn(&str) -> bool| {
            let of_alias = |(alias, field): &(String, String)| same(alias).then(|| contract.index(field))?;
            aliases.iter().find_map(of_alias)
        };
        let to_the_letter = target(&|alias| alias == name);
        let index =
            to_the_letter.or_else(|| any_key_case.then(|| target(&|alias| alias.eq_ignore_ascii_case(name)))?);
        index.map(|index| (index, RepairKind::KeyAlias))
    }

    fn set_renamed(&mut self, index: usize, repair: RepairKind, value: Value<'_>) -> Result<(), BodyFault> {
        let contract = Arc::clone(self.order.contract());
        let field = &contract.fields()[index].name;
        self.order.note(Some(field), repair);
        // Taken before under any of its names, the field has two sources.
        match self.order.set(field, value) {
            Ok(_) => Ok(()),
            Err(duplicate) => Err(self.duplicate(duplicate)),
        }
    }

    fn duplicate(&mut self, Duplicate { field }: Duplicate) -> BodyFault {
        self.twice = Some(field);
        BodyFault::DuplicateKey
    }

    /// The same refusal, with the name of the field if it is about one.
    pub fn named(self, rejection: Rejection) -> Rejection {
        match (rejection, self.twice) {
            (
                Rejection::BodyNotUnderstood {
                    line,
                    column,
                    fault: BodyFault::DuplicateKey,
                },
                Some(field),
            ) => Rejection::FieldTwice { line, column, field },
            (other, _) => other,
        }
    }

    /// Members that the contract does not know, by their names as far as these may be repeated, and what
    /// became of each. Those that are refused are told by the order.
    pub fn into_unknown(self) -> Vec<(String, Unknown)> {
        if self.object && self.names.len() == 1 && self.order.is_empty() {
            self.order.note_wrapper();
        }
        self.unknown
    }

    fn set_unknown(&mut self, name: &str, value: Value<'_>) -> Result<(), BodyFault> {
        if self.names.iter().any(|known| known == name) {
            return Err(BodyFault::DuplicateKey);
        }
        if self.names.len() >= MAX_MEMBERS {
            return Err(BodyFault::TooManyMembers);
        }
        let outcome = match self.dialects.unknown_fields {
            UnknownFields::Drop => Some(Unknown::Dropped),
            // What the order does not let through, such as a field's name in another case, is dropped.
            UnknownFields::Forward if self.order.forward(name, value).is_ok() => Some(Unknown::Forwarded),
            UnknownFields::Forward => Some(Unknown::Dropped),
            UnknownFields::Reject => None,
        };
        self.names.push(name.to_owned());
        self.object |= matches!(value, Value::Nested);
        let told = repeatable(name);
        let Some(outcome) = outcome else {
            self.order.refuse_foreign(&told);
            return Ok(());
        };
        self.order.note_foreign(&told, outcome.repair());
        self.unknown.push((told, outcome));
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
