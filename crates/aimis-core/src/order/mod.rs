//! One request, checked against its contract: what the gateway keeps of a body, and all that can leave it.
//!
//! A decoder gives each member it reads to an [`OrderBuilder`]; [`OrderBuilder::finish`] repairs, judges and either
//! refuses with every [`FieldProblem`] at once or makes an [`Order`]. From an order come the body for the platform, with
//! its personal fields encrypted ([`Order::protected_body`]), and the bytes that tell equal questions apart from others
//! ([`Order::canonical`]) whatever their spelling.
//!
//! An order's text lies in one buffer that is wiped when the order is dropped, and its fields are spans of it: an order
//! costs three allocations, body included. Nothing here is printable; text is reached by name, explicitly.

mod arena;
mod body;
mod builder;
mod judge;
mod patient;
mod personal;
mod problem;
mod repair;
mod rules;
mod several;
mod value;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::cipher::FieldCipher;
use crate::contract::Contract;
use crate::datetime::{self, DateTime, Edge};

use arena::{Arena, Span};
use body::Seal;
use value::Cell;

pub use body::ProtectedBody;
pub use builder::{Duplicate, Filled, NotForwarded, OrderBuilder, Slot};
pub use patient::Patient;
pub use problem::{FieldProblem, Reason, Warning};
pub use repair::{Repair, RepairKind};
pub use rules::{IdentityMode, MissingIdentity, RepairMode, Rules};
pub use several::Stated;
pub use value::Value;

/// The fields of one request: complete, of the right types, in range, and each in one spelling.
pub struct Order {
    contract: Arc<Contract>,
    arena: Arena,
    /// One a field of the contract, only [`Cell::Unset`], [`Cell::Text`] or [`Cell::Integer`].
    cells: Vec<Cell>,
    /// Members outside the contract that are forwarded all the same, by name.
    extras: Vec<Extra>,
    /// By index into the contract's fields; `None` is the body as a whole.
    repairs: Vec<(Option<u8>, RepairKind)>,
    warnings: Vec<(u8, Reason)>,
}

/// A member outside the contract.
#[derive(Clone, Copy)]
struct Extra {
    name: Span,
    value: Cell,
}

impl Order {
    /// The contract the order keeps.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Text of a field as it will be sent, but before encryption: personal for most names. `None` if the field is
    /// absent, an integer, or not in the contract.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.text_at(self.contract.index(name)?)
    }

    /// Value of an integer field. `None` if it is absent, no integer, or not in the contract.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.cells[self.contract.index(name)?] {
            Cell::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// Value of a date field. `None` if it is absent, no date, or not in the contract.
    pub fn date_time(&self, name: &str) -> Option<DateTime> {
        datetime::parse(self.text(name)?, Edge::Exact)
            .ok()
            .map(|(moment, _)| moment)
    }

    /// What was repaired, in the order in which it was found; the caller has to be told (promise P9).
    pub fn repairs(&self) -> impl ExactSizeIterator<Item = Repair<'_>> {
        self.repairs.iter().map(|&(field, kind)| Repair {
            field: field.map(|at| self.name_of(at)),
            kind,
        })
    }

    /// What looks wrong and was let through (`identity.mode = warn`); the caller has to be told.
    pub fn warnings(&self) -> impl ExactSizeIterator<Item = Warning<'_>> {
        self.warnings.iter().map(|&(field, reason)| Warning {
            field: self.name_of(field),
            reason,
        })
    }

    /// Appends bytes that are equal for equal orders of one contract and differ otherwise.
    ///
    /// They follow the values that would be sent: neither the order of the members, nor spelling, nor repairs show. For
    /// each present field: its index, a type tag, the value's length as four bytes, the value; then the forwarded
    /// members by name, likewise. They hold plaintext, so feed them to a keyed hash and wipe them.
    pub fn canonical(&self, out: &mut Vec<u8>) {
        for (index, cell) in self.cells.iter().enumerate() {
            if !matches!(cell, Cell::Unset) {
                out.push(index as u8);
                self.canonical_value(*cell, out);
            }
        }
        for extra in &self.extras {
            out.push(u8::MAX);
            self.canonical_value(Cell::Text(extra.name), out);
            self.canonical_value(extra.value, out);
        }
    }

    /// Whom the order asks about, for a keyed tag.
    pub fn patient(&self) -> Patient<'_> {
        use crate::contract::FieldKind::{IdNumber, Phone};
        let of_kind = |kind| {
            let at = self.contract.fields().iter().position(|field| field.kind == kind)?;
            self.text_at(at)
        };
        Patient::new(of_kind(IdNumber), of_kind(Phone))
    }

    /// The body for the platform: compact JSON, members in the contract's order, telephone and identity number as
    /// ciphertext, absent fields left out.
    pub fn protected_body(&self, cipher: &FieldCipher) -> ProtectedBody {
        ProtectedBody::new(body::write(self, Seal::Encrypt(cipher)))
    }

    /// The same body in plaintext, wiped when dropped: what is sealed in the inbox and delivered to the hospital's own
    /// system. Never for the platform.
    pub fn revealed_body(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(body::write(self, Seal::Reveal))
    }

    fn text_at(&self, index: usize) -> Option<&str> {
        match self.cells[index] {
            Cell::Text(span) => Some(self.arena.get(span)),
            _ => None,
        }
    }

    fn name_of(&self, index: u8) -> &str {
        &self.contract.fields()[usize::from(index)].name
    }

    fn canonical_value(&self, cell: Cell, out: &mut Vec<u8>) {
        let mut put = |tag: u8, value: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        };
        match cell {
            Cell::Text(span) => put(b't', self.arena.get(span).as_bytes()),
            Cell::Digits(span) => put(b'n', self.arena.get(span).as_bytes()),
            Cell::Integer(value) => put(b'i', &value.to_be_bytes()),
            Cell::Bool(value) => put(b'b', &[value.into()]),
            Cell::Unset | Cell::Null | Cell::Inexact | Cell::Wrong => put(b'0', &[]),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
