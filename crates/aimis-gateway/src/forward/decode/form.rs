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

/// Whether a body is a form: it does not look like JSON, and is labelled as one or begins like one.
pub fn is_form(body: &[u8], content_type: Option<&HeaderValue>) -> bool {
    let start = body.trim_ascii_start();
    let labelled = is_media_type(content_type, b"application/x-www-form-urlencoded");
    let name = start.split(|b| *b == b'=').next().unwrap_or_default();
    let begins_so = name.len() < start.len()
        && !name.is_empty()
        && name.len() <= 64
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'%'));
    begins_so || (labelled && !start.is_empty() && !matches!(start[0], b'{' | b'[' | b'"' | 0xef..))
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
    let mut fields = Vec::new();
    let mut at = 0;
    for pair in body.split(|b| *b == b'&') {
        let place = at;
        at += pair.len() + 1;
        let pair = if at > body.len() { pair.trim_ascii_end() } else { pair };
        if pair.is_empty() {
            continue;
        }
        if fields.len() >= super::MAX_MEMBERS {
            return Err(not_understood(body, place, BodyFault::TooManyMembers));
        }
        let mut parts = pair.splitn(2, |b| *b == b'=');
        let name = percent_decoded(parts.next().unwrap_or_default());
        let value = percent_decoded(parts.next().unwrap_or_default());
        let (Some(name), Some(value)) = (name, value) else {
            return Err(not_understood(body, place, BodyFault::Syntax));
        };
        fields.push(Field { name, value, place });
    }
    take(body, fields, content_type, dialects, RepairKind::FormFields, members)
}

/// One field of a form, in whatever charset, and where it stands in the body.
pub(super) struct Field {
    pub(super) name: Zeroizing<Vec<u8>>,
    pub(super) value: Zeroizing<Vec<u8>>,
    pub(super) place: usize,
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
    let mut wrapped = false;
    let mut plain = false;
    for field in fields {
        let fault = |fault| not_understood(body, field.place, fault);
        let (name, _) = charset::read(&field.name, content_type).map_err(|_| fault(BodyFault::NotUtf8))?;
        let (value, repairs) = charset::read(&field.value, content_type)?;
        repairs.into_iter().for_each(|repair| members.note(repair));
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

/// `%41` and `+` decoded; `None` when a percent sign is not followed by two hex digits.
fn percent_decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [*bytes.next()?, *bytes.next()?];
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).ok()?;
                decoded[0]
            }
            other => *other,
        });
    }
    Some(out)
}
