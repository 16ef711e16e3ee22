//! What the platform's envelope says, read without reading the rest: `code`, wherever it stands.
//!
//! An answer can be a long list and is relayed byte for byte, so it is not parsed. A scan of the top level
//! ends at `code`, which the platform sends first; a list in front of it is skipped at memchr's speed.

use memchr::memchr2;

use super::error::Foreign;

/// The part of an envelope that the gateway acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    code: Option<i64>,
}

impl Envelope {
    /// The business code: a number, or the text of one; `None` if there is none.
    pub fn code(self) -> Option<i64> {
        self.code
    }

    /// Whether every bracket and quote of a JSON text is closed at its very end: for a body whose end is told
    /// by the close of its connection only. What is no JSON text is whole in its way.
    pub fn is_whole(body: &[u8]) -> bool {
        let text = trimmed(body);
        if !matches!(text.first(), Some(b'{' | b'[')) {
            return true;
        }
        nested_length(text) == Some(text.len())
            || masked_gb18030(text).is_some_and(|masked| nested_length(&masked) == Some(masked.len()))
    }

    /// Looks at a body that should be an envelope.
    ///
    /// # Errors
    /// When it is not a JSON object. Only as much is checked as a look from outside can tell.
    pub fn inspect(body: &[u8]) -> Result<Self, Foreign> {
        match trimmed(body) {
            [] => Err(Foreign::Empty),
            [b'<', ..] => Err(Foreign::Html),
            [b'{', inner @ .., b'}'] => {
                let code = Scan { rest: inner }.find_code().or_else(|| find_code_in_gb18030(inner));
                Ok(Self {
                    code: code.ok_or(Foreign::NotJson)?,
                })
            }
            _ => Err(Foreign::NotJson),
        }
    }
}

fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

fn find_code_in_gb18030(inner: &[u8]) -> Option<Option<i64>> {
    Scan {
        rest: &masked_gb18030(inner)?,
    }
    .find_code()
}

/// A second look at what is not UTF-8: in GB18030 the last byte of a character can be that of a backslash or
/// a bracket. Rare enough to pay for a copy without those characters.
fn masked_gb18030(text: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    let mut masked = text.to_vec();
    let mut at = 0;
    while at < masked.len() {
        // Two bytes, or four of which the second and fourth are digits.
        let leads = matches!(masked[at], 0x81..=0xfe) && masked.get(at + 1).is_some_and(|next| *next >= 0x40);
        if leads {
            masked[at..at + 2].fill(b'x');
        }
        at += if leads { 2 } else { 1 };
    }
    Some(masked)
}

/// Reads the members of an object whose braces are off.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// `None` if this is not JSON as far as it was read; `Some(None)` if there is no code.
    fn find_code(&mut self) -> Option<Option<i64>> {
        self.space();
        if self.rest.is_empty() {
            return Some(None);
        }
        loop {
            let key = self.string()?;
            self.space();
            self.byte(b':')?;
            self.space();
            if key == b"code" {
                let code = code(self.value()?);
                self.space();
                return matches!(self.rest.first(), None | Some(b',')).then_some(code);
            }
            self.value()?;
            self.space();
            if self.rest.is_empty() {
                return Some(None);
            }
            self.byte(b',')?;
            self.space();
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == wanted).then_some(())
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// A string without its quotes, escapes as they stand.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let length = string_length(self.rest)?;
        let text = self.take(length);
        self.byte(b'"')?;
        Some(text)
    }

    /// Any value, as it stands.
    fn value(&mut self) -> Option<&'a [u8]> {
        match self.rest.first()? {
            b'"' => {
                let length = string_length(&self.rest[1..])? + 2;
                Some(self.take(length))
            }
            b'{' | b'[' => {
                let length = nested_length(self.rest)?;
                Some(self.take(length))
            }
            _ => {
                let length = self
                    .rest
                    .iter()
                    .position(|b| matches!(b, b',' | b'}' | b']'))
                    .unwrap_or(self.rest.len());
                let scalar = self.take(length).trim_ascii_end();
                is_scalar(scalar).then_some(scalar)
            }
        }
    }
}

