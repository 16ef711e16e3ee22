//! Paths of files.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::origin::Origin;
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// The path of a file.
///
/// A relative one begins at the directory of the configuration file that names it, so that a directory of
/// files can be moved as a whole; one from the environment begins at the working directory. Whether the file
/// is there is the affair of whoever reads it.
pub(in crate::config) struct FilePath {
    secret: bool,
}

/// A file.
pub(in crate::config) fn path() -> FilePath {
    FilePath { secret: false }
}

/// A file with a secret. What looks like the secret itself is refused, and not shown.
pub(in crate::config) fn secret_path() -> FilePath {
    FilePath { secret: true }
}

impl Kind for FilePath {
    type Value = PathBuf;

    fn read(&self, node: &Node, directory: &Path) -> Result<PathBuf, Refusal> {
        let refuse = |reason: &str| {
            if self.secret {
                Refusal::hidden(reason)
            } else {
                Refusal::new(reason)
            }
        };
        let text = node.text().ok_or_else(|| refuse("is not the path of a file"))?;
        if text.is_empty() || text.contains(char::is_control) {
            return Err(refuse("is not the path of a file"));
        }
        if self.secret && looks_like_a_token(text) {
            return Err(refuse(
                "looks like the secret itself, not like the path of the file that holds it",
            ));
        }
        Ok(match node.origin {
            Origin::File { .. } => directory.join(text),
            _ => PathBuf::from(text),
        })
    }

    fn show(&self, value: &PathBuf) -> Plain {
        Plain::Text(value.to_string_lossy().into_owned())
    }

    fn shape(&self) -> Shape {
        Shape::new(json!({"type": "string", "minLength": 1}), "the path of a file")
    }
}

/// 32 characters, or 64 hexadecimal digits, and nothing that paths have.
pub(in crate::config) fn looks_like_a_token(text: &str) -> bool {
    let length = text.chars().count();
    let hex = length == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    hex || (length == 32 && !text.contains(['/', '\\', '.']))
}
