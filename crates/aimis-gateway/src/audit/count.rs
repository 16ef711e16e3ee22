//! How many studies, or links, an answer holds: `data` counted without reading the rest of it.

use memchr::{memchr2, memchr2_iter};

/// Items under `data`: the elements of a list, 1 for an object or a text that holds anything, 0 for nothing. `None`
/// where the body cannot be read from outside.
pub fn items(body: &[u8]) -> Option<u64> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let mut rest = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    loop {
        rest = rest.trim_ascii_start();
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            return rest.is_empty().then_some(0);
        };
        let length = string_length(quoted)?;
        let key = &quoted[..length];
        rest = quoted[length + 1..]
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start();
        if key == b"data" {
            return of_data(rest);
        }
        rest = rest[value_length(rest)?..].trim_ascii_start();
        rest = match rest.split_first() {
            None => return Some(0),
            Some((b',', rest)) => rest,
            Some(_) => return None,
        };
    }
}

fn of_data(value: &[u8]) -> Option<u64> {
    match value {
        [b'[', inner @ ..] => flat_list(value).or_else(|| elements(inner)),
        _ => Some(u64::from(!crate::upstream::envelope::holds_nothing(value))),
    }
}

/// Elements of a list of objects that hold no further objects or lists, as the platform's are: a brace opens and one
/// closes for each, so that only these and what is between them has to be looked at. `None` if the list is another, or could
/// be.
fn flat_list(value: &[u8]) -> Option<u64> {
    let end = memchr::memchr2(b'[', b']', &value[1..])? + 1;
    if value[end] != b']' {
        return None;
    }
    let (list, mut open, mut count) = (&value[1..end], false, 0);
    let mut behind = 0;
    for at in memchr2_iter(b'{', b'}', list) {
        let good = if open {
            let before = list[..at].trim_ascii_end().last();
            list[at] == b'}' && matches!(before, Some(b'"' | b'0'..=b'9' | b'e' | b'l'))
        } else {
            let between = list[behind..at].trim_ascii();
            let after = list[at + 1..].trim_ascii_start().first();
            let first = if count == 0 { &b""[..] } else { b"," };
            list[at] == b'{' && between == first && after == Some(&b'"')
        };
        if !good {
            return None;
        }
        count += u64::from(!open);
        (open, behind) = (!open, at + 1);
    }
    let blank = list[behind..].trim_ascii().is_empty();
    // The list's end, and not a bracket within a text, is followed by a comma or by the end.
    let behind = value[end + 1..].trim_ascii_start().first();
    (!open && blank && matches!(behind, None | Some(b','))).then_some(count)
}

/// Elements of any list, from behind its bracket on.
fn elements(mut rest: &[u8]) -> Option<u64> {
    let mut count = 0;
    loop {
        rest = rest.trim_ascii_start();
        if count == 0 && rest.first() == Some(&b']') {
            return Some(0);
        }
        rest = rest[value_length(rest)?..].trim_ascii_start();
        count += 1;
        rest = match rest.split_first()? {
            (b',', rest) => rest,
            (b']', _) => return Some(count),
            _ => return None,
        };
    }
}

/// Bytes of the value that `text` begins with.
fn value_length(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at += string_length(&text[at + 1..])? + 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return (at > 0).then_some(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return (at > 0).then_some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && (at == text.len() || matches!(text[at - 1], b'"' | b'}' | b']')) {
            return Some(at);
        }
    }
}

/// Bytes up to the quote that ends a string.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
        if at > text.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_under_data_is_counted() {
        for (body, count) in [
            (r#"{"code":0,"data":[]}"#, Some(0)),
            (r#"{"code":0,"data":[ {"a":1} , {"a":"x"} ],"message":"m"}"#, Some(2)),
            (r#"{"data":[{"a":"{\"b\"},{"}],"code":0}"#, Some(1)),
            (r#"{"data":[{"a":"x},{"},{"a":"]"}],"code":0}"#, Some(2)),
            (r#"{"data":[{"a":[{"b":1},{"b":2}]}]}"#, Some(1)),
            (r#"{"data":[1,"a",null,[2,3],{}]}"#, Some(5)),
            (
                "\u{feff}{\"code\":0,\"message\":\"},{\",\"data\":{\"h5Url\":\"u\"}}",
                Some(1),
            ),
            (r#"{"code":0,"data":{}}"#, Some(0)),
            (r#"{"code":0,"data":null}"#, Some(0)),
            (r#"{"code":0,"data":"u"}"#, Some(1)),
            (r#"{"code":100004,"message":"no data"}"#, Some(0)),
            ("{}", Some(0)),
            ("<html>", None),
            (r#"{"data":[{"a":1}"#, None),
        ] {
            assert_eq!(items(body.as_bytes()), count, "{body}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = "[ -~\u{4e00}-\u{4e10}]{0,12}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_list_has_as_many_items_as_a_parser_finds(list in prop::collection::vec(value(), 0..6), pretty: bool) {
            let body = json!({ "code": 0, "message": "},{\"", "data": list, "more": [1, 2] });
            let text = if pretty { format!("{body:#}") } else { body.to_string() };
            prop_assert_eq!(items(text.as_bytes()), Some(list.len() as u64), "{}", text);
        }

        #[test]
        fn no_body_is_too_odd(body: Vec<u8>) {
            let _ = items(&body);
        }
    }
}
