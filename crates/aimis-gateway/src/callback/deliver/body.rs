//! What the HIS gets: the platform's fields and three of ours, in its charset.
//!
//! ```text
//! {"status":1, … ,"eventId":"evt_…","receivedAt":"2025-01-01T08:00:00.123+08:00","verified":"signed"}
//! ```

use std::fmt::Write as _;

use aimis_core::datetime::DateTime;
use aimis_core::sign::Timestamp;
use bytes::Bytes;
use encoding_rs::{GB18030, GBK};
use zeroize::Zeroizing;

use crate::callback::event::{EventId, Payload, Verified};
use crate::config::TargetCharset;
use crate::json_charset::encode;

/// What is kept is no JSON object, so it was not written by this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoObject;

/// Writes the body of an event. Like the payload it is wiped when dropped.
///
/// # Errors
/// [`NoObject`].
pub(crate) fn write(
    payload: &Payload,
    event: EventId,
    received_at: Timestamp,
    verified: Verified,
    charset: TargetCharset,
) -> Result<Bytes, NoObject> {
    let object = std::str::from_utf8(payload.as_bytes()).map_err(|_| NoObject)?;
    let members = object.trim().strip_suffix('}').ok_or(NoObject)?.trim_end();
    let first = members.strip_prefix('{').ok_or(NoObject)?.trim_start().is_empty();
    // All room at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(members.len() + 192));
    text.push_str(members);
    if !first {
        text.push(',');
    }
    let received_at = in_china(received_at);
    write!(
        text,
        "\"eventId\":\"{event}\",\"receivedAt\":\"{received_at}\",\"verified\":\"{}\"}}",
        verified.as_str()
    )
    .expect("a String takes every character");
    let encoding = match charset {
        TargetCharset::Utf8 => return Ok(Bytes::from_owner(Utf8(text))),
        TargetCharset::Gb18030 => GB18030,
        TargetCharset::Gbk => GBK,
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 3 + 32));
    encode(&text, encoding, &mut bytes);
    Ok(Bytes::from_owner(bytes))
}

/// The `Content-Type` of a body; the charset is always named, since old servers guess another than UTF-8.
pub(super) fn content_type(charset: TargetCharset) -> &'static str {
    match charset {
        TargetCharset::Utf8 => "application/json; charset=utf-8",
        TargetCharset::Gb18030 => "application/json; charset=GB18030",
        TargetCharset::Gbk => "application/json; charset=GBK",
    }
}

struct Utf8(Zeroizing<String>);

impl AsRef<[u8]> for Utf8 {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// RFC 3339 as a clock in China shows it, with milliseconds: what a reader of the HIS's screens expects, and still one
/// moment for every program.
fn in_china(at: Timestamp) -> String {
    let (seconds, millis) = (at.as_millis() / 1000, at.as_millis() % 1000);
    let local = i64::try_from(seconds).ok().and_then(DateTime::in_china);
    let local = local.map_or_else(|| "1970-01-01 08:00:00".to_owned(), |local| local.to_string());
    format!("{}.{millis:03}+08:00", local.replace(' ', "T"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const EVENT: &str = "evt_01941f297c0070008000000000000001";
    const AT: Timestamp = Timestamp::from_millis(1_735_689_600_123);

    fn body(payload: &str, charset: TargetCharset) -> Result<Bytes, NoObject> {
        let payload = Payload::new(Zeroizing::new(payload.as_bytes().to_vec()));
        write(&payload, EventId::parse(EVENT).unwrap(), AT, Verified::Shared, charset)
    }

    #[test]
    fn our_fields_stand_behind_the_platforms_which_stay_as_they_are() {
        let body = body(r#"{"status":1,"n":1.10,"studyName":"胸部CT"}"#, TargetCharset::Utf8).unwrap();

        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            format!(
                r#"{{"status":1,"n":1.10,"studyName":"胸部CT","eventId":"{EVENT}","receivedAt":"2025-01-01T08:00:00.123+08:00","verified":"shared"}}"#
            )
        );
    }

    #[test]
    fn an_empty_object_and_blanks_are_no_trouble_and_anything_else_is_no_event() {
        for payload in ["{}", " { } ", "{\"a\":1 }\n"] {
            let body: Value = serde_json::from_slice(&body(payload, TargetCharset::Utf8).unwrap()).unwrap();
            assert_eq!(body["eventId"], EVENT, "{payload}");
        }
        for payload in ["", "}", "{", "[]", "null"] {
            assert_eq!(body(payload, TargetCharset::Utf8), Err(NoObject), "{payload}");
        }
    }

    #[test]
    fn gbk_is_written_as_gbk_and_what_it_lacks_as_an_escape() {
        let body = body(r#"{"name":"张🩻"}"#, TargetCharset::Gbk).unwrap();

        assert!(body.starts_with(b"{\"name\":\"\xd5\xc5\\ud83e\\ude7b\""));
    }

    proptest! {
        #[test]
        fn every_text_comes_back_in_every_charset(text: String) {
            let payload = json!({ "studyName": text }).to_string();
            for (charset, encoding) in
                [(TargetCharset::Utf8, encoding_rs::UTF_8), (TargetCharset::Gb18030, GB18030), (TargetCharset::Gbk, GBK)]
            {
                let body = body(&payload, charset).unwrap();
                let text_of = encoding.decode_without_bom_handling_and_without_replacement(&body).unwrap();
                let value: Value = serde_json::from_str(&text_of).unwrap();
                prop_assert_eq!(&value["studyName"], &Value::from(text.as_str()));
                prop_assert_eq!(&value["verified"], "shared");
            }
        }
    }
}
