//! What an answer of the HIS means for the event it was about.
//!
//! The HIS has an event when it says so: with a 2xx, and with a `code` that means success if the answer is an object
//! that has one. In doubt it does not: delivered twice an event is recognised by its id, not delivered it is lost.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use encoding_rs::{Encoding, GB18030};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::callback::inbox::Reason;
use crate::post::Answer;

/// What every gzip begins with, whether a header says so or not.
const GZIP: &[u8] = b"\x1f\x8b";

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The HIS has the event.
    Taken,
    /// The target wants nothing more.
    Gone,
    /// To be tried again.
    Failed {
        /// Why.
        reason: Reason,
        /// What the HIS asks for: nothing more to it for so long.
        silence: Option<Duration>,
    },
}

impl Verdict {
    fn failed(reason: Reason) -> Self {
        Self::Failed { reason, silence: None }
    }
}

/// Judges an answer. `success` are the codes that mean success.
pub(super) fn judge(answer: &Answer, success: &[i32]) -> Verdict {
    match answer.status {
        200..=299 => match &answer.body {
            // It was not asked for, and may hold a refusal.
            Some(body) if (answer.encoded && !body.is_empty()) || body.starts_with(GZIP) => {
                Verdict::failed(Reason::word("answer_encoded"))
            }
            Some(body) => judge_body(body, success),
            None => Verdict::failed(Reason::word("answer_too_long")),
        },
        410 => Verdict::Gone,
        status @ (429 | 503) => Verdict::Failed {
            reason: Reason::status(status),
            silence: answer.retry_after,
        },
        status => Verdict::failed(Reason::status(status)),
    }
}

fn judge_body(body: &[u8], success: &[i32]) -> Verdict {
    let text = text(body);
    let text = text.trim();
    // A text that holds the object: it was made JSON twice.
    let inner: Option<String> = text.starts_with('"').then(|| serde_json::from_str(text).ok()).flatten();
    let text = inner.as_deref().map_or(text, str::trim);
    if !text.starts_with('{') {
        return Verdict::Taken;
    }
    let Ok(Codes(codes)) = serde_json::from_str(text) else {
        // Half an answer may be half of a refusal.
        return Verdict::failed(Reason::word("answer_malformed"));
    };
    let refused = codes.iter().find_map(|code| match number(code) {
        Some(code) if success.iter().any(|good| i64::from(*good) == code) => None,
        Some(code) => Some(Reason::code(code)),
        None => Some(Reason::word("code_unknown")),
    });
    refused.map_or(Verdict::Taken, Verdict::failed)
}

/// The members of an object that are called `code`. Serialisers write `Code` where classes have capital letters. If
/// there are several, under one name or two, all have to agree.
struct Codes(Vec<Value>);

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Codes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Codes, A::Error> {
        let mut codes = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let value: Value = map.next_value()?;
            if name.eq_ignore_ascii_case("code") {
                codes.push(value);
            }
        }
        Ok(Codes(codes))
    }
}

/// Old systems answer in their own charset; only `code` matters, but the text around it must not get in the way.
fn text(body: &[u8]) -> Cow<'_, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(body) {
        // UTF-8 or UTF-16, and it says so itself.
        return encoding.decode_without_bom_handling(&body[mark..]).0;
    }
    if let Ok(text) = std::str::from_utf8(body) {
        return text.into();
    }
    GB18030
        .decode_without_bom_handling_and_without_replacement(body)
        .unwrap_or_else(|| String::from_utf8_lossy(body))
}

