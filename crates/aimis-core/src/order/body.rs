//! Writes the body of an order as compact JSON, in one buffer of exactly the right size.
//!
//! Written out by hand rather than through a document tree: a tree would copy each personal text to the heap, where
//! nobody wipes it, and cost more than the encryption.

use std::fmt;

use crate::cipher::FieldCipher;

use super::Order;
use super::value::{Cell, Decimal};

/// The body that may leave for the platform: its telephone and identity numbers are ciphertext. Made only by
/// [`Order::protected_body`]. It may hold the patient's name, so its `Debug` shows `***`.
pub struct ProtectedBody(Vec<u8>);

impl ProtectedBody {
    /// The bytes to send, UTF-8 without BOM.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes to send, lent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ProtectedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtectedBody(***)")
    }
}

/// What becomes of telephone and identity numbers.
#[derive(Clone, Copy)]
pub(super) enum Seal<'a> {
    Encrypt(&'a FieldCipher),
    Reveal,
}

pub(super) fn write(order: &Order, seal: Seal<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(len(order, seal));
    out.push(b'{');
    for (field, &cell) in order.contract.fields().iter().zip(&order.cells) {
        if matches!(cell, Cell::Unset) {
            continue;
        }
        separate(&mut out);
        // Names of a contract are letters, digits and `_-.`, so they need no escapes.
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        match (seal, cell) {
            (Seal::Encrypt(cipher), Cell::Text(span)) if field.kind.is_encrypted() => {
                out.push(b'"');
                cipher.encrypt_into(order.arena.get(span), &mut out);
                out.push(b'"');
            }
            _ => write_value(order, cell, &mut out),
        }
    }
    for extra in &order.extras {
        separate(&mut out);
        write_string(order.arena.get(extra.name), &mut out);
        out.push(b':');
        write_value(order, extra.value, &mut out);
    }
    out.push(b'}');
    out
}

/// Length of what [`write()`] writes.
fn len(order: &Order, seal: Seal<'_>) -> usize {
    let fields = order
        .contract
        .fields()
        .iter()
        .zip(&order.cells)
        .filter(|(_, cell)| !matches!(cell, Cell::Unset));
    let fields = fields.map(|(field, &cell)| {
        let value = match (seal, cell) {
            (Seal::Encrypt(cipher), Cell::Text(span)) if field.kind.is_encrypted() => {
                cipher.hex_len(order.arena.get(span).len()) + 2
            }
            _ => value_len(order, cell),
        };
        field.name.len() + 4 + value
    });
    let extras = order
        .extras
        .iter()
        .map(|extra| string_len(order.arena.get(extra.name)) + 2 + value_len(order, extra.value));
    // Each member is counted with a comma, and the last has none.
    (fields.chain(extras).sum::<usize>() + 1).max(2)
}

fn separate(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

fn write_value(order: &Order, cell: Cell, out: &mut Vec<u8>) {
    match cell {
        Cell::Text(span) => write_string(order.arena.get(span), out),
        Cell::Digits(span) => out.extend_from_slice(order.arena.get(span).as_bytes()),
        Cell::Integer(value) => out.extend_from_slice(Decimal::of(value).as_str().as_bytes()),
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
        Cell::Unset | Cell::Null | Cell::Inexact | Cell::Wrong => out.extend_from_slice(b"null"),
    }
}

fn value_len(order: &Order, cell: Cell) -> usize {
    match cell {
        Cell::Text(span) => string_len(order.arena.get(span)),
        Cell::Digits(span) => order.arena.get(span).len(),
        Cell::Integer(value) => Decimal::of(value).as_str().len(),
        Cell::Bool(false) => 5,
        Cell::Bool(true) | Cell::Unset | Cell::Null | Cell::Inexact | Cell::Wrong => 4,
    }
}

/// A JSON string (RFC 8259, section 7): quotation mark, reverse solidus and control characters escaped, the rest as it is.
fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    if !is_plain(text) {
        while let Some(at) = rest.iter().position(|&b| escaped_len(b) > 1) {
            let byte = rest[at];
            out.extend_from_slice(&rest[..at]);
            match short_escape(byte) {
                Some(letter) => out.extend_from_slice(&[b'\\', letter]),
                None => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
            }
            rest = &rest[at + 1..];
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn string_len(text: &str) -> usize {
    let inner = if is_plain(text) {
        text.len()
    } else {
        text.bytes().map(escaped_len).sum()
    };
    inner + 2
}

/// Whether nothing in it is escaped.
fn is_plain(text: &str) -> bool {
    // Without an early end the compiler does 16 bytes at a time.
    text.bytes()
        .fold(true, |plain, b| plain & (b >= 0x20) & (b != b'"') & (b != b'\\'))
}

fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_reads_back_and_has_the_length_foretold(text in "[\0-\u{7f}\u{2028}张𠮷\"\\\\]{0,40}") {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(out.len(), string_len(&text));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
