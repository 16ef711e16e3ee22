//! A JSON object's members, each looked at once where it stands, without a document tree.
//!
//! serde_json's own map would let the last of two equal names win, and its errors quote the body; here a
//! duplicate is a fault, and errors are ours with serde_json's line and column.

use std::borrow::Cow;

use aimis_core::order::{RepairKind, Value};
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::MAX_DEPTH;
use super::members::Members;
use crate::rejection::{BodyFault, Rejection};

/// Reads the members of a JSON object; of one in a JSON string, or in the only member of another, too.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] with the place of the first fault.
pub fn read(text: &str, members: &mut Members<'_>) -> Result<(), Rejection> {
    if let Some(inner) = quoted(text) {
        members.note(RepairKind::JsonString);
        return inside(&inner, members);
    }
    let Some(wrapped) = object(text, members)? else {
        return Ok(());
    };
    members.note(RepairKind::JsonWrapped);
    match quoted(wrapped) {
        Some(inner) => inside(&inner, members),
        None => inside(wrapped, members).map_err(|rejection| placed(text, wrapped, rejection)),
    }
}

/// Reads the object inside another, which may hold no third.
fn inside(text: &str, members: &mut Members<'_>) -> Result<(), Rejection> {
    let mut reader = MemberReader {
        members,
        fault: None,
        wrapped: Wrapped::Never,
    };
    parse(text, &mut reader)
}

/// Reads an object's members, or finds the value in which the whole request stands.
fn object<'t>(text: &'t str, members: &mut Members<'_>) -> Result<Option<&'t str>, Rejection> {
    let mut reader = MemberReader {
        members,
        fault: None,
        wrapped: Wrapped::Perhaps,
    };
    parse(text, &mut reader)?;
    Ok(match reader.wrapped {
        Wrapped::In(raw) => Some(raw),
        _ => None,
    })
}

/// The text in a JSON string, if the string is all there is and the text looks like an object.
fn quoted(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim_ascii();
    if !text.starts_with('"') {
        return None;
    }
    let inner: Zeroizing<String> = serde_json::from_str(text).map(Zeroizing::new).ok()?;
    inner.trim_ascii_start().starts_with('{').then_some(inner)
}

/// A place inside `part`, which is cut out of `text`, as a place in `text`.
fn placed(text: &str, part: &str, rejection: Rejection) -> Rejection {
    let Rejection::BodyNotUnderstood { line, column, fault } = rejection else {
        return rejection;
    };
    let before = &text[..(part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)];
    let last = before.rfind('\n').map_or(before, |at| &before[at + 1..]);
    Rejection::BodyNotUnderstood {
        line: line + before.matches('\n').count(),
        column: if line == 1 { column + last.len() } else { column },
        fault,
    }
}

fn parse<'t>(text: &'t str, reader: &mut MemberReader<'_, '_, 't>) -> Result<(), Rejection> {
    if text.trim_ascii().is_empty() {
        return Err(Rejection::BodyNotUnderstood {
            line: 1,
            column: 1,
            fault: BodyFault::Empty,
        });
    }
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

/// Whether a whole request may stand in the one member of the object that is being read.
enum Wrapped<'t> {
    Never,
    Perhaps,
    In(&'t str),
}

struct MemberReader<'m, 'o, 't> {
    members: &'m mut Members<'o>,
    /// Why the reader stopped, when it did so itself: serde's own error carries only text.
    fault: Option<BodyFault>,
    wrapped: Wrapped<'t>,
}

impl<'t> MemberReader<'_, '_, 't> {
    fn deserialize_members(
        &mut self,
        json: &mut serde_json::Deserializer<serde_json::de::StrRead<'t>>,
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

impl<'de> Visitor<'de> for &mut MemberReader<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut first = matches!(self.wrapped, Wrapped::Perhaps);
        // A member in which the whole request may stand, until the next one shows that it does not.
        let mut held = None;
        while let Some(name) = members.next_key_seed(TextSeed)? {
            let raw: &'de RawValue = members.next_value()?;
            if std::mem::take(&mut first) && self.members.may_wrap(&name) && holds_object(raw.get()) {
                held = Some((name, raw.get()));
                continue;
            }
            if let Some((name, raw)) = held.take() {
                self.member(&name, raw)?;
            }
            self.member(&name, raw.get())?;
        }
        if let Some((_, raw)) = held {
            check_depth(raw).map_err(|fault| self.stop(fault))?;
            self.wrapped = Wrapped::In(raw);
        }
        Ok(())
    }
}

/// Whether a value is an object, or a string that looks like one.
fn holds_object(raw: &str) -> bool {
    raw.starts_with('{') || quoted(raw).is_some()
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
