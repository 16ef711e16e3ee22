//! What can stand behind a key: a value with a default, an optional or required one, a table, an
//! optional one, a list of tables.

use std::marker::PhantomData;

use super::kind::Kind;
use super::kind::path::looks_like_a_token;
use super::origin::Origin;
use super::plain::Plain;
use super::problem::Problem;
use super::section::{Content, Entry, Form, Origins, Presence, Reader, Section};
use super::tree::{Node, Value};

/// A value that is `default` where nothing is said.
pub(super) struct Defaulted<K> {
    pub(super) kind: K,
    pub(super) default: Plain,
}

impl<K: Kind> Entry for Defaulted<K> {
    type Value = K::Value;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, _table: &Origin) -> Option<K::Value> {
        match node {
            Some(node) => value(&self.kind, reader, at, node),
            None => {
                let node = Node::from(&self.default);
                Some(
                    self.kind
                        .read(&node, &reader.directory)
                        .ok()
                        .expect("tests read every default"),
                )
            }
        }
    }

    fn show(&self, value: &K::Value, at: &str, origins: &Origins) -> Content {
        shown(Some(self.kind.show(value)), at, origins)
    }

    fn form(&self) -> Form {
        Form::Value {
            shape: self.kind.shape(),
            presence: Presence::Default(self.default.clone()),
        }
    }
}

/// A value that may be left out.
pub(super) struct Optional<K> {
    pub(super) kind: K,
    pub(super) example: Plain,
}

impl<K: Kind> Entry for Optional<K> {
    type Value = Option<K::Value>;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, _table: &Origin) -> Option<Option<K::Value>> {
        match node {
            Some(node) => value(&self.kind, reader, at, node).map(Some),
            None => Some(None),
        }
    }

    fn show(&self, value: &Option<K::Value>, at: &str, origins: &Origins) -> Content {
        shown(value.as_ref().map(|value| self.kind.show(value)), at, origins)
    }

    fn form(&self) -> Form {
        Form::Value {
            shape: self.kind.shape(),
            presence: Presence::Optional(self.example.clone()),
        }
    }
}

/// A value that must be there.
pub(super) struct Required<K> {
    pub(super) kind: K,
    pub(super) example: Plain,
}

impl<K: Kind> Entry for Required<K> {
    type Value = K::Value;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, table: &Origin) -> Option<K::Value> {
        if let Some(node) = node {
            return value(&self.kind, reader, at, node);
        }
        reader
            .problems
            .push(Problem::about(Some(table.clone()), at, "is missing"));
        None
    }

    fn show(&self, value: &K::Value, at: &str, origins: &Origins) -> Content {
        shown(Some(self.kind.show(value)), at, origins)
    }

    fn form(&self) -> Form {
        Form::Value {
            shape: self.kind.shape(),
            presence: Presence::Required(self.example.clone()),
        }
    }
}

/// A section inside a section.
pub(super) struct Table<S> {
    inherits: bool,
    section: PhantomData<S>,
}

/// A section of its own.
pub(super) fn table<S: Section>() -> Table<S> {
    Table {
        inherits: false,
        section: PhantomData,
    }
}

/// A section that takes what it does not say from the global section of the same name.
pub(super) fn overrides<S: Section>() -> Table<S> {
    Table {
        inherits: true,
        section: PhantomData,
    }
}

impl<S: Section> Entry for Table<S> {
    type Value = S;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, table: &Origin) -> Option<S> {
        let Some(node) = node else {
            return S::read(reader, at, &Node::new(Value::Table(Vec::new()), table.clone()));
        };
        if node.table().is_none() {
            complain(reader, at, node, "is not a table of keys");
            return None;
        }
        S::read(reader, at, node)
    }

    fn show(&self, value: &S, at: &str, origins: &Origins) -> Content {
        Content::Table(value.show(at, origins))
    }

    fn form(&self) -> Form {
        Form::Table {
            fields: S::fields(),
            inherits: self.inherits,
            optional: false,
        }
    }
}

/// A section that may be left out as a whole.
pub(super) struct OptionalTable<S>(PhantomData<S>);

/// A section that is only there if the file has its table, or a variable sets one of its keys.
pub(super) fn optional_table<S: Section>() -> OptionalTable<S> {
    OptionalTable(PhantomData)
}

