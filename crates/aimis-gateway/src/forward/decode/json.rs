//! A JSON object's members, each looked at once where it stands, without a document tree.
//!
//! serde_json's own map would let the last of two equal names win, and its errors quote the body; here a
//! duplicate is a fault, and errors are ours with serde_json's line and column.

use std::borrow::Cow;

use aimis_core::order::Value;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::MAX_DEPTH;
use super::members::Members;
use crate::rejection::{BodyFault, Rejection};

/// Reads the members of a JSON object.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] with the place of the first fault.
pub fn read(text: &str, members: &mut Members<'_>) -> Result<(), Rejection> {
    if text.trim_ascii().is_empty() {
        return Err(Rejection::BodyNotUnderstood {
            line: 1,
            column: 1,
            fault: BodyFault::Empty,
        });
    }
    let mut reader = MemberReader { members, fault: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_members(&mut json);
    let fault = reader.fault;
    read.map_err(|error| {
        let fault = fault.unwrap_or(match error.classify() {
            serde_json::error::Category::Eof => BodyFault::EndsEarly,
            serde_json::error::Category::Data if !text.trim_start().starts_with('{') => BodyFault::NotObject,
            _ => BodyFault::Syntax,
        });
        Rejection::BodyNotUnderstood {
            line: error.line().max(1),
            column: error.column().max(1),
            fault,
        }
    })?;
    json.end().map_err(|error| Rejection::BodyNotUnderstood {
        line: error.line(),
        column: error.column(),
        fault: BodyFault::TrailingData,
    })
}

struct MemberReader<'m, 'o> {
    members: &'m mut Members<'o>,
    /// Why the reader stopped, when it did so itself: serde's own error carries only text.
    fault: Option<BodyFault>,
}

impl MemberReader<'_, '_> {
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
                if raw.starts_with('[') {
                    Value::List(raw)
                } else {
                    Value::Nested
                }
            }
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'n' => Value::Null,
            _ => raw.parse().map_or(Value::Number(raw), Value::Integer),
        };
        self.members.set(name, value).map_err(|fault| self.stop(fault))
    }
}

impl<'de> Visitor<'de> for &mut MemberReader<'_, '_> {
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
