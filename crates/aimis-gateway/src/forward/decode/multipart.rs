//! Multipart bodies: `multipart/form-data`, as browsers and upload components send forms.
//!
//! Only fields are read; a part with a file name is a field like any other, for the clients that send
//! their JSON as a file. Headers of a part other than its name are not looked at.

use aimis_core::order::RepairKind;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::form::{self, Field};
use super::members::Members;
use super::{Dialects, is_media_type, not_understood};
use crate::rejection::{BodyFault, Rejection};

/// The delimiter of the parts of a body, if it is a multipart one.
pub struct Delimiter {
    /// Two dashes and the boundary.
    pub text: Vec<u8>,
    /// Whether the `Content-Type` named it; else it is the body's first line.
    pub declared: bool,
}

/// What delimits the parts of a body, if it is a multipart one: as the `Content-Type` says, and the body has to begin
/// with it, since a label alone is often wrong; else the body's first line, if a part's head follows it.
pub fn delimiter(body: &[u8], content_type: Option<&HeaderValue>) -> Option<Delimiter> {
    let of = |text, declared| Delimiter { text, declared };
    declared_delimiter(body, content_type)
        .map(|text| of(text, true))
        .or_else(|| first_line(body).map(|text| of(text, false)))
}

/// `--` and 1 to 70 characters, alone on the first line, with a header behind it that only a part has.
fn first_line(body: &[u8]) -> Option<Vec<u8>> {
    let start = body.trim_ascii_start();
    let rest = start.strip_prefix(b"--")?;
    let end = memchr::memchr(b'\n', rest)?;
    let (line, head) = (rest[..end].trim_ascii_end(), &rest[end + 1..]);
    let plain = (1..=70).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic) && !line.ends_with(b"--");
    let begins_part = head.get(..8)?.eq_ignore_ascii_case(b"content-");
    (plain && begins_part).then(|| start[..2 + line.len()].to_vec())
}

fn declared_delimiter(body: &[u8], content_type: Option<&HeaderValue>) -> Option<Vec<u8>> {
    if !is_media_type(content_type, b"multipart/") {
        return None;
    }
    let text = content_type?.as_bytes();
    let value = text.split(|b| *b == b';').skip(1).find_map(|parameter| {
        let parameter = parameter.trim_ascii();
        let (name, value) = parameter.split_at_checked(9)?;
        name.eq_ignore_ascii_case(b"boundary=").then_some(value)
    })?;
    let value = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""))
        .unwrap_or(value);
    let delimiter = [b"--", value].concat();
    ((1..=70).contains(&value.len()) && body.trim_ascii_start().starts_with(&delimiter)).then_some(delimiter)
}

/// Reads the parts of a body.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`], [`Rejection::CharsetNotSupported`].
pub fn read(
    body: &[u8],
    delimiter: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    members: &mut Members<'_>,
) -> Result<(), Rejection> {
    let mut fields = Vec::new();
    let mut rest = &body[find(body, delimiter).unwrap_or(0) + delimiter.len()..];
    loop {
        let place = body.len() - rest.len();
        if rest.starts_with(b"--") {
            break;
        }
        let fault = |fault| not_understood(body, place, fault);
        let part = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"));
        let part = part.ok_or_else(|| fault(BodyFault::Syntax))?;
        let end = next_delimiter(part, delimiter).ok_or_else(|| fault(BodyFault::EndsEarly))?;
        if fields.len() >= super::MAX_MEMBERS {
            return Err(fault(BodyFault::TooManyMembers));
        }
        fields.push(field(&part[..end.at], place).ok_or_else(|| fault(BodyFault::Syntax))?);
        rest = &part[end.at + end.length..];
    }
    form::take(body, fields, content_type, dialects, RepairKind::Multipart, members)
}

/// A delimiter with the line end that belongs to it.
struct End {
    at: usize,
    length: usize,
}

fn next_delimiter(part: &[u8], delimiter: &[u8]) -> Option<End> {
    let mut from = 0;
    loop {
        let at = from + find(&part[from..], delimiter)?;
        for line_end in [&b"\r\n"[..], b"\n"] {
            if part[..at].ends_with(line_end) {
                let at = at - line_end.len();
                return Some(End {
                    at,
                    length: line_end.len() + delimiter.len(),
                });
            }
        }
        from = at + 1;
    }
}

/// A part's name and content; `None` when it has no name or no end of its head.
fn field(part: &[u8], place: usize) -> Option<Field> {
    // The blank line that comes first ends the head; the content may hold others.
    let gaps = [&b"\r\n\r\n"[..], b"\n\n"];
    let (at, gap) = gaps
        .into_iter()
        .filter_map(|gap| Some((find(part, gap)?, gap)))
        .min_by_key(|(at, _)| *at)?;
    let (head, content) = (&part[..at], &part[at + gap.len()..]);
    let mut name = None;
    for line in head.split(|b| *b == b'\n') {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with(b"content-disposition:") {
            name = name_of(line);
        } else if let Some(encoding) = lower.strip_prefix(b"content-transfer-encoding:")
            && ![&b"7bit"[..], b"8bit", b"binary"].contains(&encoding.trim_ascii())
        {
            // Base64 taken for text would be another value than was meant.
            return None;
        }
    }
    let name = name?;
    Some(Field {
        name: Zeroizing::new(name.to_vec()),
        value: Zeroizing::new(content.to_vec()),
        place,
        is_utf8: false,
    })
}

/// The `name` parameter of a disposition.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    line.split(|b| *b == b';').skip(1).find_map(|parameter| {
        let parameter = parameter.trim_ascii();
        let equals = memchr::memchr(b'=', parameter)?;
        let value = parameter[equals + 1..].trim_ascii();
        if !parameter[..equals].trim_ascii().eq_ignore_ascii_case(b"name") {
            return None;
        }
        Some(
            value
                .strip_prefix(b"\"")
                .and_then(|v| v.strip_suffix(b"\""))
                .unwrap_or(value),
        )
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}
