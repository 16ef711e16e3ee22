//! `config/gateway.full.toml`: every key with its meaning, its bounds and its default.

use super::Config;
use super::plain::Plain;
use super::section::{Field, Form, Presence, Section};

/// The width of comments.
const WIDTH: usize = 100;

const HEAD: &str = "\
#:schema gateway.schema.json
# Every key of the configuration, with its unit, its bounds and its default. Generated from the tables in
# crates/aimis-gateway/src/config/tables, and compared with them by a test; docs/configuration.md tells the rest.
# To begin with, config/gateway.toml is shorter. A key that is commented out has no default: the value is an example.
";

/// The text of `config/gateway.full.toml`. As a configuration it is all defaults, and one example of a tenant.
pub fn full_toml() -> String {
    let mut out = HEAD.to_owned();
    for field in Config::fields() {
        out.push('\n');
        match &field.form {
            Form::Value { .. } => value(&mut out, &field, Within::Table),
            Form::Table { fields, optional, .. } => {
                comment(&mut out, &field.about);
                let (mark, within) = section(*optional);
                out.push_str(&format!("{mark}[{}]\n", field.key));
                fields.iter().for_each(|field| value(&mut out, field, within));
                fields.iter().for_each(|inner| offer(&mut out, field.key, inner));
            }
            Form::Tables {
                about,
                fields,
                max,
                needed,
            } => {
                comment(&mut out, &format!("{about} At most {max}."));
                let (mark, within) = if *needed {
                    ("", Within::Example)
                } else {
                    ("# ", Within::Offer)
                };
                out.push_str(&format!("{mark}[[{}]]\n", field.key));
                fields.iter().for_each(|field| value(&mut out, field, within));
                fields.iter().for_each(|inner| heir(&mut out, field.key, inner));
                fields.iter().for_each(|inner| offer(&mut out, field.key, inner));
            }
        }
    }
    out
}

/// Whether optional keys are live.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// In a section they are commented out.
    Table,
    /// An entry that is an example as a whole shows them.
    Example,
    /// What may be left out as a whole is told in full, and all of it commented out.
    Offer,
    /// All is commented out, and told elsewhere.
    Comment,
}

fn value(out: &mut String, field: &Field, within: Within) {
    let Form::Value { shape, presence } = &field.form else {
        return;
    };
    if shape.secret {
        return; // a file must not have it
    }
    if within != Within::Comment {
        comment(out, &field.about);
        comment(out, &format!("Allowed: {}.", shape.allowed));
    }
    let (live, value): (bool, &Plain) = match presence {
        Presence::Default(value) | Presence::Required(value) => {
            (matches!(within, Within::Table | Within::Example), value)
        }
        Presence::Optional(value) => (within == Within::Example, value),
    };
    let mark = if live { "" } else { "# " };
    out.push_str(&format!("{mark}{} = {value}\n", field.key));
}

/// A table that takes the rest from the global one.
fn heir(out: &mut String, list: &str, field: &Field) {
    let Form::Table {
        fields, inherits: true, ..
    } = &field.form
    else {
        return;
    };
    out.push('\n');
    comment(
        out,
        &format!("{} What is not said here is taken from [{}].", field.about, field.key),
    );
    out.push_str(&format!("# [{list}.{}]\n", field.key));
    let own: Vec<&str> = own_keys(field).iter().map(|field| field.key).collect();
    for field in fields {
        let within = if own.contains(&field.key) {
            Within::Offer
        } else {
            Within::Comment
        };
        value(out, field, within);
    }
}

/// The keys of a table that takes from the global one of its name, without those that the global one has.
pub(super) fn own_keys(heir: &Field) -> Vec<&Field> {
    let Form::Table {
        fields, inherits: true, ..
    } = &heir.form
    else {
        return Vec::new();
    };
    let global = Config::fields().into_iter().find(|field| field.key == heir.key);
    let common: Vec<&str> = match global.map(|field| field.form) {
        Some(Form::Table { fields, .. }) => fields.iter().map(|field| field.key).collect(),
        _ => Vec::new(),
    };
    fields.iter().filter(|field| !common.contains(&field.key)).collect()
}

/// A table inside a section.
fn offer(out: &mut String, outer: &str, field: &Field) {
    let Form::Table {
        fields,
        inherits: false,
        optional,
    } = &field.form
    else {
        return;
    };
    out.push('\n');
    comment(out, &field.about);
    let (mark, within) = section(*optional);
    out.push_str(&format!("{mark}[{outer}.{}]\n", field.key));
    fields.iter().for_each(|field| value(out, field, within));
}

/// How a section's head and its keys stand: one that may be left out as a whole is commented out.
fn section(optional: bool) -> (&'static str, Within) {
    if optional {
        ("# ", Within::Offer)
    } else {
        ("", Within::Table)
    }
}

fn comment(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
