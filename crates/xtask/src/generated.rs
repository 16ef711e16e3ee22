//! `docs`: files that the program writes about itself, and whether they still say what it does.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::derived;
use crate::repository::{cargo, read, root};
use crate::steps::tell;

/// A file of the repository, and the arguments of `aimis-gateway` that print it.
const FILES: &[(&str, &[&str])] = &[
    ("config/codes.toml", &["gen", "codes"]),
    ("config/gateway.full.toml", &["config", "full"]),
    ("config/gateway.schema.json", &["config", "schema"]),
    ("config/openapi.json", &["gen", "openapi"]),
    ("docs/configuration.md", &["gen", "configuration-reference"]),
];

/// Writes those that differ.
pub(crate) fn write() -> Result<()> {
    for (path, arguments) in FILES {
        replace(path, &print(arguments)?)?;
    }
    // These repeat some of the above.
    for (path, content) in derived::FILES {
        replace(path, &content()?)?;
    }
    Ok(())
}

fn replace(path: &str, new: &str) -> Result<()> {
    if read(path).is_ok_and(|old| old == new) {
        tell(&format!("unchanged  {path}"));
        return Ok(());
    }
    fs::write(root().join(path), new).with_context(|| format!("cannot write {path}"))?;
    tell(&format!("written    {path}"));
    Ok(())
}

/// Compares them.
///
/// # Errors
/// If one differs; the text has the first line that does.
pub(crate) fn check() -> Result<()> {
    let mut stale = Vec::new();
    let mut compare = |path: &str, new: &str| {
        let old = read(path).unwrap_or_default();
        if let Some(difference) = difference(&old, new) {
            stale.push(format!("{path}, {difference}"));
        }
    };
    for (path, arguments) in FILES {
        compare(path, &print(arguments)?);
    }
    for (path, content) in derived::FILES {
        compare(path, &content()?);
    }
    if !stale.is_empty() {
        bail!("out of date, run `cargo xtask docs`:\n{}", stale.join("\n"));
    }
    tell(&format!(
        "{} files are what the program says",
        FILES.len() + derived::FILES.len()
    ));
    Ok(())
}

fn print(arguments: &[&str]) -> Result<String> {
    cargo(&[
        "run",
        "--quiet",
        "--package",
        "aimis-gateway",
        "--bin",
        "aimis-gateway",
        "--",
    ])
    .args(arguments)
    .output()
}

/// The first line that is not the same, or `None`.
fn difference(old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    let same = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| {
        text.lines()
            .nth(same)
            .map_or("(end of file)".to_owned(), |line| format!("{line:?}"))
    };
    Some(format!("line {}: {} should be {}", same + 1, line(old), line(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n").unwrap(), "line 2: \"b\" should be \"c\"");
        assert_eq!(
            difference("a\n", "a\nc\n").unwrap(),
            "line 2: (end of file) should be \"c\""
        );
        assert_eq!(difference("", "a\n").unwrap(), "line 1: (end of file) should be \"a\"");
    }
}
