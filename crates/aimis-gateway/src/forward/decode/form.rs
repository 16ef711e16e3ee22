//! Form bodies: `application/x-www-form-urlencoded`, by its label or by its look.
//!
//! Two habits are known: the whole JSON in one field (`param={...}`), and the request's fields as form
//! fields. Values are decoded from percent signs first and from their charset second, since GBK clients
//! encode GBK bytes. Both habits at once would be two sources for one member, which is refused.

use aimis_core::order::{RepairKind, Value};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::members::Members;
use super::{Dialects, charset, is_media_type, json, not_understood};
use crate::rejection::{BodyFault, Rejection};

/// What some clients write in front of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whether a body is a form: it does not look like JSON, and is labelled as one or begins like one.
pub fn is_form(body: &[u8], content_type: Option<&HeaderValue>) -> bool {
    let start = body.strip_prefix(BOM).unwrap_or(body).trim_ascii_start();
    let labelled = is_media_type(content_type, b"application/x-www-form-urlencoded");
    let name = start.split(|b| *b == b'=').next().unwrap_or_default();
    let begins_so = name.len() < start.len()
        && !name.is_empty()
        && name.len() <= 64
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'%'));
    begins_so || (labelled && !start.is_empty() && !matches!(start[0], b'{' | b'[' | b'"' | b'<' | 0xef..))
}

/// Reads a form's fields.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`], [`Rejection::CharsetNotSupported`].
pub fn read(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    members: &mut Members<'_>,
) -> Result<(), Rejection> {
    let bom = usize::from(body.starts_with(BOM)) * BOM.len();
    if bom > 0 {
        members.note(RepairKind::BomRemoved);
    }
    let mut fields = Vec::new();
    let mut at = bom;
    while at < body.len() {
        let place = at;
        let rest = &body[at..];
        let fault = |fault| not_understood(body, place, fault);
        if fields.len() >= super::MAX_MEMBERS {
            return Err(fault(BodyFault::TooManyMembers));
        }
        if let Some((name, json)) = raw_json(rest, dialects) {
            let json = json.ok_or_else(|| fault(BodyFault::HalfEncoded))?;
            at += name.len() + 1 + json.len() + 1;
            fields.push(Field {
                name: copied(name),
                value: copied(json),
                place,
                is_utf8: false,
            });
            continue;
        }
        let pair = rest.split(|b| *b == b'&').next().unwrap_or_default();
        at += pair.len() + 1;
        let pair = if at > body.len() { pair.trim_ascii_end() } else { pair };
        if pair.is_empty() {
            continue;
        }
        let mut parts = pair.splitn(2, |b| *b == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_utf8 = unicode_escapes(name) || unicode_escapes(value);
        let (Some(name), Some(value)) = (percent_decoded(name), percent_decoded(value)) else {
            return Err(fault(BodyFault::Syntax));
        };
        if is_utf8 {
            members.note(RepairKind::PercentU);
        }
        fields.push(Field {
            name,
            value,
            place,
            is_utf8,
        });
    }
    take(body, fields, content_type, dialects, RepairKind::FormFields, members)
}

/// JSON that was put behind `param=` as it is, by clients that encode nothing: a quote stands in it, which an
/// encoded value never has. It goes to the last brace, and none of its `+`, `&` and `%` means anything.
/// `Some((_, None))` when a part of it is encoded nevertheless: which part cannot be told.
fn raw_json<'a>(rest: &'a [u8], dialects: &Dialects) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let equals = memchr::memchr(b'=', rest.get(..rest.len().min(65))?)?;
    let (name, value) = (&rest[..equals], &rest[equals + 1..]);
    let known = dialects.form_fields.iter().any(|field| field.as_bytes() == name);
    if !known || !value.trim_ascii_start().starts_with(b"{") || memchr::memchr(b'"', value).is_none() {
        return None;
    }
    let end = memchr::memrchr(b'}', value).map_or(value.len(), |at| at + 1);
    let (json, behind) = value.split_at(end);
    let ends_well = behind.trim_ascii().is_empty() || behind.starts_with(b"&");
    let is_code = |code: &[u8]| code[1] == b'u' || (code[1].is_ascii_hexdigit() && code[2].is_ascii_hexdigit());
    let encoded = json.windows(3).any(|code| code[0] == b'%' && is_code(code));
    Some((name, (ends_well && !encoded).then_some(json)))
}

