//! What a member of a body may hold, and what a field of an order holds.

use super::arena::Span;

/// A value as a decoder read it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A string, escapes resolved; or a form field.
    Text(&'a str),
    /// A number that is an `i64`.
    Integer(i64),
    /// The text of any other JSON number, as it stands in the body.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// An array, as it stands in the body. No field takes one; an integer field's can be asked for item by item.
    List(&'a str),
    /// An object. No field takes one, so its content does not matter.
    Nested,
}

/// A value while an order is built, and after: text as a span of the arena.
#[derive(Clone, Copy)]
pub(super) enum Cell {
    /// Never set, or absent after judging.
    Unset,
    Null,
    Text(Span),
    /// A number kept as its text, since the field is none, or it does not fit.
    Digits(Span),
    Integer(i64),
    Bool(bool),
    /// A number with a decimal point or an exponent, for a field that needs every digit.
    Inexact,
    /// Of no use to any field.
    Wrong,
}

/// Whether the text is a whole number as JSON writes it: no plus sign, no needless zeros, no `-0`.
pub(super) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain && (!digits.starts_with('0') || text == "0")
}

/// The whole number before a decimal point with nothing but zeros behind it: `2.0`, as some programs write every number.
pub(super) fn whole(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.')?;
    let zeros = !fraction.is_empty() && fraction.bytes().all(|b| b == b'0');
    (zeros && is_integer(whole)).then_some(whole)
}

/// Whether the text is a JSON number, so that it may stand in a body unquoted (RFC 8259, section 6).
pub(super) fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_integer(whole) || whole == "-0")
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Decimal digits of an integer, on the stack.
pub(super) struct Decimal {
    bytes: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(super) fn of(value: i64) -> Self {
        let mut decimal = Self {
            bytes: [0; 20],
            start: 20,
        };
        let mut left = value.unsigned_abs();
        loop {
            decimal.push((left % 10) as u8 + b'0');
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            decimal.push(b'-');
        }
        decimal
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).expect("only ASCII is written")
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_in_full() {
        for value in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::of(value).as_str(), value.to_string());
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for text in [
            "0",
            "-0",
            "1.50",
            "1E+2",
            "1e400",
            "-12.0e-3",
            "123456789012345678901234567890",
        ] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "NaN", "1,2", "1}"] {
            assert!(!is_number(text), "{text}");
        }
        assert_eq!((whole("2.0"), whole("-12.000")), (Some("2"), Some("-12")));
        for text in ["2", "2.", "2.5", "2.0e0", "02.0", ".0", "-0.0"] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert!(is_integer("-5") && !is_integer("-0") && !is_integer("05") && !is_integer("1.0") && !is_integer("-"));
    }
}
