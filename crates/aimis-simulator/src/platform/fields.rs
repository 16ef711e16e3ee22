//! The body's fields, strictly typed: a number is a JSON number, an empty text is a missing one.
//!
//! Of the documented codes, 20031 is for what is missing or empty, 100001 for what has the wrong JSON
//! type (and for a body that is no object), 20030 for the right type with a value out of range or form,
//! 10005 for a ciphertext that does not open or holds nothing plausible.

use super::refusal::Refusal;
use crate::crypto::{Key, Switches};
use crate::date::{is_day, is_study_time};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of one JSON object; none comes twice.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|_| Refusal::new(100_001, "parameter error: body is not one JSON object"))
    }

    /// A required text.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.optional_text(name)?.ok_or_else(|| missing(name))
    }

    /// A text that may be absent, null or empty.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong_type(name)),
        }
    }

    /// A required integer, 0 to `max`.
    pub(super) fn integer(&self, name: &str, max: u8) -> Result<u8, Refusal> {
        let Value::Number(number) = self.get(name).ok_or_else(|| missing(name))? else {
            return Err(wrong_type(name));
        };
        if !number.is_i64() && !number.is_u64() {
            return Err(wrong_type(name)); // 1.0 is no integer to a strictly typed server
        }
        let value = number
            .as_u64()
            .and_then(|number| u8::try_from(number).ok())
            .filter(|number| *number <= max);
        value.ok_or_else(|| bad_form(name))
    }

    /// A required `yyyy-MM-dd HH:mm:ss`.
    pub(super) fn study_time(&self, name: &str) -> Result<&str, Refusal> {
        let text = self.text(name)?;
        if is_study_time(text) {
            Ok(text)
        } else {
            Err(bad_form(name))
        }
    }

    /// An encrypted field's plaintext, which has to look as it should; `None` only where a switch allows it.
    pub(super) fn encrypted(
        &self,
        name: &str,
        key: &Key,
        switches: &Switches,
        plausible: fn(&str) -> bool,
    ) -> Result<Option<String>, Refusal> {
        let Some(ciphertext) = self.optional_text(name)? else {
            return if switches.identity_optional {
                Ok(None)
            } else {
                Err(missing(name))
            };
        };
        match key.decrypt(ciphertext, switches.padding) {
            Ok(text) if text.is_empty() && switches.identity_optional => Ok(None),
            Ok(text) if plausible(&text) => Ok(Some(text)),
            Ok(_) => Err(Refusal::new(
                10_005,
                format!("data not valid: {name} holds nothing plausible"),
            )),
            Err(_) => Err(Refusal::new(10_005, format!("data not valid: {name} does not decrypt"))),
        }
    }

    /// The value, null counting as absent.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Value)> = Vec::with_capacity(12);
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a field came twice"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(20_031, format!("required parameter is empty: {name}"))
}

fn wrong_type(name: &str) -> Refusal {
    Refusal::new(100_001, format!("parameter error: {name}"))
}

fn bad_form(name: &str) -> Refusal {
    Refusal::new(20_030, format!("format not valid: {name}"))
}

/// A telephone number as some system may write it: digits, dashes, a leading plus; no spaces, no placeholder.
pub(super) fn looks_like_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('+').unwrap_or(text);
    let known = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    known && (5..=15).contains(&digits) && text.len() <= 20 && !one_character(text)
}

/// An identity number of some kind: 5 to 20 letters and digits; 18 digits have to hold a possible date.
///
/// The check digit is left alone: numbers with a wrong one were issued, and the gateway passes them.
pub(super) fn looks_like_identity(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !(5..=20).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_alphanumeric) || one_character(text) {
        return false;
    }
    if bytes.len() == 18 && bytes[..17].iter().all(u8::is_ascii_digit) {
        let number = |from: usize, to: usize| bytes[from..to].iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0'));
        return is_day(number(6, 10), number(10, 12), number(12, 14));
    }
    true
}

/// A run of one character is what people type when they have nothing to type.
fn one_character(text: &str) -> bool {
    text.bytes().all(|byte| Some(&byte) == text.as_bytes().first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_field_is_refused_even_in_escapes() {
        for body in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            "[]",
            "{} {}",
            "",
            "null",
            "\u{feff}{}",
        ] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err().code, 100_001, "{body}");
        }
    }

    #[test]
    fn integers_are_json_numbers_in_range() {
        let code = |value: &str| {
            let fields = Fields::parse(format!(r#"{{"usage":{value}}}"#).as_bytes()).unwrap();
            fields.integer("usage", 2).map_err(|refusal| refusal.code)
        };
        assert_eq!(code("2"), Ok(2));
        assert_eq!(code("null"), Err(20_031));
        for value in ["\"2\"", "2.0", "true", "[2]", "\"\""] {
            assert_eq!(code(value), Err(100_001), "{value}");
        }
        for value in ["3", "-1", "300"] {
            assert_eq!(code(value), Err(20_030), "{value}");
        }
    }

    #[test]
    fn plausible_numbers_and_implausible_ones() {
        for phone in ["13800138000", "+8613800138000", "010-00000000", "+85200000000"] {
            assert!(looks_like_phone(phone), "{phone}");
        }
        for phone in [
            "",
            "-",
            "13800138000 ",
            "张三",
            "00000000000",
            "1380",
            "11010119000101009X",
        ] {
            assert!(!looks_like_phone(phone), "{phone}");
        }
        for identity in [
            "11010119000101009X",
            "11010119000101009x",
            "H12345678",
            "110101000101001",
            "XXX110000010112",
        ] {
            assert!(looks_like_identity(identity), "{identity}");
        }
        for identity in [
            "",
            "-",
            "无",
            "11010119000230001X",
            "000000000000000000",
            " 11010119000101009X",
            "1234",
        ] {
            assert!(!looks_like_identity(identity), "{identity}");
        }
    }
}
