//! TOML to a tree with places.
//!
//! The parser's own error texts quote the source line, and that line may hold a token. Only its short
//! message is used, which is one of a fixed set, and the position.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::file::Source;
use super::problem::Problem;
use super::tree::{Node, Value};

/// Parses `text`; all syntax errors at once.
pub(super) fn parse(text: &str, source: &Source) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node::new(entries(table.get_ref(), source), source.origin(0)));
    }
    let complaint = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let sentence = format!("column {}: not valid TOML: {}", source.column(at), error.message());
        Problem::sentence(Some(source.origin(at)), "", sentence)
    };
    let mut problems: Vec<Problem> = errors.iter().map(complaint).collect();
    problems.dedup();
    Err(problems)
}

fn entries(table: &DeTable<'_>, source: &Source) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    // The parser sorts by name; complaints and listings follow the file.
    entries.sort_by_key(|(key, _)| key.span().start);
    let node = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let origin = source.origin(key.span().start);
        (
            key.get_ref().clone().into_owned(),
            Node::new(value_of(value, source), origin),
        )
    };
    Value::Table(entries.into_iter().map(node).collect())
}

fn value_of(value: &Spanned<DeValue<'_>>, source: &Source) -> Value {
    match value.get_ref() {
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Unusable {
                shown: number.to_string(),
                hint: ", it is too large",
            },
        },
        DeValue::Float(number) => Value::Unusable {
            shown: number.as_str().to_owned(),
            hint: "; write it without a fraction",
        },
        DeValue::Datetime(_) => Value::Unusable {
            shown: "a date".to_owned(),
            hint: "; put it in quotes",
        },
        DeValue::Array(items) => {
            let node =
                |item: &Spanned<DeValue<'_>>| Node::new(value_of(item, source), source.origin(item.span().start));
            Value::List(items.iter().map(node).collect())
        }
        DeValue::Table(table) => entries(table, source),
    }
}
