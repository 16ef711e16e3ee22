//! A body's bytes become text: UTF-8 as it should be, or what old clients send instead.
//!
//! In this order: a byte order mark; UTF-16 that shows itself by its zero bytes; valid UTF-8; the declared
//! charset; GB18030, which contains GBK and GB2312. Valid UTF-8 comes before the declaration, because
//! clients label more than they convert. One kind of text can be both: a short name in GBK may be valid
//! UTF-8 by chance, then always of two-byte characters (U+0080 to U+07FF), in which no Chinese is written.
//! Such text is GB18030 if its label says so; under any other label, or none, `script` tells by its shape, and
//! whatever could be both is told as a guess. A Western label
//! (ISO 8859-1, windows-1252, ASCII) is what libraries write when nobody told them: every byte is a letter of
//! it, so a Chinese name would turn into other letters in silence. Under it, GB18030 is preferred unless the
//! text has nothing but single accented letters among plain ones. A label of UTF-16 on other bytes is no label.
//! Bytes that are in no charset are refused: replacing them would change a name or a number in silence.

use std::borrow::Cow;

use aimis_core::order::RepairKind;
use encoding_rs::{Encoding, GB18030, UTF_16BE, UTF_16LE};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::not_understood;
use super::script::{self, Reading};
use crate::rejection::{BodyFault, Rejection};

/// Text of a body. What had to be converted is wiped when dropped.
pub enum Text<'a> {
    /// The bytes were UTF-8.
    Borrowed(&'a str),
    /// They were converted.
    Converted(Zeroizing<String>),
}

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Converted(text) => text,
        }
    }
}

/// Reads `body` as text, and tells what had to be done for that.
///
/// # Errors
/// [`Rejection::CharsetNotSupported`] when the declared charset is unknown,
/// [`Rejection::BodyNotUnderstood`] with the place of the first byte that is in no charset.
pub fn read<'a>(body: &'a [u8], content_type: Option<&HeaderValue>) -> Result<(Text<'a>, Vec<RepairKind>), Rejection> {
    let declared = known(content_type)?;
    let bom = without_bom(body).len() < body.len();
    let Some((utf16, rest)) = utf16(without_bom(body)) else {
        return of_bytes(body, declared);
    };
    let mut repairs = Vec::new();
    if bom {
        repairs.push(RepairKind::BomRemoved);
    }
    repairs.push(RepairKind::CharsetConverted);
    convert(body, rest, utf16).map(|text| (without_nul(text, &mut repairs), repairs))
}

/// Reads a part of a body as text: as [`read`], but its zero bytes are characters. A value may begin with one, and
/// UTF-16 shows itself at the beginning of a body only.
///
/// # Errors
/// As [`read`].
pub(super) fn read_part<'a>(
    part: &'a [u8],
    content_type: Option<&HeaderValue>,
) -> Result<(Text<'a>, Vec<RepairKind>), Rejection> {
    of_bytes(part, known(content_type)?)
}

fn known(content_type: Option<&HeaderValue>) -> Result<Option<&'static Encoding>, Rejection> {
    match content_type.and_then(charset_of) {
        Some(label) => encoding(&label).map(Some).ok_or(Rejection::CharsetNotSupported),
        None => Ok(None),
    }
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Text that is not in UTF-16 unless that is declared.
fn of_bytes<'a>(body: &'a [u8], declared: Option<&'static Encoding>) -> Result<(Text<'a>, Vec<RepairKind>), Rejection> {
    let bytes = without_bom(body);
    let mut repairs = Vec::new();
    if bytes.len() < body.len() {
        repairs.push(RepairKind::BomRemoved);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if could_be_gb18030(text) => match (declared, script::reading(text)) {
            (Some(encoding), _) if [GB18030, encoding_rs::GBK].contains(&encoding) => {
                repairs.push(RepairKind::CharsetConverted);
                convert(body, bytes, GB18030)?
            }
            (_, Reading::Gb18030) => {
                repairs.push(RepairKind::CharsetGuessed);
                convert(body, bytes, GB18030)?
            }
            (Some(encoding), Reading::Utf8) if !is_beside_the_point(encoding) => Text::Borrowed(text),
            (_, Reading::Utf8 | Reading::PerhapsUtf8) => {
                repairs.push(RepairKind::CharsetGuessed);
                Text::Borrowed(text)
            }
        },
        Ok(text) => {
            if declared.is_some_and(is_beside_the_point) {
                repairs.push(RepairKind::CharsetGuessed);
            }
            Text::Borrowed(text)
        }
        Err(fault) => {
            let declared = declared.filter(|encoding| {
                *encoding != encoding_rs::UTF_8 && !is_beside_the_point(encoding) && !is_mislabelled(bytes, encoding)
            });
            let as_declared = declared.and_then(|encoding| convert(body, bytes, encoding).ok());
            let repair = if as_declared.is_some() {
                RepairKind::CharsetConverted
            } else {
                RepairKind::CharsetGuessed
            };
            repairs.push(repair);
            let bom = body.len() - bytes.len();
            as_declared
                .map_or_else(|| convert(body, bytes, GB18030), Ok)
                .map_err(|_| not_understood(body, bom + fault.valid_up_to(), BodyFault::NotUtf8))?
        }
    };
    Ok((without_nul(text, &mut repairs), repairs))
}

