//! `config print`: every effective value with its origin, secrets hidden.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::load::Loaded;
use super::section::{Content, Setting, child};

/// The form of [`Loaded::print`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A TOML file that gives the same configuration again (a token from the environment apart), the origin of
    /// each value in a comment behind it.
    Toml,
    /// For each key an object of `value` and `origin`.
    Json,
}

impl Loaded {
    /// The effective configuration with the origin of each value. It ends with a line end.
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Toml => {
                let mut out = String::new();
                table(&mut out, "", self.settings());
                out
            }
            Format::Json => format!("{:#}\n", json_of(self.settings())),
        }
    }
}

fn table(out: &mut String, at: &str, settings: &[Setting]) {
    // In TOML the keys of a table stand before the tables inside it.
    for Setting { key, content } in settings {
        let Content::Value { value, origin } = content else {
            continue;
        };
        let line = match value {
            Some(super::Plain::Hidden) => format!("# {key} = \"***\""),
            Some(value) => format!("{key} = {value}"),
            None => {
                push(out, format_args!("# {key} is not set"));
                continue;
            }
        };
        push(out, format_args!("{line:<44} # {origin}"));
    }
    for Setting { key, content } in settings {
        let full = child(at, key);
        match content {
            Content::Value { .. } => {}
            Content::Table(settings) => {
                push(out, format_args!("{}[{full}]", gap(out)));
                table(out, &full, settings);
            }
            Content::Tables(entries) => {
                for settings in entries {
                    push(out, format_args!("{}[[{full}]]", gap(out)));
                    table(out, &full, settings);
                }
            }
        }
    }
}

fn gap(out: &str) -> &'static str {
    if out.is_empty() { "" } else { "\n" }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a String cannot fail");
}

fn json_of(settings: &[Setting]) -> Json {
    let entry = |Setting { key, content }: &Setting| {
        let json = match content {
            Content::Value { value, origin } => {
                json!({"value": value.as_ref().map(super::Plain::to_json), "origin": origin.to_string()})
            }
            Content::Table(settings) => json_of(settings),
            Content::Tables(entries) => entries.iter().map(|settings| json_of(settings)).collect(),
        };
        ((*key).to_owned(), json)
    };
    Json::Object(settings.iter().map(entry).collect::<Map<_, _>>())
}
