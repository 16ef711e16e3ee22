//! The caller's bytes become an order: read within bounds, understood without guessing.
//!
//! [`body`] reads the bytes, [`charset`] makes text of them, and this file reads the text's members.
//! Each member is looked at once, where it stands. Nothing of the bytes themselves goes on: what leaves
//! the house later is written from the order (design.md, P2).

pub mod body;
pub mod charset;

use std::borrow::Cow;

use aimis_core::order::{OrderBuilder, Slot, Value};
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{MAX_DEPTH, MAX_MEMBERS};
use crate::config::UnknownFields;
use crate::rejection::{BodyFault, Rejection};

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

/// What was understood beside the order itself.
#[derive(Debug, Default)]
pub struct Understood {
    /// Members that the contract does not know, by their names as far as these may be repeated, and what
    /// became of each.
    pub unknown: Vec<(String, Unknown)>,
}

/// Reads the members of a JSON object into `order`.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] with the place of the first fault.
pub fn read_json(
    text: &str,
    unknown_fields: UnknownFields,
    order: &mut OrderBuilder,
) -> Result<Understood, Rejection> {
    if text.trim_ascii().is_empty() {
        return Err(Rejection::BodyNotUnderstood { line: 1, column: 1, fault: BodyFault::Empty });
    }
    let mut reader =
        MemberReader { order, unknown_fields, understood: Understood::default(), fault: None, names: Vec::new() };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_members(&mut json);
    let fault = reader.fault;
    read.map_err(|error| {
        let fault = fault.unwrap_or(match error.classify() {
            serde_json::error::Category::Eof => BodyFault::EndsEarly,
            serde_json::error::Category::Data if !text.trim_start().starts_with('{') => BodyFault::NotObject,
            _ => BodyFault::Syntax,
        });
        Rejection::BodyNotUnderstood { line: error.line().max(1), column: error.column().max(1), fault }
    })?;
    json.end().map_err(|error| Rejection::BodyNotUnderstood {
        line: error.line(),
        column: error.column(),
        fault: BodyFault::TrailingData,
    })?;
    Ok(reader.understood)
}

/// A fault at a byte offset.
fn not_understood(body: &[u8], at: usize, fault: BodyFault) -> Rejection {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    Rejection::BodyNotUnderstood { line, column, fault }
}

struct MemberReader<'o> {
    order: &'o mut OrderBuilder,
    unknown_fields: UnknownFields,
    understood: Understood,
    /// Why the reader stopped, when it did so itself: serde's own error carries only text.
    fault: Option<BodyFault>,
    /// Names of unknown members, to tell duplicates; known ones are told by the order.
    names: Vec<String>,
}

impl MemberReader<'_> {
    fn deserialize_members<'de>(
        &mut self,
        json: &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
    ) -> Result<(), serde_json::Error> {
        use serde::Deserializer as _;
        json.deserialize_map(self)
    }

    fn stop<E: serde::de::Error>(&mut self, fault: BodyFault) -> E {
        self.fault = Some(fault);
        E::custom("")
    }

    fn member<E: serde::de::Error>(&mut self, name: &str, raw: &str) -> Result<(), E> {
        let unescaped: Zeroizing<String>;
        let value = match raw.as_bytes()[0] {
            b'"' if memchr::memchr(b'\\', raw.as_bytes()).is_none() => Value::Text(&raw[1..raw.len() - 1]),
            b'"' => {
                // A raw value may hold lone surrogates; this finds them.
                let text = serde_json::from_str(raw).map_err(|_| self.stop(BodyFault::Syntax))?;
                unescaped = Zeroizing::new(text);
                Value::Text(&unescaped)
            }
            b'{' | b'[' => {
                check_depth(raw).map_err(|fault| self.stop(fault))?;
                Value::Nested
            }
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'n' => Value::Null,
            _ => raw.parse().map_or(Value::Number(raw), Value::Integer),
        };
        match self.order.set(name, value) {
            Ok(Slot::Known) => Ok(()),
            Ok(Slot::Unknown) => self.unknown(name, value),
            Err(_duplicate) => Err(self.stop(BodyFault::DuplicateKey)),
        }
    }

    fn unknown<E: serde::de::Error>(&mut self, name: &str, value: Value<'_>) -> Result<(), E> {
        if self.names.iter().any(|known| known == name) {
            return Err(self.stop(BodyFault::DuplicateKey));
        }
        if self.names.len() >= MAX_MEMBERS {
            return Err(self.stop(BodyFault::TooManyMembers));
        }
        let outcome = match self.unknown_fields {
            UnknownFields::Drop => Unknown::Dropped,
            // What the order does not let through, such as a field's name in another case, is dropped.
            UnknownFields::Forward if self.order.forward(name, value).is_ok() => Unknown::Forwarded,
            UnknownFields::Forward => Unknown::Dropped,
            UnknownFields::Reject => Unknown::Refused,
        };
        self.names.push(name.to_owned());
        self.understood.unknown.push((repeatable(name), outcome));
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut MemberReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key_seed(TextSeed)? {
            let raw: &RawValue = members.next_value()?;
            self.member(&name, raw.get())?;
        }
        Ok(())
    }
}

/// A string that borrows from the body unless it has escapes.
struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The object around counts as the first level.
fn check_depth(raw: &str) -> Result<(), BodyFault> {
    let (mut depth, mut in_string, mut escaped) = (1, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(BodyFault::TooDeep);
                }
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

/// A member's name as it may be told in a header: a plain identifier in which no number can hide.
fn repeatable(name: &str) -> String {
    let plain = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && name.bytes().filter(u8::is_ascii_digit).count() < 5;
    if plain { name.to_owned() } else { "?".to_owned() }
}