/// Whether this can be a number, `true`, `false` or `null`.
fn is_scalar(text: &[u8]) -> bool {
    let number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    matches!(text, b"true" | b"false" | b"null") || (!text.is_empty() && text.iter().all(number))
}

/// Bytes up to the closing quote.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

/// Bytes of an array or object, brackets included. Counts levels and does not care which bracket closes.
fn nested_length(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at += string_length(&text[at + 1..])? + 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn code(value: &[u8]) -> Option<i64> {
    let digits = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""))
        .unwrap_or(value);
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code_of(body: &str) -> Result<Option<i64>, Foreign> {
        Envelope::inspect(body.as_bytes()).map(Envelope::code)
    }

    #[test]
    fn the_code_is_found_wherever_it_stands() {
        assert_eq!(code_of(r#"{"code":0,"message":"success","data":[]}"#), Ok(Some(0)));
        assert_eq!(
            code_of(" \n{ \"data\" : [{\"code\":7}, \"]}\"], \"code\" : 100004 }\n"),
            Ok(Some(100_004))
        );
        assert_eq!(code_of(r#"{"message":"a\"code\":1","code":"90001"}"#), Ok(Some(90_001)));
        assert_eq!(code_of("\u{feff}{\"code\":-1}"), Ok(Some(-1)));
    }

    #[test]
    fn an_object_without_a_number_for_code_has_none() {
        assert_eq!(code_of("{}"), Ok(None));
        assert_eq!(code_of(r#"{"data":{"code":3}}"#), Ok(None));
        assert_eq!(code_of(r#"{"code":null}"#), Ok(None));
        assert_eq!(code_of(r#"{"code":1.5}"#), Ok(None));
    }

    #[test]
    fn a_text_cut_anywhere_is_not_whole() {
        let whole = r#"{"code":0,"data":[{"a":"}]\""},{"b":[1]}]}"#;
        assert!(Envelope::is_whole(whole.as_bytes()));
        assert!(Envelope::is_whole(format!(" {whole}\n").as_bytes()));
        for end in 1..whole.len() {
            assert!(!Envelope::is_whole(&whole.as_bytes()[..end]), "{}", &whole[..end]);
        }
        assert_eq!(code_of(r#"{"code":0 this is not json }"#), Err(Foreign::NotJson));
    }

    #[test]
    fn what_is_no_object_is_named() {
        assert_eq!(code_of(""), Err(Foreign::Empty));
        assert_eq!(code_of("  "), Err(Foreign::Empty));
        assert_eq!(code_of("<html></html>"), Err(Foreign::Html));
        assert_eq!(code_of("[1]"), Err(Foreign::NotJson));
        assert_eq!(code_of("{\"code\":0,\"data\":[{"), Err(Foreign::NotJson));
        assert_eq!(code_of("{\"data\":[1,\"code\":0}"), Err(Foreign::NotJson));
        assert_eq!(code_of("{code:0}"), Err(Foreign::NotJson));
    }

    #[test]
    fn characters_of_gb18030_that_end_like_punctuation_are_seen_through() {
        let code = |body: &[u8]| Envelope::inspect(body).map(Envelope::code);
        assert_eq!(code(b"{\"message\":\"\xd5\x5c\",\"code\":0}"), Ok(Some(0)));
        assert_eq!(
            code(b"{\"data\":[\"\x81\x5b\xd5\x5c\",\"\x81\x30\x81\x30\"],\"code\":7}"),
            Ok(Some(7))
        );
        assert_eq!(code(b"{\"message\":\"\xd5\x5c,\"code\":0}"), Err(Foreign::NotJson));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::inspect(&body);
        }

        #[test]
        fn brackets_and_quotes_in_any_order_are_looked_at_without_a_panic(body in r#"\{["\\\[\]{}:, codea0-9]{0,60}\}"#) {
            let _ = Envelope::inspect(body.as_bytes());
        }

        #[test]
        fn the_code_of_a_real_document_is_found(code: i64, text: String, first: bool) {
            let text = serde_json::to_string(&text).unwrap();
            let body = if first {
                format!("{{\"code\":{code},\"message\":{text}}}")
            } else {
                format!("{{\"message\":{text},\"data\":[{text}],\"code\":{code}}}")
            };
            prop_assert_eq!(code_of(&body), Ok(Some(code)));
        }
    }
}
