//! Permissions of a file, in the octal digits of `chmod`.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// Who may do what with a file: at most 0777.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// The bits, as `chmod(2)` takes them.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Three octal digits, with or without a 0 before them.
pub(in crate::config) struct Mode;

/// Three octal digits, with or without a 0 before them.
pub(in crate::config) fn mode() -> Mode {
    Mode
}

impl Kind for Mode {
    type Value = FileMode;

    fn read(&self, node: &Node, _directory: &Path) -> Result<FileMode, Refusal> {
        // A number would be read as decimal by TOML and JSON, so that 660 became 01224.
        let wrong = || Refusal::not("a mode in quotes, like \"0660\"", node);
        let text = node.text().ok_or_else(wrong)?;
        let digits = match text.len() {
            4 => text.strip_prefix('0').ok_or_else(wrong)?,
            _ => text,
        };
        let octal = digits.len() == 3 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u32::from_str_radix(digits, 8).ok().filter(|_| octal);
        bits.map(FileMode).ok_or_else(wrong)
    }

    fn show(&self, value: &FileMode) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^0?[0-7]{3}$"});
        Shape::new(schema, "`\"0660\"`, `\"0666\"`: octal digits as of `chmod`, in quotes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(value: Value) -> Option<FileMode> {
        mode().read(&Node::new(value, Origin::Default), Path::new("")).ok()
    }

    #[test]
    fn a_mode_is_octal_text() {
        for (text, bits) in [("0660", 0o660), ("666", 0o666), ("0000", 0), ("777", 0o777)] {
            let read = read(Value::Text(text.to_owned())).unwrap();
            assert_eq!((read.bits(), read.to_string()), (bits, format!("{bits:04o}")));
        }
        for text in [
            "",
            "66",
            "+66",
            "0o660",
            "1660",
            "00660",
            "0680",
            "rw-rw----",
            "０６６０",
        ] {
            assert_eq!(read(Value::Text(text.to_owned())), None, "{text}");
        }
        assert_eq!(read(Value::Integer(660)), None);
    }
}
