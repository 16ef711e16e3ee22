//! Bodies as they should be, read in one pass: most are.
//!
//! Such a body is UTF-8 and labelled as JSON, one object, its members named to the letter of the contract and each there
//! once, its values texts without escapes, whole numbers or `null`. Nothing of it is to be repaired, guessed or refused,
//! so nothing about it is decided here: at the first sign of anything else the other readers begin anew, and what they
//! say counts. A test holds both to the same result for any bytes.

use aimis_core::contract::Contract;
use aimis_core::order::{OrderBuilder, Value};
use http::HeaderValue;

/// Digits of a number that is an `i64` whatever they are.
const MAX_DIGITS: usize = 18;

/// Reads a body that is as it should be into `order`; false if it is another, and nothing was taken then.
pub(super) fn read(body: &[u8], content_type: Option<&HeaderValue>, order: &mut OrderBuilder) -> bool {
    if !is_json(content_type) || body.first() != Some(&b'{') {
        return false;
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    if !is_clearly_utf8(text) {
        return false;
    }
    let whole = Members { text, at: 1 }.read(order);
    if whole.is_none() {
        order.clear();
    }
    whole.is_some()
}

/// Whether the label is what JSON in UTF-8 is to have.
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let Some((media_type, parameters)) = content_type.and_then(|value| value.as_bytes().split_at_checked(16)) else {
        return false;
    };
    media_type.eq_ignore_ascii_case(b"application/json")
        && (parameters.is_empty()
            || parameters.eq_ignore_ascii_case(b"; charset=utf-8")
            || parameters.eq_ignore_ascii_case(b";charset=utf-8"))
}

/// Whether it can be in no other charset: plain ASCII, or a character beyond those of two bytes among the rest
/// (`charset`).
fn is_clearly_utf8(text: &str) -> bool {
    // Without an early end the compiler does 16 bytes at a time.
    let (ascii, long) = text.bytes().fold((true, false), |(ascii, long), b| {
        (ascii & b.is_ascii(), long | (b >= 0xe0))
    });
    ascii || long
}

/// The members of an object, from behind its brace.
struct Members<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Members<'t> {
    /// Gives all members to `order`; `None` at the first thing that is not as it should be.
    fn read(mut self, order: &mut OrderBuilder) -> Option<()> {
        let mut expected = 0;
        loop {
            self.space();
            self.take(b'"')?;
            let name = self.string()?;
            let index = index(order.contract(), name, expected)?;
            expected = index + 1;
            self.space();
            self.take(b':')?;
            self.space();
            let value = self.value()?;
            order.set_at(index, value).ok()?;
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    fn value(&mut self) -> Option<Value<'t>> {
        match self.next()? {
            b'"' => self.string().map(Value::Text),
            first @ b'0'..=b'9' => self.number(first),
            b'n' => {
                let rest = self.text.as_bytes().get(self.at..self.at + 3)?;
                self.at += 3;
                (rest == b"ull").then_some(Value::Null)
            }
            _ => None,
        }
    }

    /// Up to the closing quotation mark, behind which it goes on.
    fn string(&mut self) -> Option<&'t str> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = plain_length(rest);
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        let string = &self.text[self.at..self.at + length];
        self.at += length + 1;
        Some(string)
    }

    fn number(&mut self, first: u8) -> Option<Value<'t>> {
        let rest = &self.text.as_bytes()[self.at..];
        let more = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if more >= MAX_DIGITS || (first == b'0' && more > 0) || !matches!(rest.get(more)?, b',' | b'}' | b' ') {
            return None;
        }
        let digits = rest[..more].iter();
        self.at += more;
        let value = digits.fold(i64::from(first - b'0'), |value, digit| {
            value * 10 + i64::from(digit - b'0')
        });
        Some(Value::Integer(value))
    }

    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
            .count();
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}

/// Bytes up to the first that ends a string or is not simply a part of it: a quotation mark, a reverse solidus, a control
/// character. Eight at a time: in `has`, the lowest byte whose high bit is set is the first that is zero in `word`, and
/// those below it are right (S. E. Anderson, "Bit Twiddling Hacks").
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH;
    let has = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let stops = has(word, b'"') | has(word, b'\\') | below(word, 0x20);
        if stops != 0 {
            return index * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let stop = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
    bytes.len() - rest.len() + stop.unwrap_or(rest.len())
}

/// The field of this name. Members mostly come in the contract's order, so the one `expected` is looked at first.
fn index(contract: &Contract, name: &str, expected: usize) -> Option<usize> {
    match contract.fields().get(expected) {
        Some(field) if field.name == name => Some(expected),
        _ => contract.index(name),
    }
}

#[cfg(test)]
mod tests;
