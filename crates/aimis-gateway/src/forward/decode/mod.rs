//! The caller's bytes become an order: read within bounds, understood without guessing.
//!
//! | file | reads |
//! |---|---|
//! | [`body`] | the bytes, within size and time |
//! | `plain` | a body that is as it should be, in one pass; the rest is for those that are not |
//! | [`charset`] | text of bytes; `script` knows words of an alphabet from Chinese in the wrong charset |
//! | [`json`] | the members of a JSON object |
//! | [`form`], [`multipart`] | the fields of a form, or the JSON in one of them |
//! | [`members`] | each member into the order |
//!
//! Which dialect a body is in is told by the body first and its `Content-Type` second: old clients label
//! JSON as a form and forms as nothing. Nothing of the bytes themselves goes on: what leaves the house
//! later is written from the order (design.md, P2).

pub mod body;
pub mod charset;
pub mod form;
pub mod json;
pub mod members;
pub mod multipart;
mod plain;
mod script;

use aimis_core::order::{OrderBuilder, RepairKind};
use http::HeaderValue;

use super::{MAX_DEPTH, MAX_MEMBERS};
use crate::config::UnknownFields;
use crate::rejection::{BodyFault, Rejection};
use members::{Members, Unknown};

/// How bodies are understood.
#[derive(Clone, Debug)]
pub struct Dialects {
    /// `lan.form_fields`: form fields that may hold the JSON of the whole request.
    pub form_fields: Vec<String>,
    /// `lan.unknown_fields`.
    pub unknown_fields: UnknownFields,
    /// `lan.any_key_case`: field names are taken in any case, told as `key-case`.
    pub any_key_case: bool,
    /// `lan.aliases`: other names of fields, each with the field's, told as `key-alias`.
    pub aliases: Vec<(String, String)>,
}

/// Reads a body into `order`, and returns the members that the contract does not know.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] with the place of the first fault, [`Rejection::FieldTwice`],
/// [`Rejection::CharsetNotSupported`].
pub fn read(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    order: &mut OrderBuilder,
) -> Result<Vec<(String, Unknown)>, Rejection> {
    if plain::read(body, content_type, order) {
        return Ok(Vec::new());
    }
    read_in_full(body, content_type, dialects, order)
}

/// The same without the quick reader of plain bodies: what it is held to.
///
/// # Errors
/// As [`read`].
pub fn read_in_full(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    order: &mut OrderBuilder,
) -> Result<Vec<(String, Unknown)>, Rejection> {
    let mut members = Members::new(order, dialects);
    match in_whatever_charset(body, content_type, dialects, &mut members) {
        Ok(()) => Ok(members.into_unknown()),
        Err(rejection) => Err(members.named(rejection)),
    }
}

fn in_whatever_charset(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    members: &mut Members<'_>,
) -> Result<(), Rejection> {
    let Some(converted) = charset::from_utf16(body) else {
        return read_as_labelled(body, content_type, dialects, members);
    };
    let converted = converted?;
    members.note(RepairKind::CharsetConverted);
    let content_type = content_type.map(in_utf8);
    read_as_labelled(&converted, content_type.as_ref(), dialects, members)
}

fn read_as_labelled(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    members: &mut Members<'_>,
) -> Result<(), Rejection> {
    let label: &[u8] = if let Some(delimiter) = multipart::delimiter(body, content_type) {
        if !delimiter.declared {
            members.note(RepairKind::ContentType);
        }
        multipart::read(body, &delimiter.text, content_type, dialects, members)?;
        b"multipart/"
    } else if form::is_form(body, content_type) {
        form::read(body, content_type, dialects, members)?;
        b"application/x-www-form-urlencoded"
    } else {
        let (text, repairs) = charset::read(body, content_type)?;
        repairs.into_iter().for_each(|repair| members.note(repair));
        let start = text.as_str().trim_ascii_start();
        if start.starts_with('<') {
            let at = text.as_str().len() - start.len();
            return Err(not_understood(text.as_str().as_bytes(), at, BodyFault::Xml));
        }
        json::read(text.as_str(), members)?;
        b"application/json"
    };
    if !is_media_type(content_type, label) {
        members.note(RepairKind::ContentType);
    }
    Ok(())
}

/// The same media type, its body being UTF-8 by now.
fn in_utf8(content_type: &HeaderValue) -> HeaderValue {
    let parameters = content_type.as_bytes().split(|b| *b == b';');
    let kept = parameters.filter(|parameter| {
        let name = parameter.trim_ascii_start().get(..7);
        !name.is_some_and(|name| name.eq_ignore_ascii_case(b"charset"))
    });
    let kept = kept.collect::<Vec<_>>().join(&b';');
    HeaderValue::from_bytes(&[&kept, &b"; charset=utf-8"[..]].concat()).unwrap_or_else(|_| content_type.clone())
}

/// Whether a `Content-Type` begins with `prefix`, which is in lower case.
fn is_media_type(content_type: Option<&HeaderValue>, prefix: &[u8]) -> bool {
    content_type
        .and_then(|value| value.as_bytes().trim_ascii_start().get(..prefix.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A fault at a byte offset.
fn not_understood(body: &[u8], at: usize, fault: BodyFault) -> Rejection {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    Rejection::BodyNotUnderstood { line, column, fault }
}

#[cfg(test)]
mod strict;
#[cfg(test)]
mod tests;
