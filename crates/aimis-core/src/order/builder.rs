//! Takes the members of a body as a decoder reads them, in any order.

use std::sync::{Arc, LazyLock};

use crate::contract::{self, Contract, FieldKind};
use crate::text::{half_width, is_space, trim};

use super::arena::{Arena, Span};
use super::value::{Cell, Decimal, Value, is_integer, is_number, whole};
use super::{Extra, RepairKind};

/// Room for canonical dates and normalised numbers beside what the body holds.
const REWRITE_ROOM: usize = 64;
/// Most that is reserved at once, whatever the body's length; the arena grows if it must.
const MAX_RESERVE: usize = 64 * 1024;

/// What signs a request besides its body (section 2): some platforms read them from the body as well.
const SIGNATURE_NAMES: [&str; 3] = ["appId", "signature", "timestamp"];
/// Whole numbers from here on share their floating-point number with others (2^53), and programs that keep every
/// number in one have sent a neighbour: of 18 digits the last is lost.
const INEXACT_FROM: u64 = 1 << 53;
/// Names of the family's fields, folded. What is a field of one query is never a foreign member of another: rules on
/// a field are asked of the contract that has it, and would not see it.
static FAMILY: LazyLock<Vec<String>> = LazyLock::new(|| {
    let queries = contract::queries();
    let names = queries
        .iter()
        .flat_map(Contract::fields)
        .map(|field| folded(&field.name));
    names.chain(SIGNATURE_NAMES.map(folded)).collect()
});

/// Collects the members of one request. Dropped unfinished, it wipes what it holds.
#[derive(Clone)]
pub struct OrderBuilder {
    pub(super) contract: Arc<Contract>,
    pub(super) arena: Arena,
    pub(super) cells: Vec<Cell>,
    pub(super) extras: Vec<Extra>,
    pub(super) repairs: Vec<(Option<u8>, RepairKind)>,
    /// Members outside the contract that were left out or forwarded, by the names under which they may be told.
    pub(super) foreign: Vec<(String, Foreign)>,
    /// The body was one object under an unknown name.
    pub(super) wrapped: bool,
}

/// What became of a member outside the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It was left out or forwarded, which a strict client is refused.
    Repaired(RepairKind),
    /// It is refused to everybody.
    Refused,
}

/// Whether the contract has a field of the name given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an unknown member must be dropped, forwarded or refused, and told"]
pub enum Slot {
    /// The value was taken.
    Known,
    /// The contract has no such field; nothing was taken.
    Unknown,
}

/// A field was given twice. Which of two values is meant, nobody can know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field} is given twice")]
pub struct Duplicate {
    /// Its name, from the contract.
    pub field: String,
}

/// What became of a value that the gateway filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The body had none; the order has it now.
    Taken,
    /// The body had the same.
    Same,
    /// The body has another, which stays.
    Differs,
    /// The contract has no such text field.
    NotInContract,
}

/// Why a member outside the contract cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotForwarded {
    /// Its name is that of a field, or of a part of the signature, but for what a lenient reader
    /// overlooks: under it, plaintext could pass for the encrypted field (promise P2). Fields of the other queries
    /// count, since no rule looked at them.
    #[error("the name is that of a field of a query or of the signature")]
    NameOfField,
    /// It was given before.
    #[error("the member is given twice")]
    Duplicate,
    /// It is an array or an object, or a number that is none.
    #[error("only texts, numbers, true, false and null are forwarded")]
    NotScalar,
    /// Its name is not made of ASCII letters, digits and `_`: what a reader makes of it cannot be foreseen.
    #[error("the name is no plain identifier")]
    NotIdentifier,
    /// Its value holds ten digits, as telephone and identity numbers do, or JSON of its own.
    #[error("the value could hold a person's number")]
    CouldBePersonal,
}

impl OrderBuilder {
    /// A builder for `contract`, with room for a body of `body_len` bytes, so that it need not grow. The room is wiped
    /// at the end, so more than needed costs time.
    pub fn new(contract: &Arc<Contract>, body_len: usize) -> Self {
        Self {
            contract: Arc::clone(contract),
            arena: Arena::with_capacity(body_len.min(MAX_RESERVE) + REWRITE_ROOM),
            cells: vec![Cell::Unset; contract.fields().len()],
            extras: Vec::new(),
            repairs: Vec::new(),
            foreign: Vec::new(),
            wrapped: false,
        }
    }

    /// The contract that is being filled.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Takes the member `name`. What its value is worth, [`finish`](Self::finish) judges.
    ///
    /// # Errors
    /// [`Duplicate`] if it was set before, to whatever value.
    pub fn set(&mut self, name: &str, value: Value<'_>) -> Result<Slot, Duplicate> {
        match self.contract.index(name) {
            Some(index) => self.set_at(index, value).map(|()| Slot::Known),
            None => Ok(Slot::Unknown),
        }
    }

