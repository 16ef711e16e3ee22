//! Numbers: counts, milliseconds, sizes.

use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A whole number between two bounds, of the type `T`.
pub(in crate::config) struct Integer<T> {
    min: i64,
    max: i64,
    unit: &'static str,
    number: PhantomData<T>,
}

/// A whole number from `min` to `max`.
pub(in crate::config) fn integer<T: TryFrom<i64>>(min: i64, max: i64) -> Integer<T> {
    Integer {
        min,
        max,
        unit: "",
        number: PhantomData,
    }
}

impl<T> Integer<T> {
    /// Named in complaints and documents.
    pub(in crate::config) fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    fn bounds(&self) -> String {
        let space = if self.unit.is_empty() { "" } else { " " };
        format!("{} to {}{space}{}", self.min, self.max, self.unit)
    }

    fn check(&self, node: &Node) -> Result<i64, Refusal> {
        let of = if self.unit.is_empty() {
            String::new()
        } else {
            format!(" of {}", self.unit)
        };
        let number = node
            .integer()
            .ok_or_else(|| Refusal::not(&format!("a whole number{of}"), node))?;
        if (self.min..=self.max).contains(&number) {
            Ok(number)
        } else {
            Err(Refusal::new(format!("is out of range, allowed is {}", self.bounds())))
        }
    }
}

impl<T: TryFrom<i64> + TryInto<i64> + Copy> Kind for Integer<T> {
    type Value = T;

    fn read(&self, node: &Node, _directory: &Path) -> Result<T, Refusal> {
        let number = self.check(node)?;
        T::try_from(number).map_err(|_| Refusal::new("is more than this machine can hold"))
    }

    fn show(&self, value: &T) -> Plain {
        Plain::Integer((*value).try_into().unwrap_or(i64::MAX))
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "integer", "minimum": self.min, "maximum": self.max}),
            self.bounds(),
        )
    }
}

/// A span of time, in the file a number of milliseconds.
pub(in crate::config) struct Millis(Integer<i64>);

/// A span from `min` to `max` milliseconds; the key ends in `_ms`.
pub(in crate::config) fn millis(min: u32, max: u32) -> Millis {
    Millis(integer(min.into(), max.into()).unit("milliseconds"))
}

impl Kind for Millis {
    type Value = Duration;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Duration, Refusal> {
        self.0
            .check(node)
            .map(|number| Duration::from_millis(number.unsigned_abs()))
    }

    fn show(&self, value: &Duration) -> Plain {
        Plain::Integer(value.as_millis().try_into().unwrap_or(i64::MAX))
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}

/// A span of time, in the file a number of seconds.
pub(in crate::config) struct Seconds(Integer<i64>);

/// A span from `min` to `max` seconds; the key ends in `_s`.
pub(in crate::config) fn seconds(min: u32, max: u32) -> Seconds {
    Seconds(integer(min.into(), max.into()).unit("seconds"))
}

impl Kind for Seconds {
    type Value = Duration;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Duration, Refusal> {
        self.0
            .check(node)
            .map(|number| Duration::from_secs(number.unsigned_abs()))
    }

    fn show(&self, value: &Duration) -> Plain {
        Plain::Integer(value.as_secs().try_into().unwrap_or(i64::MAX))
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }
}

/// How often a second: whole thousandths, so that nothing is lost on the way from the file to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_1000_s: u64,
}

impl Rate {
    /// The time from one to the next; `None` if there is no limit.
    pub fn period(self) -> Option<Duration> {
        let thousandth = Duration::from_secs(1_000).as_nanos();
        let period = thousandth.checked_div(self.per_1000_s.into())?;
        Some(Duration::from_nanos(u64::try_from(period).unwrap_or(u64::MAX)))
    }
}

/// A number of times a second, at most 100 000, with at most three decimals.
pub(in crate::config) struct RateKind;

/// A number of times a second; the key ends in `_per_s`.
pub(in crate::config) fn rate() -> RateKind {
    RateKind
}

impl RateKind {
    const MOST: u64 = 100_000;
}

