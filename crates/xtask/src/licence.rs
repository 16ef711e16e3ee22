//! Licence expressions (SPDX): whether what a crate offers is on the list.

use anyhow::{Result, bail};

/// Whether one choice that `expression` offers consists of licences in `allowed` alone.
///
/// An exception (`WITH`) makes another licence, to be allowed under its whole name. `/` is an old way to write `OR`.
///
/// # Errors
/// If it is no expression.
pub(crate) fn is_allowed(expression: &str, allowed: &[&str]) -> Result<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any(&mut words, allowed)?;
    match words.next() {
        None => Ok(verdict),
        Some(word) => bail!("{expression:?} is no licence expression: {word} is too much"),
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool> {
    let mut verdict = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all(words, allowed)?;
    }
    Ok(verdict)
}

fn all(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Ok(verdict)
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> Result<bool> {
    match words.next() {
        Some("(") => {
            let verdict = any(words, allowed)?;
            if words.next() != Some(")") {
                bail!("a licence expression lacks a closing bracket");
            }
            Ok(verdict)
        }
        None | Some(")" | "AND" | "OR" | "WITH") => bail!("a licence expression lacks a name"),
        Some(name) => match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
            Some(exception) => Ok(allowed.contains(&format!("{name} WITH {exception}").as_str())),
            None => Ok(allowed.contains(&name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(expression: &str) -> bool {
        is_allowed(expression, &["MIT", "ISC", "Apache-2.0"]).unwrap()
    }

    #[test]
    fn one_allowed_choice_is_enough() {
        assert!(allowed("MIT"));
        assert!(allowed("GPL-3.0-only OR MIT"));
        assert!(allowed("Unlicense/MIT"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"));
        assert!(!allowed("GPL-3.0-only"));
        assert!(!allowed("Apache-2.0 WITH LLVM-exception"));
    }

    #[test]
    fn everything_that_applies_together_must_be_allowed() {
        assert!(allowed("ISC AND (Apache-2.0 OR ISC) AND (Apache-2.0 OR ISC OR MIT-0)"));
        assert!(!allowed("MIT AND OpenSSL"));
        assert!(!allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        // AND binds tighter.
        assert!(allowed("MIT OR OpenSSL AND GPL-3.0-only"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND"] {
            assert!(is_allowed(text, &["MIT"]).is_err(), "{text:?}");
        }
    }
}
