//! The configuration as it was written, before any key has a meaning: values with their places.
//!
//! TOML, JSON and the environment all end here, so that what follows does not know them apart. Nothing in
//! this module has `Debug`: a tree may hold a token.

use super::origin::Origin;
use super::problem::quoted;

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Taken over from a table of the same name further up; complaints about it were made there.
    pub(super) inherited: bool,
}

/// What was written.
#[derive(Clone)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Text(String),
    /// Text of an environment variable, which does not say whether it means a number, a list or a text.
    Untyped(String),
    /// Something that few keys take or none: a fraction, a date, a number beyond 64 bits. Named for the complaint.
    Unusable {
        shown: String,
        hint: &'static str,
    },
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            inherited: false,
        }
    }

    /// The text, if this can be one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Untyped(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if this can be one.
    pub(super) fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Integer(number) => Some(*number),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The number as it is written, if this can be one with decimals.
    pub(super) fn decimal(&self) -> Option<String> {
        match &self.value {
            Value::Integer(number) => Some(number.to_string()),
            Value::Untyped(text) => Some(text.trim().to_owned()),
            Value::Unusable { shown, .. } => Some(shown.clone()),
            _ => None,
        }
    }

    /// The truth value, if this can be one.
    pub(super) fn bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(value) => Some(*value),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The entries, if this is a table.
    pub(super) fn table(&self) -> Option<&[(String, Node)]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry `key` of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.table()?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entry `key` of a table, to be changed.
    pub(super) fn entry_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Table(entries) = &mut self.value else {
            return None;
        };
        entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entry `key` of a table, made by `make` if it is not there; `None` if this is no table.
    pub(super) fn entry(&mut self, key: &str, make: impl FnOnce() -> Node) -> Option<&mut Node> {
        let Value::Table(entries) = &mut self.value else {
            return None;
        };
        let at = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            entries.push((key.to_owned(), make()));
            entries.len() - 1
        });
        entries.get_mut(at).map(|(_, node)| node)
    }

    /// The value as a complaint repeats it.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Bool(value) => value.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Text(text) | Value::Untyped(text) => quoted(text),
            Value::Unusable { shown, .. } => shown.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// What to write instead of a value that no key takes.
    pub(super) fn hint(&self) -> &'static str {
        match &self.value {
            Value::Unusable { hint, .. } => hint,
            _ => "",
        }
    }

    /// The same values, marked as taken over.
    pub(super) fn inherited(&self) -> Self {
        self.map(&|node| node.inherited = true)
    }

    /// The same values, all from `origin`.
    pub(super) fn moved_to(&self, origin: &Origin) -> Self {
        self.map(&|node| node.origin = origin.clone())
    }

    fn map(&self, change: &impl Fn(&mut Node)) -> Self {
        let mut node = self.clone();
        change(&mut node);
        node.value = match node.value {
            Value::Table(entries) => {
                Value::Table(entries.into_iter().map(|(key, node)| (key, node.map(change))).collect())
            }
            Value::List(items) => Value::List(items.iter().map(|node| node.map(change)).collect()),
            other => other,
        };
        node
    }
}
