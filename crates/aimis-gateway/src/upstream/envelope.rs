//! What the platform's envelope says, read without reading the rest: `code`, and whether `data` holds anything.
//!
//! An answer can be a long list and is relayed byte for byte, so it is not parsed. A scan of the top level
//! ends at the start of `data`, which the platform sends behind `code`; a list in front of `code` is skipped
//! at memchr's speed.

use memchr::memchr2;

use super::error::Foreign;

/// The part of an envelope that the gateway acts upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    code: Option<i64>,
    data: Data,
}

/// What stands under `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// No such member, or one that holds nothing.
    Nothing,
    /// Something.
    Something,
    /// It cannot be told from outside. Nobody is to be warned of an emptiness that may be none.
    Unclear,
}

impl Envelope {
    /// The business code: a number, or the text of one; `None` if there is none.
    pub fn code(self) -> Option<i64> {
        self.code
    }

    /// Whether `data` holds nothing: absent, `null`, `[]`, `{}` or a blank text.
    pub fn is_empty(self) -> bool {
        self.data == Data::Nothing
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
                let seen = Scan { rest: inner }.envelope();
                if let Some(seen) = seen.filter(|seen| seen.data != Data::Unclear) {
                    return Ok(seen);
                }
                envelope_in_gb18030(inner).or(seen).ok_or(Foreign::NotJson)
            }
            _ => Err(Foreign::NotJson),
        }
    }
}

fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

fn envelope_in_gb18030(inner: &[u8]) -> Option<Envelope> {
    Scan {
        rest: &masked_gb18030(inner)?,
    }
    .envelope()
}

