//! The answer in the words of its client: status, escapes and charset for clients that know no others.
//!
//! For most clients nothing happens here, and the platform's answer stays as it came, byte for byte (P4). A
//! client that is configured otherwise gives that up, and `X-Aimis-Answer` tells it so with every answer. What
//! is between the characters of the text does not change: numbers, order, unknown members stay as they are.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{GB18030, GBK};
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;

use super::notes::Notes;
use crate::client::Answers;
use crate::config::{AnswerCharset, AnswerStatus};
use crate::edge::connection::Body;
use crate::json_charset::{encoded, escape};

/// What was done to an answer that is not the platform's byte for byte.
const X_AIMIS_ANSWER: HeaderName = HeaderName::from_static("x-aimis-answer");
/// The status that `always_200` hides.
const X_AIMIS_STATUS: HeaderName = HeaderName::from_static("x-aimis-status");

const ASCII: HeaderValue = HeaderValue::from_static("ascii-json");

/// Puts an answer into its client's words.
pub fn adapt(response: &mut Response<Body>, answers: Answers, notes: &mut Notes) {
    if answers.status == AnswerStatus::Always200 && response.status() != StatusCode::OK {
        let status = HeaderValue::from(response.status().as_u16());
        response.headers_mut().insert(X_AIMIS_STATUS, status);
        *response.status_mut() = StatusCode::OK;
    }
    if answers.ascii_json || answers.charset != AnswerCharset::Utf8 {
        rewrite(response, answers, notes);
    }
}

/// Writes the body anew in another charset, or in ASCII alone.
fn rewrite(response: &mut Response<Body>, answers: Answers, notes: &mut Notes) {
    let whole = std::mem::take(response.body_mut()).collect().now_or_never();
    // A body is whole before it comes here, so there is nothing to wait for.
    let body = whole
        .and_then(Result::ok)
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let Some(text) = text(&body, response.headers().get(CONTENT_TYPE)) else {
        notes.warn("reply", "charset-unknown");
        *response.body_mut() = Body::new(body);
        return;
    };
    let (bytes, media_type, told) = if answers.ascii_json {
        (escaped(&text).into_bytes(), "application/json; charset=utf-8", ASCII)
    } else {
        let (encoding, media_type, told) = match answers.charset {
            AnswerCharset::Gb18030 => (GB18030, "application/json; charset=GB18030", "charset=gb18030"),
            AnswerCharset::Gbk => (GBK, "application/json; charset=GBK", "charset=gbk"),
            AnswerCharset::Utf8 => (encoding_rs::UTF_8, "application/json; charset=utf-8", "charset=utf-8"),
        };
        (encoded(&text, encoding), media_type, HeaderValue::from_static(told))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.append(X_AIMIS_ANSWER, told);
    *response.body_mut() = Body::new(Bytes::from(bytes));
}

/// The text of an answer: UTF-8, else its declared charset, else GB18030. `None` if it is none of them.
fn text<'a>(body: &'a [u8], content_type: Option<&HeaderValue>) -> Option<Cow<'a, str>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if let Ok(text) = std::str::from_utf8(body) {
        return Some(text.into());
    }
    let declared = super::decode::charset::declared(content_type);
    declared
        .into_iter()
        .chain([GB18030])
        .find_map(|encoding| encoding.decode_without_bom_handling_and_without_replacement(body))
}

/// JSON in ASCII: every other character as the escapes of its UTF-16 units (RFC 8259, section 7). In JSON such
/// characters stand in strings only, where an escape means the same.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            escape(character, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn escapes_mean_the_same_and_nothing_else_changes() {
        let text = r#"{"name":"张三🩻","n":1.10,"e":1E+2,"u":"\u5f20\n"}"#;

        let ascii = escaped(text);

        assert_eq!(
            ascii,
            r#"{"name":"\u5f20\u4e09\ud83e\ude7b","n":1.10,"e":1E+2,"u":"\u5f20\n"}"#
        );
    }

    #[test]
    fn gbk_escapes_what_it_lacks() {
        let bytes = encoded(r#"{"name":"张🩻"}"#, GBK);

        assert_eq!(bytes, b"{\"name\":\"\xd5\xc5\\ud83e\\ude7b\"}");
    }

    #[test]
    fn an_answer_in_gb18030_is_read_before_it_is_written_anew() {
        let gb = b"{\"m\":\"\xd5\xc5\"}";
        assert_eq!(text(gb, None).as_deref(), Some("{\"m\":\"张\"}"));
        assert_eq!(text(b"\xef\xbb\xbf{}", None).as_deref(), Some("{}"));
        assert_eq!(text(b"{\"m\":\"\xff\"}", None), None);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let ascii = escaped(&json);
            prop_assert!(ascii.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&ascii).unwrap(), Value::from(text.as_str()));
            for encoding in [GBK, GB18030] {
                let bytes = encoded(&json, encoding);
                let back = encoding.decode_without_bom_handling_and_without_replacement(&bytes).unwrap();
                prop_assert_eq!(serde_json::from_str::<Value>(&back).unwrap(), Value::from(text.as_str()));
            }
        }
    }
}
