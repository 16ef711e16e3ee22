//! What is told of this process with its spans.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A name and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: Arc<str>,
    /// The text.
    pub value: Arc<str>,
}

/// `name=value`.
pub(in crate::config) struct AttributeKind;

/// `name=value`.
pub(in crate::config) fn attribute() -> AttributeKind {
    AttributeKind
}

impl Kind for AttributeKind {
    type Value = Attribute;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Attribute, Refusal> {
        let wrong = || Refusal::not("a name and a value, like deployment.environment.name=production", node);
        let (name, value) = node.text().and_then(|text| text.split_once('=')).ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        let good = |text: &str, most| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if !good(name, 255) || !good(value, 1024) || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Attribute {
            name: name.into(),
            value: value.into(),
        })
    }

    fn show(&self, value: &Attribute) -> Plain {
        Plain::Text(format!("{}={}", value.name, value.value))
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "string", "pattern": r"^\S{1,255}=.+$"}),
            "`\"name=value\"`",
        )
    }
}
