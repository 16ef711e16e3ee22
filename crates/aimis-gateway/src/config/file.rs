//! The file: found, bounded, decoded, and told apart as TOML or JSON.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::origin::Origin;
use super::problem::Problem;
use super::tree::{Node, Value};
use super::{read_json, read_toml};
use crate::regular_file::{self, NoFile};

/// No configuration is as large, not of ten thousand tenants; a log file given by mistake is.
const LARGEST: u64 = 16 << 20;

/// Reads the file at `path` as text.
pub(super) fn text_of(path: &Path) -> Result<String, Problem> {
    let name = path.display().to_string();
    let refuse = |reason: String| Problem::sentence(None, "", format!("{name}: {reason}"));
    let mut bytes = Vec::new();
    regular_file::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| match NoFile::of(&error) {
            Some(no) => refuse(no.to_string()),
            None => refuse(format!("cannot be read: {error}")),
        })?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse("is larger than 16MiB, so it is not a configuration".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        refuse(format!("line {line} is not UTF-8; save the file in that encoding"))
    })
}

/// Parses `text`, which came from the file `name`: JSON if the name ends so or the text begins so, else TOML.
pub(super) fn parse(name: &str, text: &str) -> Result<Node, Vec<Problem>> {
    // Some editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::of(name, text);
    let looks_like_json = text.trim_start().starts_with('{');
    let node = if looks_like_json || name.to_ascii_lowercase().ends_with(".json") {
        read_json::parse(text, &source)?
    } else {
        read_toml::parse(text, &source)?
    };
    match node.value {
        Value::Table(mut sections) => {
            sections.retain(|(key, _)| key != "$schema"); // for the editor
            Ok(Node::new(Value::Table(sections), node.origin))
        }
        _ => Err(vec![Problem::sentence(
            Some(node.origin),
            "",
            "the file is not an object of sections",
        )]),
    }
}

/// A file's name and the offsets at which its lines begin.
pub(super) struct Source {
    name: Arc<str>,
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn of(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            lines: line_starts(text),
        }
    }

    /// The line at a byte offset.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            name: Arc::clone(&self.name),
            line: self.lines.partition_point(|start| *start <= offset).max(1),
        }
    }

    /// The column at a byte offset, counted from 1 in bytes.
    pub(super) fn column(&self, offset: usize) -> usize {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        offset - self.lines.get(line - 1).copied().unwrap_or(0).min(offset) + 1
    }

    /// The offset of a line and column as serde_json counts them.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0) + column.saturating_sub(1)
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let ends = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| *byte == b'\n')
        .map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}
