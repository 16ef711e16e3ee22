//! An event as it is printed: never what is in it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::when;
use crate::callback::inbox::{Reason, Summary};

/// As JSON.
pub(super) fn json(event: &Summary) -> Value {
    let Summary {
        id,
        tenant,
        state,
        verified,
        received_at,
        since,
        due_at,
        attempts,
        reason,
        bytes,
    } = event;
    json!({
        "id": id.to_string(),
        "tenant": tenant.as_str(),
        "state": state.as_str(),
        "verified": verified.as_str(),
        "received_at": when::shown(*received_at),
        "since": when::shown(*since),
        "due_at": due_at.map(when::shown),
        "attempts": attempts,
        "reason": reason.as_ref().map(Reason::as_str),
        "bytes": bytes,
    })
}

/// As a table.
pub(super) fn table(events: &[Summary]) -> String {
    let head = [
        "id", "tenant", "state", "received", "attempts", "next", "verified", "reason",
    ]
    .map(str::to_owned);
    let rows = events.iter().map(|event| {
        [
            event.id.to_string(),
            event.tenant.as_str().to_owned(),
            event.state.as_str().to_owned(),
            when::shown(event.received_at),
            event.attempts.to_string(),
            event.due_at.map_or_else(|| "-".to_owned(), when::shown),
            event.verified.as_str().to_owned(),
            event.reason.as_ref().map_or("-", Reason::as_str).to_owned(),
        ]
    });
    columns(std::iter::once(head).chain(rows).collect())
}

/// One event, line by line.
pub(super) fn lines(event: &Summary) -> String {
    let mut text = String::new();
    if let Value::Object(members) = json(event) {
        for (name, value) in members {
            let value = match value {
                Value::Null => "-".to_owned(),
                Value::String(value) => value,
                other => other.to_string(),
            };
            let _ = writeln!(text, "{name:<12}{value}");
        }
    }
    text
}

/// Rows with their columns one under the other.
pub(in crate::cli) fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
