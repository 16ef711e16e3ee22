//! When something ends: a day, a moment, or never.

use std::path::Path;

use aimis_core::datetime::{self, DateTime, Edge};
use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// When something ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Seconds since 1970; `None` for never.
    at: Option<u64>,
    written: String,
}

impl End {
    /// Seconds since 1970; `None` where it has no end.
    pub fn seconds(&self) -> Option<u64> {
        self.at
    }

    /// As the configuration has it.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

/// The end of something.
pub(in crate::config) struct EndKind;

/// A day, which is over when it is over in China; a moment of RFC 3339; or `never`.
pub(in crate::config) fn end() -> EndKind {
    EndKind
}

const NEVER: &str = "never";
const PATTERN: &str = "^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?|never)$";

impl Kind for EndKind {
    type Value = End;

    fn read(&self, node: &Node, _directory: &Path) -> Result<End, Refusal> {
        let wrong = || {
            Refusal::not(
                "a day like \"2027-01-31\", a moment like \"2027-01-31T18:00:00+08:00\", or \"never\"",
                node,
            )
        };
        let text = node.text().ok_or_else(wrong)?.trim();
        let at = match text {
            NEVER => None,
            text if is_of_form(text.as_bytes()) => Some(seconds(text).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(End {
            at,
            written: text.to_owned(),
        })
    }

    fn show(&self, value: &End) -> Plain {
        Plain::Text(value.written.clone())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": PATTERN});
        Shape::new(
            schema,
            "a day, a moment with its distance from UTC (RFC 3339), or `never`",
        )
    }
}

/// Seconds since 1970 of a text of the form.
fn seconds(text: &str) -> Option<u64> {
    let (moment, _) = datetime::parse(text, Edge::End).ok()?;
    u64::try_from(DateTime::in_china(0)?.seconds_until(moment)).ok()
}

/// Whether it is written as [`PATTERN`] has it. More is read where a HIS writes a date; here nobody should have to guess.
fn is_of_form(text: &[u8]) -> bool {
    let fits = |form: &[u8]| {
        let same = |(byte, form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            b'+' => matches!(byte, b'+' | b'-'),
            form => byte == form,
        };
        text.len() == form.len() && text.iter().zip(form).all(same)
    };
    fits(b"0000-00-00") || fits(b"0000-00-00T00:00:00Z") || fits(b"0000-00-00T00:00:00+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    #[test]
    fn a_day_ends_in_china_and_a_moment_where_it_says() {
        let read = |text: &str| {
            let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
            end().read(&node, Path::new("")).map(|end| end.seconds()).ok()
        };
        // 2027-01-31T23:59:59+08:00
        assert_eq!(read("2027-01-31"), Some(Some(1_801_411_199)));
        assert_eq!(read("2027-01-31T23:59:59+08:00"), Some(Some(1_801_411_199)));
        assert_eq!(read("2027-01-31T15:59:59Z"), Some(Some(1_801_411_199)));
        assert_eq!(read("2027-01-31T12:59:59-03:00"), Some(Some(1_801_411_199)));
        assert_eq!(read("never"), Some(None));
        for wrong in [
            "",
            "2027-02-30",
            "20270131",
            "31.01.2027",
            "2027-01-31 18:00:00",
            "2027-01-31T18:00:00",
            "2027-01-31T25:00:00Z",
            "0001-01-01",
            "Never",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
