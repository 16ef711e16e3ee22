//! JSON to a tree with places.
//!
//! serde_json tells no positions of values, but a `RawValue` borrows its text, so that its place is the
//! distance from the beginning. `null` counts as not there, because templates write it for what is not set.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::file::Source;
use super::origin::Origin;
use super::problem::Problem;
use super::tree::{Node, Value};

/// The configuration is three deep; deeper is a mistake, and each level costs another pass over the text.
const DEEPEST: usize = 16;

/// Parses `text`.
pub(super) fn parse(text: &str, source: &Source) -> Result<Node, Vec<Problem>> {
    let reading = Reading { text, source };
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| vec![reading.syntax(0, &error)])?;
    let node = reading.node(raw, 0).map_err(|problem| vec![problem])?;
    Ok(node.unwrap_or_else(|| Node::new(Value::Table(Vec::new()), source.origin(0))))
}

/// Parses the value of an environment variable: every part of it has the origin `origin`. `None` if it is no
/// JSON list or object.
pub(super) fn value(text: &str, origin: &Origin) -> Option<Node> {
    let node = parse(text, &Source::of("", text)).ok()?;
    matches!(node.value, Value::List(_) | Value::Table(_)).then(|| node.moved_to(origin))
}

struct Reading<'a> {
    text: &'a str,
    source: &'a Source,
}

impl<'a> Reading<'a> {
    /// `None` for `null`.
    fn node(&self, raw: &'a RawValue, depth: usize) -> Result<Option<Node>, Problem> {
        let (text, at) = (raw.get(), self.offset(raw));
        let origin = self.source.origin(at);
        if depth > DEEPEST {
            return Err(Problem::sentence(Some(origin), "", "too many levels of nesting"));
        }
        let value = match text.as_bytes().first() {
            Some(b'n') => return Ok(None),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'"') => Value::Text(serde_json::from_str(text).map_err(|error| self.syntax(at, &error))?),
            Some(b'[') => {
                let items: Vec<&'a RawValue> = serde_json::from_str(text).map_err(|error| self.syntax(at, &error))?;
                let items: Result<Vec<_>, _> = items.into_iter().map(|item| self.node(item, depth + 1)).collect();
                Value::List(items?.into_iter().flatten().collect())
            }
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(|error| self.syntax(at, &error))?;
                self.table(members, depth)?
            }
            _ => number(text),
        };
        Ok(Some(Node::new(value, origin)))
    }

    fn table(&self, members: Vec<(String, &'a RawValue)>, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen = HashSet::new();
        for (key, raw) in members {
            if !seen.insert(key.clone()) {
                let origin = self.source.origin(self.offset(raw));
                return Err(Problem::about(Some(origin), &key, "stands twice in one object"));
            }
            if let Some(node) = self.node(raw, depth + 1)? {
                entries.push((key, node));
            }
        }
        Ok(Value::Table(entries))
    }

    /// `raw` is a part of `text`; how far into it.
    fn offset(&self, raw: &RawValue) -> usize {
        (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    /// A syntax error inside the part that begins at `base`. Its text is one of a fixed set and quotes nothing.
    fn syntax(&self, base: usize, error: &serde_json::Error) -> Problem {
        let at = if base == 0 {
            self.source.offset(error.line(), error.column())
        } else {
            base
        };
        let text = error.to_string();
        let what = match error.classify() {
            serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
                text.split(" at line ").next().unwrap_or_default()
            }
            _ => "a value that cannot be read",
        };
        let sentence = format!("column {}: not valid JSON: {what}", self.source.column(at));
        Problem::sentence(Some(self.source.origin(at)), "", sentence)
    }
}

/// JSON does not tell `8080` from `8080.0` or `1e6`, and templates write all of them.
fn number(text: &str) -> Value {
    if let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    /// Up to here every whole number is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < EXACT => Value::Integer(number as i64),
        _ => Value::Unusable {
            shown: super::problem::shown(text),
            hint: "",
        },
    }
}

/// The members of an object in their order, doubled keys included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
