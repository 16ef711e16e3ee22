//! `docs/configuration.md`: how the configuration works, and every key in tables.

use super::Config;
use super::full::own_keys;
use super::section::{Field, Form, Presence, Section};

/// The part that is prose.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The text of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    for field in Config::fields() {
        match &field.form {
            Form::Value { .. } => {}
            Form::Table { fields, .. } => {
                out.push_str(&format!("\n### `[{}]`\n\n{}\n", field.key, field.about));
                keys(&mut out, fields);
                parts(&mut out, field.key, fields);
            }
            Form::Tables { about, fields, max, .. } => {
                out.push_str(&format!("\n### `[[{}]]`\n\n{about} At most {max}.\n", field.key));
                keys(&mut out, fields);
                heirs(&mut out, field.key, fields);
                parts(&mut out, field.key, fields);
            }
        }
    }
    out
}

fn keys<'a>(out: &mut String, fields: impl IntoIterator<Item = &'a Field>) {
    out.push_str("\n| key | default | allowed | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let Form::Value { shape, presence } = &field.form else {
            continue;
        };
        let default = match presence {
            Presence::Default(value) => format!("`{value}`"),
            Presence::Optional(_) => "not set".to_owned(),
            Presence::Required(_) => "none, required".to_owned(),
        };
        let row = [
            format!("`{}`", field.key),
            default,
            shape.allowed.clone(),
            field.about.clone(),
        ];
        out.push_str(&format!(
            "| {} |\n",
            row.map(|cell| cell.replace('|', "\\|")).join(" | ")
        ));
    }
}

/// Tables inside a section.
fn parts(out: &mut String, section: &str, fields: &[Field]) {
    for field in fields {
        if let Form::Table {
            fields,
            inherits: false,
            optional,
        } = &field.form
        {
            let leave = if *optional { " May be left out." } else { "" };
            out.push_str(&format!(
                "\n### `[{section}.{}]`\n\n{}{leave}\n",
                field.key, field.about
            ));
            keys(out, fields);
        }
    }
}

fn heirs(out: &mut String, list: &str, fields: &[Field]) {
    let tables: Vec<_> = fields
        .iter()
        .filter(|field| matches!(field.form, Form::Table { inherits: true, .. }))
        .map(|field| format!("`[{list}.{}]`", field.key))
        .collect();
    if !tables.is_empty() {
        let tables = tables.join(", ");
        out.push_str(&format!(
            "\nEach entry may have tables of its own, {tables}, with the keys of the global sections.\n"
        ));
    }
    for field in fields {
        let own = own_keys(field);
        if !own.is_empty() {
            out.push_str(&format!(
                "\n### `[{list}.{}]`\n\nKeys that only an entry has:\n",
                field.key
            ));
            keys(out, own);
        }
    }
}