    /// The same for the field at `index` of the contract, which the caller has looked up.
    ///
    /// # Errors
    /// [`Duplicate`] if it was set before, to whatever value.
    ///
    /// # Panics
    /// If the contract has no such field.
    pub fn set_at(&mut self, index: usize, value: Value<'_>) -> Result<(), Duplicate> {
        if !matches!(self.cells[index], Cell::Unset) {
            let field = self.contract.fields()[index].name.clone();
            return Err(Duplicate { field });
        }
        let numeric = matches!(self.contract.fields()[index].kind, FieldKind::Integer { .. });
        self.cells[index] = match value {
            Value::Null => Cell::Null,
            Value::Text(text) => Cell::Text(self.arena.push(text)),
            Value::Integer(value) if numeric => Cell::Integer(value),
            Value::Integer(value) if value.unsigned_abs() < INEXACT_FROM => {
                Cell::Digits(self.arena.push(Decimal::of(value).as_str()))
            }
            Value::Integer(_) => self.inexact(index),
            Value::Number(text) if numeric && is_integer(text) => Cell::Digits(self.arena.push(text)),
            Value::Bool(value) => Cell::Bool(value),
            // Wrong for the field, as its judge will say, unless somebody asks for each item (`several`).
            Value::List(text) if numeric => Cell::Text(self.arena.push(text)),
            Value::Number(text) if !numeric && is_number(text) => self.inexact(index),
            Value::Number(_) if !numeric => Cell::Wrong,
            Value::Number(text) => self.decimal(index, text),
            Value::List(_) | Value::Nested => Cell::Wrong,
        };
        Ok(())
    }

    /// Forgets, and wipes, all that was set.
    pub fn clear(&mut self) {
        *self = Self::new(&self.contract, self.arena.capacity().saturating_sub(REWRITE_ROOM));
    }

    /// A number for an integer field that is no plain whole number: `2.0` is 2, and `2.5` is nothing.
    fn decimal(&mut self, index: usize, text: &str) -> Cell {
        let Some(whole) = whole(text) else {
            return Cell::Wrong;
        };
        self.repairs.push((Some(index as u8), RepairKind::IntegerAsDecimal));
        Cell::Digits(self.arena.push(whole))
    }

    /// A number for a field that is none. What has a decimal point, an exponent or too many digits may have gone through
    /// a floating-point number, which keeps 15 digits: an identity number has 18.
    fn inexact(&self, index: usize) -> Cell {
        match self.contract.fields()[index].kind {
            FieldKind::DateTime(_) => Cell::Wrong,
            _ => Cell::Inexact,
        }
    }