/// Whether a label says nothing of text that has no zero bytes: UTF-16, which clients mean by `unicode`, and the
/// private one that browsers have for bytes.
fn is_beside_the_point(declared: &'static Encoding) -> bool {
    [UTF_16LE, UTF_16BE, encoding_rs::X_USER_DEFINED].contains(&declared)
}

/// Whether a Western label stands on text that is none: it is GB18030, and Chinese in it, or has bytes beyond ASCII
/// other than single letters among plain ones.
fn is_mislabelled(bytes: &[u8], declared: &'static Encoding) -> bool {
    let western = [encoding_rs::WINDOWS_1252, encoding_rs::ISO_8859_15].contains(&declared);
    let is_accented = |byte: u8| matches!(byte, 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..);
    // An accent has a plain letter beside it, and nothing that stands in no word.
    let in_word = |b: u8| b.is_ascii_alphabetic();
    let beside_word = |b: u8| in_word(b) || matches!(b, b'"' | b'\'' | b'-' | b'.' | b',' | b' ' | b'\\');
    let accents_alone = bytes.iter().enumerate().all(|(at, b)| {
        let before = at.checked_sub(1).map_or(b' ', |at| bytes[at]);
        let behind = bytes.get(at + 1).copied().unwrap_or(b' ');
        let among_letters = beside_word(before) && beside_word(behind) && (in_word(before) || in_word(behind));
        b.is_ascii() || (is_accented(*b) && among_letters)
    });
    western
        && (!accents_alone || script::is_chinese(bytes))
        && GB18030
            .decode_without_bom_handling_and_without_replacement(bytes)
            .is_some()
}

/// A body in UTF-16 as UTF-8, so that forms and parts are found in it as in any other; `None` if it is in none.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] for half of a surrogate pair, or of a character.
pub fn from_utf16(body: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, Rejection>> {
    let (encoding, rest) = utf16(body)?;
    let text = convert(body, rest, encoding);
    Some(text.map(|text| Zeroizing::new(text.as_str().as_bytes().to_vec())))
}

/// Whether text that is valid UTF-8 may as well be GB18030: it has no character beyond U+07FF, though some
/// beyond ASCII, and they are pairs of that charset too.
fn could_be_gb18030(text: &str) -> bool {
    !text.is_ascii()
        && text.chars().all(|c| c < '\u{800}')
        && GB18030
            .decode_without_bom_handling_and_without_replacement(text.as_bytes())
            .is_some()
}

/// UTF-16 by its byte order mark, or by the zero byte that every ASCII character has in it: JSON and forms
/// begin with one. The text behind the mark comes with it.
fn utf16(bytes: &[u8]) -> Option<(&'static Encoding, &[u8])> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => Some((UTF_16LE, rest)),
        [0xfe, 0xff, rest @ ..] => Some((UTF_16BE, rest)),
        [first, 0, ..] if first.is_ascii_graphic() => Some((UTF_16LE, bytes)),
        [0, first, ..] if first.is_ascii_graphic() => Some((UTF_16BE, bytes)),
        _ => None,
    }
}

fn convert<'a>(body: &[u8], bytes: &'a [u8], encoding: &'static Encoding) -> Result<Text<'a>, Rejection> {
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(Cow::Borrowed(text)) => Ok(Text::Borrowed(text)),
        Some(Cow::Owned(text)) => Ok(Text::Converted(Zeroizing::new(text))),
        None => Err(not_understood(body, 0, BodyFault::NotUtf8)),
    }
}

/// C strings are sent with their end by some clients.
fn without_nul<'a>(text: Text<'a>, repairs: &mut Vec<RepairKind>) -> Text<'a> {
    let length = text.as_str().trim_end_matches('\0').len();
    if length == text.as_str().len() {
        return text;
    }
    repairs.push(RepairKind::TrailingNul);
    match text {
        Text::Borrowed(text) => Text::Borrowed(&text[..length]),
        Text::Converted(mut text) => {
            text.truncate(length);
            Text::Converted(text)
        }
    }
}