impl<S: Section> Entry for OptionalTable<S> {
    type Value = Option<S>;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, table: &Origin) -> Option<Option<S>> {
        match node {
            Some(_) => self::table::<S>().read(reader, at, node, table).map(Some),
            None => Some(None),
        }
    }

    fn show(&self, value: &Option<S>, at: &str, origins: &Origins) -> Content {
        match value {
            Some(section) => Content::Table(section.show(at, origins)),
            None => shown(None, at, origins),
        }
    }

    fn form(&self) -> Form {
        Form::Table {
            fields: S::fields(),
            inherits: false,
            optional: true,
        }
    }
}

/// A list of sections.
pub(super) struct Tables<S> {
    max: usize,
    needed: bool,
    section: PhantomData<S>,
}

/// One section of a kind, or up to `max` of them: `[[name]]` in TOML.
pub(super) fn tables<S: Section>(max: usize) -> Tables<S> {
    Tables {
        max,
        needed: true,
        section: PhantomData,
    }
}

/// No section of a kind, or up to `max` of them.
pub(super) fn any_tables<S: Section>(max: usize) -> Tables<S> {
    Tables {
        max,
        needed: false,
        section: PhantomData,
    }
}

impl<S: Section> Entry for Tables<S> {
    type Value = Vec<S>;

    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, _table: &Origin) -> Option<Vec<S>> {
        let Some(node) = node else {
            return Some(Vec::new());
        };
        let Value::List(items) = &node.value else {
            complain(
                reader,
                at,
                node,
                &format!("is not a list of tables; head each with [[{at}]]"),
            );
            return None;
        };
        if items.len() > self.max {
            let reason = format!("has {} entries, allowed are at most {}", items.len(), self.max);
            reader
                .problems
                .push(Problem::about(Some(node.origin.clone()), at, reason));
        }
        let read = items.iter().take(self.max).enumerate().map(|(index, item)| {
            let at = format!("{at}[{index}]");
            if item.table().is_none() {
                complain(reader, &at, item, "is not a table of keys");
                return None;
            }
            S::read(reader, &at, item)
        });
        // Every entry is read before the first faulty one decides: all complaints at once.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn show(&self, value: &Vec<S>, at: &str, origins: &Origins) -> Content {
        let tables = value
            .iter()
            .enumerate()
            .map(|(index, section)| section.show(&format!("{at}[{index}]"), origins));
        Content::Tables(tables.collect())
    }

    fn form(&self) -> Form {
        Form::Tables {
            about: S::about(),
            fields: S::fields(),
            max: self.max,
            needed: self.needed,
        }
    }
}

/// Reads a value that is there, and notes its origin or the complaint.
fn value<K: Kind>(kind: &K, reader: &mut Reader, at: &str, node: &Node) -> Option<K::Value> {
    let refusal = match kind.read(node, &reader.directory) {
        Ok(value) => {
            reader.origins.insert(at.to_owned(), node.origin.clone());
            return Some(value);
        }
        Err(refusal) => refusal,
    };
    if !node.inherited {
        let value = refusal.value.unwrap_or_else(|| node.shown());
        let hidden = refusal.hidden || kind.shape().secret || may_be_secret(&value);
        let value = (!hidden).then_some(value);
        let origin = refusal.origin.unwrap_or_else(|| node.origin.clone());
        let reason = if hidden {
            format!("the value, not shown here, {}", refusal.reason)
        } else {
            refusal.reason
        };
        reader
            .problems
            .push(Problem::about(Some(origin), at, reason).with_value(value));
    }
    None
}

/// A token that strayed into another key, or an address with a password in it.
fn may_be_secret(shown: &str) -> bool {
    shown.contains('@') || looks_like_a_token(shown.trim_matches('"'))
}

fn complain(reader: &mut Reader, at: &str, node: &Node, reason: &str) {
    if !node.inherited {
        // What stands in place of a table is of no known key, so it may be a secret: it is not shown.
        reader
            .problems
            .push(Problem::about(Some(node.origin.clone()), at, reason));
    }
}

fn shown(value: Option<Plain>, at: &str, origins: &Origins) -> Content {
    let origin = origins.get(at).cloned().unwrap_or(Origin::Default);
    Content::Value { value, origin }
}

impl From<&Plain> for Node {
    fn from(plain: &Plain) -> Self {
        let value = match plain {
            Plain::Bool(value) => Value::Bool(*value),
            Plain::Integer(number) => Value::Integer(*number),
            Plain::Thousandths(_) => Value::Unusable {
                shown: plain.to_string(),
                hint: "",
            },
            Plain::Text(text) => Value::Text(text.clone()),
            Plain::List(items) => Value::List(items.iter().map(Node::from).collect()),
            Plain::Hidden => Value::Text(String::new()),
        };
        Node::new(value, Origin::Default)
    }
}