fn copied(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

/// One field of a form, in whatever charset, and where it stands in the body.
pub(super) struct Field {
    pub(super) name: Zeroizing<Vec<u8>>,
    pub(super) value: Zeroizing<Vec<u8>>,
    pub(super) place: usize,
    /// Whether it says what its characters are, whatever charset its neighbours are in.
    pub(super) is_utf8: bool,
}

/// Takes the fields of a form, or the JSON that one of them holds.
pub(super) fn take(
    body: &[u8],
    fields: Vec<Field>,
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    repair: RepairKind,
    members: &mut Members<'_>,
) -> Result<(), Rejection> {
    // One body has one charset: a name that is valid UTF-8 by chance is read like its neighbours.
    let mixed = fields
        .iter()
        .any(|field| !field.is_utf8 && std::str::from_utf8(&field.value).is_err());
    let gbk = HeaderValue::from_static("text/plain; charset=GB18030");
    let undeclared = mixed && charset::declared(content_type).is_none();
    let content_type = if undeclared { Some(&gbk) } else { content_type };
    if undeclared {
        members.note(RepairKind::CharsetGuessed);
    }
    let utf8 = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut wrapped = false;
    let mut plain = false;
    for field in fields {
        let fault = |fault| not_understood(body, field.place, fault);
        // An escaped field names its characters; bytes of another charset beside them are nobody's guess.
        let content_type = if field.is_utf8 { Some(&utf8) } else { content_type };
        if field.is_utf8
            && [&field.name, &field.value]
                .iter()
                .any(|text| std::str::from_utf8(text).is_err())
        {
            return Err(fault(BodyFault::NotUtf8));
        }
        let (name, _) = charset::read_part(&field.name, content_type).map_err(|_| fault(BodyFault::NotUtf8))?;
        let (value, repairs) = charset::read_part(&field.value, content_type)?;
        let told = repairs
            .into_iter()
            .filter(|repair| !(undeclared && *repair == RepairKind::CharsetConverted));
        told.for_each(|repair| members.note(repair));
        let (name, value) = (name.as_str().trim(), value.as_str());
        if dialects.form_fields.iter().any(|known| known == name) && value.trim_start().starts_with('{') {
            if wrapped || plain {
                return Err(fault(BodyFault::DuplicateKey));
            }
            wrapped = true;
            members.note(RepairKind::FormWrapped);
            json::read(value, members)?;
        } else {
            if members.is_known(name) {
                if wrapped {
                    return Err(fault(BodyFault::DuplicateKey));
                }
                plain = true;
            }
            members.set(name, Value::Text(value)).map_err(fault)?;
        }
    }
    if plain {
        members.note(repair);
    }
    Ok(())
}

/// Whether JavaScript's old `escape()` wrote the text: `%u5F20`.
fn unicode_escapes(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"%u").is_some()
}

/// `%41`, `%u5F20` and `+` decoded; `None` when a percent sign is not followed by its hex digits, or these name half
/// of a surrogate pair. `escape()` leaves `+` as it is and writes `%E9` for U+00E9, but where `%u` is beside it both may
/// be somebody else's as well: the plus is refused, and the byte is no UTF-8.
fn percent_decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let escaped = unicode_escapes(text);
    // Nothing decoded is longer than its code, so the buffer never moves and leaves no copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' if escaped => return None,
            b'+' => out.push(b' '),
            b'%' if rest.starts_with(b"u") => {
                let (decoded, behind) = unicode_escape(rest)?;
                out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).ok()?;
                out.push(decoded[0]);
                rest = behind;
            }
            other => out.push(other),
        }
    }
    Some(out)
}

/// The character of `u5F20`, or of a surrogate pair `uD842%uDFB7`, and what follows.
fn unicode_escape(text: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = code_unit(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first.into())?, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix(b"%")?)?;
    let pair = char::decode_utf16([first, second]).next()?.ok()?;
    Some((pair, rest))
}

fn code_unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.strip_prefix(b"u")?.split_at_checked(4)?;
    let mut unit = [0; 2];
    hex::decode_to_slice(digits, &mut unit).ok()?;
    Some((u16::from_be_bytes(unit), rest))
}
