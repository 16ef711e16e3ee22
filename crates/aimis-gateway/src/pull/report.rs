//! What a HIS says of the leases it holds: JSON, or a form for those that cannot write JSON.
//!
//! ```text
//! {"ack":["evt_…-1","evt_…-2"],"nack":[{"lease":"evt_…-1","retry_after_s":60}]}
//! ack=evt_…-1,evt_…-2&nack=evt_…-1&retry_after_s=60
//! ```
//!
//! A list may also be one text with commas, and an item of `nack` the lease alone. Which leases are any is not judged
//! here: one that is none is as lost as one that ran out.

use std::time::Duration;

use aimis_core::contract::FieldKind;
use aimis_core::order::{FieldProblem, Reason};
use serde::Deserialize;
use serde_json::error::Category;

use crate::rejection::{BodyFault, Rejection};

/// What is said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The HIS has these.
    pub acked: Vec<String>,
    /// It does not want these now, and when again, if it says so.
    pub nacked: Vec<(String, Option<Duration>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    ack: Option<Many<String>>,
    #[serde(default)]
    nack: Option<Many<Item>>,
    /// For those of `nack` that do not say.
    #[serde(default)]
    retry_after_s: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Many<T> {
    /// With commas between.
    Text(String),
    List(Vec<T>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Lease(String),
    Timed(Timed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timed {
    lease: String,
    #[serde(default)]
    retry_after_s: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// The longest time that a HIS may put an event off.
const LONGEST_S: u64 = 48 * 3600;

impl Seconds {
    fn read(self) -> Result<Duration, Rejection> {
        let seconds = match self {
            Self::Number(seconds) => Some(seconds),
            Self::Text(text) => text.trim().parse().ok(),
        };
        let seconds = seconds.filter(|seconds| *seconds <= LONGEST_S).ok_or_else(|| {
            let kind = FieldKind::Integer {
                min: 0,
                max: LONGEST_S.cast_signed(),
            };
            refused("retry_after_s", Reason::OutOfRange, kind)
        })?;
        Ok(Duration::from_secs(seconds))
    }
}

impl Report {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Rejection::BodyNotUnderstood`], [`Rejection::FieldInvalid`].
    pub fn read(body: &[u8]) -> Result<Self, Rejection> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        let report = match body.first() {
            None => return Err(not_understood(1, 1, BodyFault::Empty)),
            Some(b'{') => json(body)?,
            Some(b'[' | b'"') => return Err(not_understood(1, 1, BodyFault::NotObject)),
            Some(b'<') => return Err(not_understood(1, 1, BodyFault::Xml)),
            Some(_) => form(body)?,
        };
        if report.acked.is_empty() && report.nacked.is_empty() {
            return Err(refused("ack", Reason::Missing, FieldKind::Text));
        }
        Ok(report)
    }
}

fn json(body: &[u8]) -> Result<Report, Rejection> {
    // What serde_json says of it quotes the text.
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Eof => not_understood(error.line(), error.column(), BodyFault::EndsEarly),
        Category::Data => Rejection::FieldInvalid(vec![FieldProblem {
            field: "body".to_owned(),
            reason: Reason::WrongType,
            kind: None,
        }]),
        Category::Syntax | Category::Io => not_understood(error.line(), error.column(), BodyFault::Syntax),
    })?;
    let default = body.retry_after_s.map(Seconds::read).transpose()?;
    let nacked = match body.nack {
        None => Vec::new(),
        Some(Many::Text(text)) => listed(&text).map(|lease| (lease, default)).collect(),
        Some(Many::List(items)) => items
            .into_iter()
            .map(|item| match item {
                Item::Lease(lease) => Ok((lease, default)),
                Item::Timed(timed) => {
                    let own = timed.retry_after_s.map(Seconds::read).transpose()?;
                    Ok((timed.lease, own.or(default)))
                }
            })
            .collect::<Result<_, Rejection>>()?,
    };
    Ok(Report {
        acked: match body.ack {
            None => Vec::new(),
            Some(Many::Text(text)) => listed(&text).collect(),
            Some(Many::List(list)) => list,
        },
        nacked,
    })
}

/// A form. Leases have no character that a form would encode but the comma.
fn form(body: &[u8]) -> Result<Report, Rejection> {
    let text = std::str::from_utf8(body).map_err(|_| not_understood(1, 1, BodyFault::NotUtf8))?;
    let text = text.replace("%2C", ",").replace("%2c", ",");
    let (mut report, mut nacked, mut default) = (Report::default(), Vec::new(), None);
    for pair in text.split('&') {
        match pair.split_once('=') {
            Some(("ack", leases)) => report.acked.extend(listed(leases)),
            Some(("nack", leases)) => nacked.extend(listed(leases)),
            Some(("retry_after_s", seconds)) => default = Some(Seconds::Text(seconds.to_owned()).read()?),
            _ => return Err(not_understood(1, 1, BodyFault::Syntax)),
        }
    }
    report.nacked = nacked.into_iter().map(|lease| (lease, default)).collect();
    Ok(report)
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    let leases = text.split(',').map(str::trim).filter(|lease| !lease.is_empty());
    leases.map(str::to_owned)
}

fn not_understood(line: usize, column: usize, fault: BodyFault) -> Rejection {
    Rejection::BodyNotUnderstood { line, column, fault }
}

fn refused(field: &str, reason: Reason, kind: FieldKind) -> Rejection {
    Rejection::FieldInvalid(vec![FieldProblem {
        field: field.to_owned(),
        reason,
        kind: Some(kind),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(acked: &[&str], nacked: &[(&str, Option<u64>)]) -> Report {
        let nacked = nacked.iter();
        Report {
            acked: acked.iter().map(ToString::to_string).collect(),
            nacked: nacked
                .map(|(lease, seconds)| ((*lease).to_owned(), seconds.map(Duration::from_secs)))
                .collect(),
        }
    }

    #[test]
    fn a_report_is_read_in_each_of_its_forms() {
        let both = report(&["a-1", "b-2"], &[("c-3", Some(60))]);
        for body in [
            r#"{"ack":["a-1","b-2"],"nack":[{"lease":"c-3","retry_after_s":60}]}"#,
            r#"{"ack":"a-1, b-2","nack":"c-3","retry_after_s":"60"}"#,
            r#" {"nack":["c-3"],"retry_after_s":60,"ack":["a-1","b-2"]} "#,
            "\u{feff}{\"ack\":\"a-1,b-2\",\"nack\":[{\"lease\":\"c-3\",\"retry_after_s\":\"60\"}]}",
            "ack=a-1,b-2&nack=c-3&retry_after_s=60",
            "retry_after_s=60&nack=c-3&ack=a-1&ack=b-2",
            "ack=a-1%2Cb-2&nack=c-3&retry_after_s=60\r\n",
        ] {
            assert_eq!(Report::read(body.as_bytes()).unwrap(), both, "{body}");
        }
        let one = Report::read(br#"{"ack":null,"nack":["c-3",{"lease":"d-1"}]}"#).unwrap();
        assert_eq!(one, report(&[], &[("c-3", None), ("d-1", None)]));
    }

    #[test]
    fn what_is_no_report_is_refused_and_not_half_taken() {
        let refused = |body: &str| match Report::read(body.as_bytes()) {
            Err(Rejection::BodyNotUnderstood { fault, .. }) => fault.name(),
            Err(Rejection::FieldInvalid(problems)) => problems[0].reason.as_str(),
            other => panic!("{body}: {other:?}"),
        };
        for (body, reason) in [
            ("", "empty"),
            ("{}", "missing"),
            (r#"{"ack":[]}"#, "missing"),
            ("[\"a-1\"]", "not-an-object"),
            ("<ack/>", "xml"),
            (r#"{"ack":["a-1""#, "ends-early"),
            (r#"{"ack":["a-1"],}"#, "syntax"),
            (r#"{"ack":["a-1"],"acks":["b-1"]}"#, "wrong-type"),
            (r#"{"ack":["a-1"],"ack":["b-1"]}"#, "wrong-type"),
            (r#"{"ack":[1]}"#, "wrong-type"),
            (r#"{"nack":["a-1"],"retry_after_s":-1}"#, "wrong-type"),
            (r#"{"nack":["a-1"],"retry_after_s":"soon"}"#, "out-of-range"),
            (r#"{"nack":["a-1"],"retry_after_s":172801}"#, "out-of-range"),
            ("acks=a-1", "syntax"),
            ("a-1", "syntax"),
        ] {
            assert_eq!(refused(body), reason, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body: Vec<u8>) {
            let _ = Report::read(&body);
        }
    }
}
