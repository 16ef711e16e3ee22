//! A secret that the environment may give, and a file of the configuration may not.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::token::SecretText;
use super::{Kind, Refusal, Shape};
use crate::config::origin::Origin;
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A secret that came in the environment.
#[derive(Clone)]
pub struct HiddenText(SecretText);

impl HiddenText {
    /// The secret itself: for whoever needs it, never for a text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenText(..)")
    }
}

impl PartialEq for HiddenText {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// A secret of the environment; in a file, the key `instead` names the file that holds it.
pub(in crate::config) struct Secret {
    instead: &'static str,
}

/// A secret of the environment; in a file, the key `instead` names the file that holds it.
pub(in crate::config) fn secret_text(instead: &'static str) -> Secret {
    Secret { instead }
}

impl Kind for Secret {
    type Value = HiddenText;

    fn read(&self, node: &Node, _directory: &Path) -> Result<HiddenText, Refusal> {
        if matches!(node.origin, Origin::File { .. }) {
            return Err(Refusal::hidden(format!(
                "must not stand in this file: put it in a file of its own and name it in `{}`",
                self.instead
            )));
        }
        let text = node.text().ok_or_else(|| Refusal::hidden("is not a text"))?;
        Ok(HiddenText(SecretText::new(text)))
    }

    fn show(&self, _value: &HiddenText) -> Plain {
        Plain::Hidden
    }

    fn shape(&self) -> Shape {
        let shape = Shape::new(json!(false), "from the environment only");
        Shape { secret: true, ..shape }
    }
}