impl Kind for RateKind {
    type Value = Rate;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Rate, Refusal> {
        let per_1000_s = node
            .decimal()
            .and_then(|text| thousandths(&text))
            .ok_or_else(|| Refusal::new("is not a number from 0 on with at most three decimals, like 10 or 0.5"))?;
        if per_1000_s > Self::MOST * 1_000 {
            return Err(Refusal::new(format!("is out of range, allowed is 0 to {}", Self::MOST)));
        }
        Ok(Rate { per_1000_s })
    }

    fn show(&self, value: &Rate) -> Plain {
        Plain::Thousandths(value.per_1000_s)
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "number", "minimum": 0, "maximum": Self::MOST}),
            format!("0 to {}, also 0.5", Self::MOST),
        )
    }
}

/// A share of a whole, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    thousandths: u64,
}

impl Share {
    /// From 0 to 1000.
    pub fn thousandths(self) -> u64 {
        self.thousandths
    }
}

/// A share of a whole: 0 to 1, with at most three decimals.
pub(in crate::config) struct ShareKind;

/// A share of a whole.
pub(in crate::config) fn share() -> ShareKind {
    ShareKind
}

impl Kind for ShareKind {
    type Value = Share;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Share, Refusal> {
        let found = node.decimal().and_then(|text| thousandths(&text));
        match found.filter(|found| *found <= 1_000) {
            Some(thousandths) => Ok(Share { thousandths }),
            None => Err(Refusal::new(
                "is not a share from 0 to 1 with at most three decimals, like 0.1",
            )),
        }
    }

    fn show(&self, value: &Share) -> Plain {
        Plain::Thousandths(value.thousandths)
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "number", "minimum": 0, "maximum": 1}),
            "0 to 1, also 0.1",
        )
    }
}

/// Reads `10` and `0.5` as 10 000 and 500.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(());
    digits(whole)?;
    digits(decimals)?;
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let decimals: u64 = format!("{decimals:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(decimals)
}

/// A number of bytes, in the file also with a unit: `"64KiB"`.
pub(in crate::config) struct Size {
    min: usize,
    max: usize,
}

/// From `min` to `max` bytes.
pub(in crate::config) fn size(min: usize, max: usize) -> Size {
    Size { min, max }
}

const UNITS: [(&str, usize); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl Kind for Size {
    type Value = usize;

    fn read(&self, node: &Node, _directory: &Path) -> Result<usize, Refusal> {
        let bytes = match node.text() {
            Some(text) => bytes(text),
            None => node.integer().and_then(|number| usize::try_from(number).ok()),
        };
        let bytes = bytes.ok_or_else(|| Refusal::not("a size like \"64KiB\", \"8MiB\" or a number of bytes", node))?;
        if (self.min..=self.max).contains(&bytes) {
            return Ok(bytes);
        }
        Err(Refusal::new(format!(
            "is out of range, allowed is {} to {}",
            written(self.min),
            written(self.max)
        )))
    }

    fn show(&self, value: &usize) -> Plain {
        match written(*value) {
            text if text.ends_with("iB") => Plain::Text(text),
            _ => Plain::Integer((*value).try_into().unwrap_or(i64::MAX)),
        }
    }

    fn shape(&self) -> Shape {
        let number = json!({"type": "integer", "minimum": self.min, "maximum": self.max});
        let text = json!({"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$"});
        Shape::new(
            json!({"anyOf": [text, number]}),
            format!(
                "{} to {}; `\"64KiB\"` or a number of bytes",
                written(self.min),
                written(self.max)
            ),
        )
    }
}

fn bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = if unit.is_empty() {
        1
    } else {
        UNITS.iter().find(|(name, _)| *name == unit)?.1
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// In the largest unit that gives a whole number.
fn written(bytes: usize) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .rev()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(UNITS[0]);
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_exactly_and_told_apart_from_what_is_none() {
        for (text, wanted) in [
            ("10", Some(10_000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.50000", Some(500)),
            ("1.234", Some(1_234)),
            ("1.2345", None),
            ("-1", None),
            ("1e3", None),
            (".5", None),
            ("5.", None),
            ("inf", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(thousandths(text), wanted, "{text}");
        }
        let rate = |per_1000_s| Rate { per_1000_s }.period();
        assert_eq!(rate(0), None);
        assert_eq!(rate(500), Some(Duration::from_secs(2)));
        assert_eq!(rate(10_000), Some(Duration::from_millis(100)));
    }
}