/// The charset that a `Content-Type` declares, if it is a known one.
pub(in crate::forward) fn declared(content_type: Option<&HeaderValue>) -> Option<&'static Encoding> {
    let known = content_type.and_then(charset_of).and_then(|label| encoding(&label));
    known.filter(|encoding| !is_beside_the_point(encoding))
}

/// The `charset` parameter of a media type, in lower case and without quotes.
fn charset_of(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.as_bytes();
    text.split(|b| *b == b';').skip(1).find_map(|parameter| {
        let mut parts = parameter.splitn(2, |b| *b == b'=');
        let name = parts.next()?.trim_ascii();
        let value = parts.next()?.trim_ascii();
        let value = value
            .strip_prefix(b"\"")
            .and_then(|v| v.strip_suffix(b"\""))
            .unwrap_or(value);
        name.eq_ignore_ascii_case(b"charset")
            .then(|| String::from_utf8_lossy(value).to_ascii_lowercase())
            .filter(|label| !label.is_empty())
    })
}

/// A charset by its label: those of the WHATWG encoding standard, and what Windows clients call theirs.
fn encoding(label: &str) -> Option<&'static Encoding> {
    match label {
        "cp936" | "ms936" | "windows-936" | "936" | "gb-18030" => Some(GB18030),
        "utf_8" | "utf8mb4" | "65001" | "cp65001" => Some(encoding_rs::UTF_8),
        _ => Encoding::for_label(label.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn of(body: &[u8], content_type: Option<&'static str>) -> Result<(String, Vec<&'static str>), u32> {
        let content_type = content_type.map(HeaderValue::from_static);
        read(body, content_type.as_ref())
            .map(|(text, repairs)| (text.as_str().to_owned(), repairs.iter().map(|r| r.as_str()).collect()))
            .map_err(|rejection| rejection.public().code)
    }

    #[test]
    fn every_charset_of_the_vectors_is_read() {
        let vectors: Value = serde_json::from_str(include_str!("../../../../../tests/vectors/vectors.json")).unwrap();
        for vector in vectors["charset"].as_array().unwrap() {
            let bytes = hex::decode(vector["bytes_hex"].as_str().unwrap()).unwrap();
            let (text, _) = of(&bytes, None).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            let wanted: Value = serde_json::from_str(vector["text"].as_str().unwrap()).unwrap();
            assert_eq!(read, wanted, "{}", vector["name"]);
        }
    }

    #[test]
    fn what_was_done_is_told() {
        let gbk = b"{\"a\":\"\xd5\xc5\xc8\xfd\"}";
        let text = "{\"a\":\"张三\"}".to_owned();
        assert_eq!(
            of(text.as_bytes(), Some("application/json; charset=GB2312")),
            Ok((text.clone(), vec![]))
        );
        assert_eq!(of(gbk, None), Ok((text.clone(), vec!["charset-guessed"])));
        assert_eq!(
            of(gbk, Some("text/plain;charset=utf-8")),
            Ok((text.clone(), vec!["charset-guessed"]))
        );
        assert_eq!(
            of(gbk, Some("text/plain; Charset=\"GBK\"")),
            Ok((text.clone(), vec!["charset-converted"]))
        );
        assert_eq!(
            of(gbk, Some("text/plain; charset=euc-kr")).unwrap().1,
            vec!["charset-converted"]
        );
        assert_eq!(
            of(gbk, Some("text/plain; charset=cp936")),
            Ok((text, vec!["charset-converted"]))
        );
        for label in ["x-gbk", "GB2312", "\"Gb18030\"", "936"] {
            let content_type = HeaderValue::from_str(&format!("text/plain;charset={label}")).unwrap();
            let (text, repairs) = read(gbk, Some(&content_type)).unwrap();
            assert_eq!(
                (text.as_str(), &*repairs),
                ("{\"a\":\"张三\"}", &[RepairKind::CharsetConverted][..]),
                "{label}"
            );
        }
        assert_eq!(
            of(b"{\"a\":\"\xb1i\"}", Some("text/plain; charset=big5")),
            Ok(("{\"a\":\"張\"}".into(), vec!["charset-converted"]))
        );
        assert_eq!(
            of(b"\xef\xbb\xbf{}\0\0", None),
            Ok(("{}".into(), vec!["bom-removed", "trailing-nul"]))
        );
        assert_eq!(of(b"{\0}\0", None), Ok(("{}".into(), vec!["charset-converted"])));
        assert_eq!(
            of(b"\0{\0}", Some("a/b; charset=utf-16")),
            Ok(("{}".into(), vec!["charset-converted"]))
        );
    }

    #[test]
    fn a_gbk_name_that_is_valid_utf8_by_chance_is_found_under_every_label() {
        let gbk = b"{\"a\":\"\xc7\xae\xc7\xbf\"}"; // 钱强
        let text = "{\"a\":\"钱强\"}".to_owned();
        assert_eq!(
            of(gbk, Some("application/json; charset=GBK")),
            Ok((text.clone(), vec!["charset-converted"]))
        );
        assert_eq!(
            of(gbk, Some("application/json; charset=gb2312")),
            Ok((text.clone(), vec!["charset-converted"]))
        );
        for label in [
            None,
            Some("application/json"),
            Some("application/json; charset=utf-8"),
            Some("application/json; charset=ISO-8859-1"),
            Some("application/json; charset=windows-1252"),
        ] {
            assert_eq!(of(gbk, label), Ok((text.clone(), vec!["charset-guessed"])), "{label:?}");
        }
        for name in ["René", "Müller", "Анна", "Ελένη"] {
            let text = format!("{{\"a\":\"{name}\"}}");
            let labelled = of(text.as_bytes(), Some("application/json; charset=utf-8"));
            assert_eq!(labelled, Ok((text, vec![])));
        }
        let cyrillic = "{\"a\":\"Анна 张\"}";
        assert_eq!(
            of(cyrillic.as_bytes(), Some("a/b; charset=GBK")),
            Ok((cyrillic.to_owned(), vec![]))
        );
    }

    #[test]
    fn a_western_label_turns_no_chinese_name_into_accents() {
        for label in [
            "text/plain; charset=ISO-8859-1",
            "text/plain; charset=windows-1252",
            "text/plain;charset=us-ascii",
        ] {
            // 张三, and 張: a byte of it is no letter in any Western charset.
            assert_eq!(
                of(b"{\"a\":\"\xd5\xc5\xc8\xfd\"}", Some(label)),
                Ok(("{\"a\":\"张三\"}".into(), vec!["charset-guessed"]))
            );
            assert_eq!(
                of(b"{\"a\":\"\x8f\x88\"}", Some(label)),
                Ok(("{\"a\":\"張\"}".into(), vec!["charset-guessed"]))
            );
            assert_eq!(
                of("{\"a\":\"张三\"}".as_bytes(), Some(label)),
                Ok(("{\"a\":\"张三\"}".into(), vec![]))
            );
            assert_eq!(
                of(b"{\"a\":\"M\xfcller, Ren\xe9\"}", Some(label)),
                Ok(("{\"a\":\"Müller, René\"}".into(), vec!["charset-converted"]))
            );
        }
    }

    #[test]
    fn an_accent_stands_among_letters() {
        // 葉 and 趙, each half of a letter in ASCII.
        for (name, chinese) in [(&b"\xc8~"[..], "葉"), (b"\xdaw", "趙"), (b"\xc8~\xc3\xf7", "葉明")] {
            let body = [b"{\"a\":\"", name, b"\"}"].concat();
            assert_eq!(
                of(&body, Some("text/plain; charset=iso-8859-1")),
                Ok((format!("{{\"a\":\"{chinese}\"}}"), vec!["charset-guessed"]))
            );
        }
        assert_eq!(
            of(b"{\"a\":\"Jo\xe3o\"}", Some("text/plain; charset=iso-8859-1")),
            Ok(("{\"a\":\"João\"}".into(), vec!["charset-converted"]))
        );
    }

    #[test]
    fn a_label_of_utf16_on_other_bytes_is_no_label() {
        for label in ["utf-16", "unicode", "utf-16be", "x-user-defined"] {
            let content_type = HeaderValue::from_str(&format!("a/b; charset={label}")).unwrap();
            for body in ["{\"a\":\"张三\"}".as_bytes(), b"{\"a\":\"\xd5\xc5\xc8\xfd\"}"] {
                let (text, repairs) = read(body, Some(&content_type)).unwrap();
                assert_eq!(
                    (text.as_str(), &*repairs),
                    ("{\"a\":\"张三\"}", &[RepairKind::CharsetGuessed][..])
                );
            }
        }
    }

    #[test]
    fn bytes_of_no_charset_and_unknown_labels_are_refused() {
        assert_eq!(of(b"{\"a\":\"\xff\"}", None), Err(800_001));
        assert_eq!(of(b"\xff\xfe{\0\0\xd8", None), Err(800_001));
        assert_eq!(of(b"{}", Some("application/json; charset=klingon")), Err(800_002));
        assert_eq!(of(b"{}", Some("application/json; charset=")), Ok(("{}".into(), vec![])));
    }
}
