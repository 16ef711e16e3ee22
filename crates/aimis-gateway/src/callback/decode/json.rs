//! A JSON object's members. serde_json's own map would let the last of two equal names win.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Given, MAX_DEPTH, Members, NotUnderstood};

/// Reads the members of the object `text`.
pub(super) fn read(text: &str, members: &mut Members) -> Result<(), NotUnderstood> {
    let mut json = serde_json::Deserializer::from_str(text);
    // What serde_json would say quotes the text.
    json.deserialize_map(Object(members)).map_err(|_| NotUnderstood)?;
    json.end().map_err(|_| NotUnderstood)
}

struct Object<'m>(&'m mut Members);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            let value = given(raw).map_err(fault)?;
            self.0.add(&name, value).map_err(fault)?;
        }
        Ok(())
    }
}

fn fault<E: serde::de::Error>(_: NotUnderstood) -> E {
    E::custom("not understood")
}

fn given(raw: &RawValue) -> Result<Given, NotUnderstood> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let text: Cow<'_, str> = serde_json::from_str::<Name<'_>>(text).map_err(|_| NotUnderstood)?.0;
            Ok(Given::Text(Zeroizing::new(text.into_owned())))
        }
        Some(b'{' | b'[') => {
            let mut json = serde_json::Deserializer::from_str(text);
            let checked = Unambiguous { depth: 1 }.deserialize(&mut json);
            checked.map_err(|_| NotUnderstood)?;
            Ok(Given::Json(Zeroizing::new(text.to_owned())))
        }
        _ => Ok(Given::Json(Zeroizing::new(text.to_owned()))),
    }
}

/// A text, borrowed where it stands as it is.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Walks through a value and refuses names that are there twice, and what is nested too deeply.
struct Unambiguous {
    depth: usize,
}

impl Unambiguous {
    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(fault(NotUnderstood));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            if !names.insert(name) {
                return Err(fault(NotUnderstood));
            }
            map.next_value_seed(self.deeper()?)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.deeper()?)?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
