//! What is wrong with a configuration: every problem at once, each with its place.

use std::fmt;

use super::origin::Origin;

/// The configuration cannot be used. Holds every problem found, not only the first.
///
/// `Display` gives one problem a line, in the order of the sources. No text here ever holds a secret: the
/// value of a token-like key is left out, and so is the text of a source line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One complaint. `Display` reads as `gateway.toml:7: platform.deadline_ms: 5 is out of range, …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands; `None` when the complaint is about something that stands nowhere.
    pub origin: Option<Origin>,
    /// The key (`platform.deadline_ms`, `tenants[0].app_id`), or empty for a complaint about a whole file.
    pub key: String,
    /// The value as written, cut to a bearable length; `None` where there is none or it must not be shown.
    pub value: Option<String>,
    /// What is wrong, as the rest of the sentence that begins with the value, or a sentence of its own.
    pub reason: String,
    /// The reason names the key itself.
    pub(super) names_key: bool,
}

impl Problem {
    /// A complaint about the value of `key`.
    pub(super) fn about(origin: Option<Origin>, key: &str, reason: impl Into<String>) -> Self {
        Self {
            origin,
            key: shown_key(key),
            value: None,
            reason: reason.into(),
            names_key: false,
        }
    }

    /// A complaint whose reason is a whole sentence.
    pub(super) fn sentence(origin: Option<Origin>, key: &str, reason: impl Into<String>) -> Self {
        Self {
            names_key: true,
            ..Self::about(origin, key, reason)
        }
    }

    /// With the value that is complained about.
    pub(super) fn with_value(mut self, value: Option<String>) -> Self {
        self.value = value;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = self.origin.as_ref().filter(|origin| **origin != Origin::Default) {
            write!(f, "{origin}: ")?;
        }
        if !self.names_key && !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        if let Some(value) = &self.value {
            write!(f, "{value} ")?;
        }
        f.write_str(&self.reason)
    }
}

/// The longest part of a key or a value that a complaint repeats, in characters.
const SHOWN: usize = 80;

/// `text` as a complaint may repeat it: no control characters (they would forge log lines), not endless.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN).flat_map(printable).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// `text` in quotes, as a complaint may repeat it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

fn shown_key(key: &str) -> String {
    shown(key)
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}
