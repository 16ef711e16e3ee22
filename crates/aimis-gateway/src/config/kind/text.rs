//! Texts: names and identifiers.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A checked text: bounded, never empty, without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Arc<str>);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text of up to `max` characters.
pub(in crate::config) struct Characters {
    max: usize,
    pattern: &'static str,
    allowed: fn(char) -> bool,
    words: &'static str,
}

/// Any text without control characters and without white space at its ends.
pub(in crate::config) fn text(max: usize) -> Characters {
    Characters {
        max,
        pattern: r"^\S(.*\S)?$",
        allowed: |c| !c.is_control(),
        words: "characters, none of them a control character, no blanks at the ends",
    }
}

/// A name that is also a metric label and a part of paths.
pub(in crate::config) fn label(max: usize) -> Characters {
    Characters {
        max,
        pattern: "^[a-z0-9-]+$",
        allowed: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
        words: "lower-case letters, digits or `-`",
    }
}

/// An identifier that stands in a URL path as it is.
pub(in crate::config) fn identifier(max: usize) -> Characters {
    Characters {
        max,
        pattern: "^[A-Za-z0-9._-]+$",
        allowed: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
        words: "letters, digits, `.`, `_` or `-`",
    }
}

/// A user for Basic authentication: a colon would end it (RFC 7617, section 2).
pub(in crate::config) fn user(max: usize) -> Characters {
    Characters {
        max,
        pattern: r"^[^\s:]([^:]*[^\s:])?$",
        allowed: |c| !c.is_control() && c != ':',
        words: "characters, none of them a colon or a control character, no blanks at the ends",
    }
}

impl Kind for Characters {
    type Value = Text;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Text, Refusal> {
        let text = node
            .text()
            .ok_or_else(|| Refusal::not("a text; put it in quotes", node))?;
        let length = text.chars().count();
        let bounded = (1..=self.max).contains(&length) && text.trim() == text;
        // `.` and `..` would change the path they stand in.
        if bounded && text.chars().all(self.allowed) && !matches!(text, "." | "..") {
            return Ok(Text(text.into()));
        }
        Err(Refusal::new(format!("is not 1 to {} {}", self.max, self.words)))
    }

    fn show(&self, value: &Text) -> Plain {
        Plain::from(&**value)
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": self.max, "pattern": self.pattern});
        Shape::new(schema, format!("1 to {} {}", self.max, self.words))
    }
}
