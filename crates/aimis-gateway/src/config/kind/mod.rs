//! Kinds of values: what the file may hold behind a key, the type it becomes, and how that is described.

pub(super) mod address;
pub(super) mod alias;
pub(super) mod attribute;
pub(super) mod choice;
pub(super) mod database;
pub(super) mod digest;
pub(super) mod end;
pub(super) mod header;
pub(super) mod link_host;
pub(super) mod mode;
pub(super) mod network;
pub(super) mod number;
pub(super) mod origin;
pub(super) mod path;
pub(super) mod percent;
pub(super) mod proxy;
pub(super) mod redis_url;
pub(super) mod secret;
pub(super) mod syslog;
pub(super) mod target;
pub(super) mod text;
pub(super) mod token;
pub(super) mod url;

use std::path::Path;

use serde_json::{Value as Json, json};

use super::entry::{Defaulted, Optional, Required};
use super::origin::Origin;
use super::plain::Plain;
use super::tree::{Node, Value};

/// A kind of value.
pub(super) trait Kind: Sized {
    /// The type of the field; a value of it is valid.
    type Value;

    /// Reads a value; relative paths of a file begin at `directory`.
    fn read(&self, node: &Node, directory: &Path) -> Result<Self::Value, Refusal>;

    /// The value as the file would have it.
    fn show(&self, value: &Self::Value) -> Plain;

    /// For schema and documents.
    fn shape(&self) -> Shape;

    /// Where nothing is said, it is `default`.
    fn or(self, default: impl Into<Plain>) -> Defaulted<Self> {
        Defaulted {
            kind: self,
            default: default.into(),
        }
    }

    /// May be left out.
    fn optional(self, example: impl Into<Plain>) -> Optional<Self> {
        Optional {
            kind: self,
            example: example.into(),
        }
    }

    /// Must be there.
    fn required(self, example: impl Into<Plain>) -> Required<Self> {
        Required {
            kind: self,
            example: example.into(),
        }
    }
}

/// A kind of value, described.
pub(super) struct Shape {
    /// Type and bounds in the words of JSON Schema.
    pub(super) schema: Json,
    /// What is allowed, in the words of the documents.
    pub(super) allowed: String,
    /// Never shown, and not taken from a file.
    pub(super) secret: bool,
    /// Also a list of such values.
    pub(super) list: bool,
}

impl Shape {
    pub(super) fn new(schema: Json, allowed: impl Into<String>) -> Self {
        Self {
            schema,
            allowed: allowed.into(),
            secret: false,
            list: false,
        }
    }
}

/// Why a value is not of its kind. The reason continues the sentence that the value begins.
pub(super) struct Refusal {
    pub(super) reason: String,
    /// The part that is wrong, where it is not the whole value.
    pub(super) value: Option<String>,
    pub(super) origin: Option<Origin>,
    /// The value may hold a secret and is not shown.
    pub(super) hidden: bool,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            value: None,
            origin: None,
            hidden: false,
        }
    }

    /// The value may hold a secret.
    pub(super) fn hidden(reason: impl Into<String>) -> Self {
        Self {
            hidden: true,
            ..Self::new(reason)
        }
    }

    /// "is not …", with what to write instead if that is known.
    pub(super) fn not(what: &str, node: &Node) -> Self {
        Self::new(format!("is not {what}{}", node.hint()))
    }
}

/// `true` or `false`.
pub(super) struct Switch;

/// `true` or `false`.
pub(super) fn switch() -> Switch {
    Switch
}

impl Kind for Switch {
    type Value = bool;

    fn read(&self, node: &Node, _directory: &Path) -> Result<bool, Refusal> {
        node.bool().ok_or_else(|| Refusal::not("true or false", node))
    }

    fn show(&self, value: &bool) -> Plain {
        Plain::Bool(*value)
    }

    fn shape(&self) -> Shape {
        Shape::new(json!({"type": "boolean"}), "`true`, `false`")
    }
}

/// One value of a kind, or a list of them.
pub(super) struct OneOrMore<K>(K);

/// One value of `kind`, or a list with at least one.
pub(super) fn one_or_more<K: Kind>(kind: K) -> OneOrMore<K> {
    OneOrMore(kind)
}

impl<K: Kind> Kind for OneOrMore<K> {
    type Value = Vec<K::Value>;

    fn read(&self, node: &Node, directory: &Path) -> Result<Vec<K::Value>, Refusal> {
        let items = match &node.value {
            Value::List(items) => items.clone(),
            Value::Untyped(text) => {
                let part = |text: &str| Node::new(Value::Untyped(text.trim().to_owned()), node.origin.clone());
                text.split(',').map(part).collect()
            }
            _ => vec![node.clone()],
        };
        if items.is_empty() {
            return Err(Refusal {
                value: Some("an empty list".into()),
                ..Refusal::new("is not enough, one at least is needed")
            });
        }
        let read = |item: &Node| {
            self.0.read(item, directory).map_err(|refusal| Refusal {
                value: refusal.value.or_else(|| Some(item.shown())),
                origin: refusal.origin.or_else(|| Some(item.origin.clone())),
                ..refusal
            })
        };
        items.iter().map(read).collect()
    }

    fn show(&self, value: &Vec<K::Value>) -> Plain {
        match value.as_slice() {
            [one] => self.0.show(one),
            several => Plain::List(several.iter().map(|item| self.0.show(item)).collect()),
        }
    }

    fn shape(&self) -> Shape {
        let Shape {
            schema,
            allowed,
            secret,
            ..
        } = self.0.shape();
        let schema = json!({"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]});
        Shape {
            schema,
            allowed: format!("{allowed}; one, or a list of them"),
            secret,
            list: true,
        }
    }
}
