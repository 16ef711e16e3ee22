//! One table for all that is to be said about a section of the configuration.
//!
//! From one `section!` follow the struct, its reading with defaults and complaints, the known keys, the JSON
//! Schema, `config/gateway.full.toml`, `docs/configuration.md` and `config print`. They cannot drift apart,
//! and a further key is one further entry. An entry is the field as the code has it, then how the file has it:
//!
//! ```text
//! /// From the first byte sent to the last header received.        the description everywhere
//! deadline as "deadline_ms": Duration = millis(100, 120_000).or(10_000);
//! ```
//!
//! The expression is an [`Entry`]: a kind of value (`super::kind`) that is told what its absence means, or a
//! table of its own (`super::entry`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::kind::Shape;
use super::origin::Origin;
use super::plain::Plain;
use super::problem::{Problem, shown};
use super::suggest::nearest;
use super::tree::Node;

/// A struct that mirrors one table of the file.
pub(super) trait Section: Sized {
    /// What the section is about.
    fn about() -> String;
    /// Its keys in the order of the struct.
    fn fields() -> Vec<Field>;
    /// Reads the table `node`; `None` once any part of it was complained about.
    fn read(reader: &mut Reader, at: &str, node: &Node) -> Option<Self>;
    /// The effective values.
    fn show(&self, at: &str, origins: &Origins) -> Vec<Setting>;
}

/// What stands behind one key: reads it, shows it, describes it.
pub(super) trait Entry {
    /// The type of the field.
    type Value;
    /// Reads the value of the key `at`, which is not there if `node` is `None`.
    fn read(&self, reader: &mut Reader, at: &str, node: Option<&Node>, table: &Origin) -> Option<Self::Value>;
    /// The effective value.
    fn show(&self, value: &Self::Value, at: &str, origins: &Origins) -> Content;
    /// For schema and documents.
    fn form(&self) -> Form;
}

/// A key, described.
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) about: String,
    pub(super) form: Form,
}

/// What stands behind a key, described.
pub(super) enum Form {
    /// A value.
    Value { shape: Shape, presence: Presence },
    /// A table; one that `inherits` takes what it does not say from the global table of the same name, one that
    /// is `optional` may be missing as a whole.
    Table {
        fields: Vec<Field>,
        inherits: bool,
        optional: bool,
    },
    /// A list of tables, at most `max`.
    Tables {
        about: String,
        fields: Vec<Field>,
        max: usize,
        /// One at least; otherwise an example of it is commented out.
        needed: bool,
    },
}

/// What the absence of a key means.
pub(super) enum Presence {
    /// This value.
    Default(Plain),
    /// Nothing; the value is an example.
    Optional(Plain),
    /// An error; the value is an example.
    Required(Plain),
}

/// The origin of each key that was set.
pub(super) type Origins = BTreeMap<String, Origin>;

/// One key with its effective content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key as the file has it, without the path to it.
    pub key: &'static str,
    /// What it is set to.
    pub content: Content,
}

/// The effective content of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value and where it comes from; `None` for an optional key that is not set.
    Value {
        /// The value in the form of the file, secrets hidden.
        value: Option<Plain>,
        /// Its source.
        origin: Origin,
    },
    /// A table.
    Table(Vec<Setting>),
    /// A list of tables.
    Tables(Vec<Vec<Setting>>),
}

/// What reading collects on its way.
pub(super) struct Reader {
    /// Relative paths of the file begin here.
    pub(super) directory: PathBuf,
    /// All complaints so far.
    pub(super) problems: Vec<Problem>,
    /// The origin of each key that was set.
    pub(super) origins: Origins,
    /// Every key there is (`platform.base_url`), for the suggestion of a key that strayed into another section.
    pub(super) known: Vec<String>,
}

impl Reader {
    /// Complains about every key of the table `node` that is not one of `keys`.
    pub(super) fn refuse_unknown(&mut self, at: &str, node: &Node, keys: &[&'static str]) {
        for (key, entry) in node.table().unwrap_or_default() {
            if entry.inherited || keys.contains(&key.as_str()) {
                continue;
            }
            let full = child(at, key);
            let what = if at.is_empty() { "section" } else { "key" };
            let sentence = format!("unknown {what} `{}`{}", shown(&full), self.suggestion(at, key, keys));
            self.problems
                .push(Problem::sentence(Some(entry.origin.clone()), &full, sentence));
        }
    }

    fn suggestion(&self, at: &str, key: &str, keys: &[&'static str]) -> String {
        if let Some(near) = nearest(key, keys.iter().copied()) {
            return format!(", did you mean `{}`?", child(at, near));
        }
        let elsewhere = self.known.iter().find(|known| known.rsplit('.').next() == Some(key));
        match elsewhere {
            Some(known) => format!(", did you mean `{known}`?"),
            None => format!("; known here: {}", keys.join(", ")),
        }
    }
}

/// The path of `key` inside the table `at`.
pub(super) fn child(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

/// Ties an entry to the type of its field, so that entries need not repeat it.
pub(super) fn of<T, E: Entry<Value = T>>(entry: E) -> E {
    entry
}

/// The lines of a doc comment as one text.
pub(super) fn joined(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

/// Declares a [`Section`]; see the module's text.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $key:literal)? : $Type:ty = $entry:expr;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $Name {
            $(
                $(#[doc = $doc])+
                pub $field: $Type,
            )+
        }

        impl $crate::config::section::Section for $Name {
            fn about() -> String {
                $crate::config::section::joined(&[$($about),+])
            }

            fn fields() -> Vec<$crate::config::section::Field> {
                use $crate::config::section::{Entry, Field, joined, of};
                vec![$(Field {
                    key: section!(@key $field $($key)?),
                    about: joined(&[$($doc),+]),
                    form: Entry::form(&of::<$Type, _>($entry)),
                }),+]
            }

            fn read(
                reader: &mut $crate::config::section::Reader,
                at: &str,
                node: &$crate::config::tree::Node,
            ) -> Option<Self> {
                use $crate::config::section::{Entry, child, of};
                reader.refuse_unknown(at, node, &[$(section!(@key $field $($key)?)),+]);
                $(
                    let key = section!(@key $field $($key)?);
                    let $field = Entry::read(&of::<$Type, _>($entry), reader, &child(at, key), node.get(key), &node.origin);
                )+
                Some(Self { $($field: $field?),+ })
            }

            fn show(
                &self,
                at: &str,
                origins: &$crate::config::section::Origins,
            ) -> Vec<$crate::config::section::Setting> {
                use $crate::config::section::{Entry, Setting, child, of};
                vec![$({
                    let key = section!(@key $field $($key)?);
                    Setting { key, content: Entry::show(&of::<$Type, _>($entry), &self.$field, &child(at, key), origins) }
                }),+]
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
}
pub(super) use section;