fn number(code: &Value) -> Option<i64> {
    match code {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &[u8]) -> String {
        let answer = Answer {
            status,
            encoded: false,
            retry_after: Some(Duration::from_secs(7)),
            body: Some(body.to_vec()),
        };
        match judge(&answer, &[0, 200]) {
            Verdict::Taken => "taken".to_owned(),
            Verdict::Gone => "gone".to_owned(),
            Verdict::Failed { reason, silence: None } => reason.as_str().to_owned(),
            Verdict::Failed { reason, .. } => format!("{} silence", reason.as_str()),
        }
    }

    #[test]
    fn answers_mean_what_the_documents_say() {
        let table: &[(u16, &[u8], &str)] = &[
            (200, br#"{"code":0,"message":"success"}"#, "taken"),
            (200, br#"{"code":"0"}"#, "taken"),
            (200, br#"{"Code":0}"#, "taken"),
            (200, br#"{"code":200}"#, "taken"),
            (201, b"", "taken"),
            (204, b"", "taken"),
            (200, b"ok", "taken"),
            (200, b"\"ok\"", "taken"),
            (200, b"[1]", "taken"),
            (200, br#"{"result":true}"#, "taken"),
            (200, b"\xef\xbb\xbf{\"code\":0}", "taken"),
            // In GBK, with a second byte that is a backslash in ASCII.
            (200, b"{\"message\":\"\xb3\x5c\xb3\xc9\",\"code\":0}", "taken"),
            (200, b"{\"message\":\"\xb3\x5c\xb3\xc9\",\"code\":9}", "code_9"),
            (200, br#"{"code":17,"message":"Zhang San"}"#, "code_17"),
            (200, br#"{"code":-1}"#, "code_-1"),
            (200, br#"{"code":13800138000}"#, "code_other"),
            (200, br#"{"code":" 5 "}"#, "code_5"),
            (200, br#"{"CODE":1}"#, "code_1"),
            (200, br#"{"code":0,"Code":3}"#, "code_3"),
            (200, br#"{"code":null}"#, "code_unknown"),
            (200, br#"{"code":"SUCCESS"}"#, "code_unknown"),
            (200, br#"{"code":0.0}"#, "code_unknown"),
            (200, br#"{"code":0,"message":"succ"#, "answer_malformed"),
            (200, br#"{"code":3,"code":0}"#, "code_3"),
            (200, br#"{"code":0,"code":0}"#, "taken"),
            // A serialiser of texts was given a text that was JSON already.
            (200, br#""{\"code\":1}""#, "code_1"),
            (200, br#""{\"code\":0}""#, "taken"),
            (200, br#""\u007b\"code\":1}""#, "code_1"),
            // UTF-16, either way round.
            (200, b"\xff\xfe{\0\"\0c\0o\0d\0e\0\"\0:\x001\0}\0", "code_1"),
            (200, b"\xfe\xff\0{\0\"\0c\0o\0d\0e\0\"\0:\x000\0}", "taken"),
            (200, b"\x1f\x8b\x08\0\0\0\0\0", "answer_encoded"),
            (300, b"", "status_300"),
            (301, br#"{"code":0}"#, "status_301"),
            (302, b"", "status_302"),
            (400, br#"{"code":0}"#, "status_400"),
            (401, b"", "status_401"),
            (404, b"", "status_404"),
            (408, b"", "status_408"),
            (410, b"", "gone"),
            (429, b"", "status_429 silence"),
            (500, br#"{"code":0}"#, "status_500"),
            (502, b"", "status_502"),
            (503, b"", "status_503 silence"),
        ];
        for (status, body, expected) in table {
            let told = verdict(*status, body);
            assert_eq!(told, *expected, "{status} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn what_an_encoded_answer_says_is_not_known() {
        let judged = |body: &[u8]| {
            let answer = Answer {
                status: 200,
                encoded: true,
                retry_after: None,
                body: Some(body.to_vec()),
            };
            judge(&answer, &[0])
        };

        assert_eq!(judged(b"\x0b\x02"), Verdict::failed(Reason::word("answer_encoded")));
        assert_eq!(judged(b""), Verdict::Taken);
    }

    #[test]
    fn an_answer_that_is_too_long_to_read_is_no_success() {
        let answer = Answer {
            status: 200,
            encoded: false,
            retry_after: None,
            body: None,
        };

        let verdict = judge(&answer, &[0]);

        assert_eq!(verdict, Verdict::failed(Reason::word("answer_too_long")));
    }
}