    /// Text of a member set so far, trimmed; the digits of a number given for a text. `None` if it counts as absent.
    /// Lets the gateway choose the tenant by `hospitalId` before the order is finished.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.cells[self.contract.index(name)?] {
            Cell::Text(span) | Cell::Digits(span) => {
                let text = trim(self.arena.get(span));
                (!is_blank(text)).then_some(text)
            }
            _ => None,
        }
    }

    /// Fills in a configured value (`hospitalId`, `unionId`) where the body has none.
    pub fn fill(&mut self, name: &str, configured: &str) -> Filled {
        let Some(index) = self.contract.index(name) else {
            return Filled::NotInContract;
        };
        if self.contract.fields()[index].kind != FieldKind::Text {
            return Filled::NotInContract;
        }
        match (self.text(name), self.cells[index]) {
            (Some(given), _) if given == configured => Filled::Same,
            (Some(_), _) | (None, Cell::Bool(_) | Cell::Inexact | Cell::Wrong) => Filled::Differs,
            (None, _) => {
                self.cells[index] = Cell::Text(self.arena.push(configured));
                Filled::Taken
            }
        }
    }

    /// Takes a member outside the contract that the configuration lets through (`unknown_fields = "forward"`). It goes
    /// out in plaintext, as it is.
    ///
    /// # Errors
    /// [`NotForwarded`] for names too like a field's or not plain, repeated names, and values that are no scalars or
    /// could hold a person's number.
    pub fn forward(&mut self, name: &str, value: Value<'_>) -> Result<(), NotForwarded> {
        let folded_name = folded(name);
        let mut fields = self.contract.fields().iter();
        if FAMILY.contains(&folded_name) || fields.any(|field| folded(&field.name) == folded_name) {
            return Err(NotForwarded::NameOfField);
        }
        if !is_identifier(name) {
            return Err(NotForwarded::NotIdentifier);
        }
        let personal = match value {
            Value::Text(text) | Value::Number(text) => could_be_personal(text),
            Value::Integer(number) => number.unsigned_abs() >= 1_000_000_000,
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Nested => false,
        };
        if personal {
            return Err(NotForwarded::CouldBePersonal);
        }
        if self.extras.iter().any(|extra| self.arena.get(extra.name) == name) {
            return Err(NotForwarded::Duplicate);
        }
        let value = match value {
            Value::Null => Cell::Null,
            Value::Text(text) => Cell::Text(self.arena.push(text)),
            Value::Integer(value) => Cell::Integer(value),
            Value::Number(text) if is_number(text) => Cell::Digits(self.arena.push(text)),
            Value::Bool(value) => Cell::Bool(value),
            Value::Number(_) | Value::List(_) | Value::Nested => return Err(NotForwarded::NotScalar),
        };
        let name = self.arena.push(name);
        self.extras.push(Extra { name, value });
        Ok(())
    }

    /// Notes a repair that the decoder made: of the field `name`, or of the body as a whole if the contract has none of
    /// that name or `None` is given. Each is noted once.
    pub fn note(&mut self, name: Option<&str>, kind: RepairKind) {
        let field = name.and_then(|name| self.contract.index(name)).map(|index| index as u8);
        if !self.repairs.contains(&(field, kind)) {
            self.repairs.push((field, kind));
        }
    }

    /// Notes a member outside the contract and what became of it. The decoder tells of these by itself; they are noted
    /// for the strict client, who is refused them. `name` has to be fit for an answer.
    pub fn note_foreign(&mut self, name: &str, kind: RepairKind) {
        self.foreign.push((name.to_owned(), Foreign::Repaired(kind)));
    }

    /// Notes a member outside the contract for which the order is to be refused. `name` has to be fit for an answer.
    pub fn refuse_foreign(&mut self, name: &str) {
        self.foreign.push((name.to_owned(), Foreign::Refused));
    }

    /// Notes that the body was one object under an unknown name, in which the request may stand.
    pub fn note_wrapper(&mut self) {
        self.wrapped = true;
    }

    /// Whether no member of the contract was set.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| matches!(cell, Cell::Unset))
    }
}

/// A name without what a lenient reader of names may overlook: width, case, white space, control characters, the
/// separators of other naming styles, and the dots of a Turkish i.
fn folded(name: &str) -> String {
    let overlooked = |c: char| is_space(c) || c.is_control() || matches!(c, '_' | '-' | '\u{ad}' | '\u{307}');
    name.chars()
        .map(half_width)
        // Upper case first: `ı` and `ſ` are small letters whose capitals are ASCII.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !overlooked(*c))
        .collect()
}

/// Whether a member's name may be a mistyped or abbreviated name of a field: equal but for what [`folded`] overlooks,
/// the beginning of the other, or at most two letters away.
pub(super) fn is_similar(name: &str, field: &str) -> bool {
    const LEAST: usize = 4;
    let (name, field) = (folded(name), folded(field));
    let (shorter, longer) = if name.len() < field.len() {
        (&name, &field)
    } else {
        (&field, &name)
    };
    if shorter.len() < LEAST || longer.len() > contract::MAX_NAME_LEN {
        return false;
    }
    longer.starts_with(&**shorter) || distance(shorter.as_bytes(), longer.as_bytes()) <= 2.min(shorter.len() - LEAST)
}

/// Letters to add, drop or replace between two names.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Ten digits in a row, whatever separates them, or a document of its own in which a field could stand.
fn could_be_personal(text: &str) -> bool {
    let mut run = 0;
    for c in text.chars().map(half_width) {
        match c {
            '0'..='9' => run += 1,
            c if c.is_alphabetic() => run = 0,
            _ => {}
        }
        if run >= 10 {
            return true;
        }
    }
    trim(text).starts_with(['{', '['])
}

/// Whether a trimmed text stands for "absent" in any field: nothing, a dash, or what programs write for their null.
pub(super) fn is_blank(trimmed: &str) -> bool {
    let of_a_program = |word: &&str| trimmed.eq_ignore_ascii_case(word);
    matches!(trimmed, "" | "-" | "－" | "None") || ["null", "undefined"].iter().any(of_a_program)
}

/// The span of `span`'s text without the white space around it.
pub(super) fn trimmed(arena: &Arena, span: Span) -> Span {
    let text = arena.get(span);
    let trimmed = trim(text);
    let skip = trimmed.as_ptr() as usize - text.as_ptr() as usize;
    Arena::narrow(span, skip, trimmed.len())
}