/// Whether a JSON value, or what begins with one, holds nothing; only its start is looked at.
pub fn holds_nothing(value: &[u8]) -> bool {
    let inner = |open: u8| {
        Some(
            value
                .trim_ascii_start()
                .strip_prefix(&[open])?
                .trim_ascii_start()
                .first(),
        )
    };
    let closed_by = |open: u8, close: u8| inner(open) == Some(Some(&close));
    value.trim_ascii_start().starts_with(b"null")
        || closed_by(b'[', b']')
        || closed_by(b'{', b'}')
        || closed_by(b'"', b'"')
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
    /// `None` if this is not JSON up to its code; behind the code nothing is refused any more.
    fn envelope(mut self) -> Option<Envelope> {
        let mut data = None;
        let found = |code, data: Option<Data>| Envelope {
            code,
            data: data.unwrap_or(Data::Nothing),
        };
        self.space();
        if self.rest.is_empty() {
            return Some(found(None, None));
        }
        loop {
            let key = self.key()?;
            if is_named(key, b"code") {
                let code = code(self.value()?);
                self.space();
                return match self.rest.first() {
                    None => Some(found(code, data)),
                    Some(b',') => Some(found(code, data.or_else(|| self.find_data()))),
                    Some(_) => None,
                };
            }
            if is_named(key, b"data") && data.is_none() {
                data = Some(self.data());
            }
            self.value()?;
            self.space();
            if self.rest.is_empty() {
                return Some(found(None, data));
            }
            self.byte(b',')?;
            self.space();
        }
    }

    /// What stands under `data` in the members that are left, each behind a comma; `None` if it is not among them.
    fn find_data(&mut self) -> Option<Data> {
        while !self.rest.is_empty() {
            let next = self.byte(b',').and_then(|()| {
                self.space();
                self.key()
            });
            match next {
                Some(key) if is_named(key, b"data") => return Some(self.data()),
                Some(_) if self.value().is_some() => self.space(),
                _ => return Some(Data::Unclear),
            }
        }
        None
    }

    /// What the value here holds; it is not consumed.
    fn data(&self) -> Data {
        if holds_nothing(self.rest) {
            Data::Nothing
        } else {
            Data::Something
        }
    }

    /// A member's name and its colon.
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        self.space();
        self.byte(b':')?;
        self.space();
        Some(key)
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

/// Whether a member's name is `name`, escapes or not.
fn is_named(key: &[u8], name: &[u8]) -> bool {
    key == name
        || key.contains(&b'\\')
            && serde_json::from_slice::<String>(&[b"\"", key, b"\""].concat()).is_ok_and(|key| key.as_bytes() == name)
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
    fn an_answer_without_data_is_empty_wherever_its_data_stands() {
        let empty = |body: &str| Envelope::inspect(body.as_bytes()).unwrap().is_empty();
        for nothing in ["[]", "[ \n]", "{}", "{ }", "null", "\"\"", "\" \t\""] {
            for body in [
                format!(r#"{{"code":0,"message":"a","data":{nothing}}}"#),
                format!(r#"{{"data" : {nothing} ,"code":0}}"#),
                format!(r#"{{"code":0,"x":[{{"data":[1]}}],"data":{nothing},"requestId":"1"}}"#),
                format!(r#"{{"code":0,"d\u0061ta":{nothing}}}"#),
            ] {
                assert!(empty(&body), "{body}");
            }
        }
        for something in ["[[]]", "[null]", "{\"a\":null}", "\" a\"", "0", "false", "\"[]\""] {
            for body in [
                format!(r#"{{"code":0,"message":"a","data":{something}}}"#),
                format!(r#"{{"data":{something},"code":0}}"#),
                format!(r#"{{"code":0,"x":{{"data":[]}},"d\u0061ta":{something}}}"#),
            ] {
                assert!(!empty(&body), "{body}");
            }
        }
        assert!(empty("{}") && empty(r#"{"code":0}"#) && empty(r#"{"code":0,"date":[1]}"#));
        assert!(!empty(r#"{"code":0,"message":nonsense,"x":1}"#), "it cannot be told");
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
        let empty = |body: &[u8]| Envelope::inspect(body).unwrap().is_empty();
        assert!(empty(b"{\"code\":0,\"message\":\"\xd5\x5c\",\"data\":[]}"));
        assert!(!empty(b"{\"code\":0,\"message\":\"\xd5\x5c\",\"data\":[1]}"));
        assert!(
            !empty(b"{\"code\":0,\"message\":\"\xd5\x5c,\"data\":[]}"),
            "it cannot be told"
        );
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
        fn emptiness_is_what_a_parser_says(
            (data, text, place) in (
                prop_oneof![
                    Just("[]".to_owned()), Just(" { }".to_owned()), Just("null".to_owned()), Just("\" \"".to_owned()),
                    r#"\[ ?(\{"data":(1|\[\]|"\]")\}|7|"\\""|null)?(, ?\[\{\}\])?\]"#,
                    r#"\{ ?"(data|code)" ?: ?(\{\}|"\}"|0)\}"#,
                    r#"-?[1-9]{1,3}(\.5)?"#,
                ].prop_filter("JSON", |text| serde_json::from_str::<serde_json::Value>(text).is_ok()),
                any::<String>(),
                0..4_usize,
            ),
        ) {
            let text = serde_json::to_string(&text).unwrap();
            let mut members = vec![format!("\"code\" :0"), format!("\"message\":{text}"), format!("{text}:[{{\"data\":[]}}]")];
            if text == "\"data\"" || text == "\"code\"" {
                members.pop();
            }
            members.insert(place.min(members.len()), format!(" \"data\": {data}"));
            let body = format!("{{{}}}", members.join(" ,"));
            let parsed: serde_json::Value = serde_json::from_str(&body).unwrap();
            let empty = match &parsed["data"] {
                serde_json::Value::Null => true,
                serde_json::Value::Array(items) => items.is_empty(),
                serde_json::Value::Object(members) => members.is_empty(),
                serde_json::Value::String(text) => text.trim().is_empty(),
                _ => false,
            };
            prop_assert_eq!(Envelope::inspect(body.as_bytes()).map(Envelope::is_empty), Ok(empty), "{}", body);
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
