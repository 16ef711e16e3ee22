//! Bytes become text: UTF-8 if they are, else the declared charset, else GB18030, else not at all.

use encoding_rs::{Encoding, GB18030};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::NotUnderstood;

/// Texts that were read together, from one charset.
pub(super) struct Texts<'a> {
    list: Vec<Text<'a>>,
    /// Whether they were in another charset than UTF-8.
    pub(super) converted: bool,
}

enum Text<'a> {
    Borrowed(&'a str),
    Converted(Zeroizing<String>),
}

impl Texts<'_> {
    /// One of them.
    pub(super) fn get(&self, index: usize) -> &str {
        match &self.list[index] {
            Text::Borrowed(text) => text,
            Text::Converted(text) => text,
        }
    }

    /// The first.
    pub(super) fn only(&self) -> &str {
        self.get(0)
    }
}

/// Reads the parts of one body, which has one charset.
pub(super) fn read<'a>(parts: &[&'a [u8]], content_type: Option<&HeaderValue>) -> Result<Texts<'a>, NotUnderstood> {
    let utf8: Result<Vec<_>, _> = parts
        .iter()
        .map(|part| std::str::from_utf8(part).map(Text::Borrowed))
        .collect();
    if let Ok(list) = utf8 {
        return Ok(Texts { list, converted: false });
    }
    let declared = content_type
        .and_then(declared)
        .and_then(|encoding| convert(parts, encoding));
    let list = declared.or_else(|| convert(parts, GB18030)).ok_or(NotUnderstood)?;
    Ok(Texts { list, converted: true })
}

fn convert<'a>(parts: &[&'a [u8]], encoding: &'static Encoding) -> Option<Vec<Text<'a>>> {
    let one = |part: &&'a [u8]| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(part)?;
        Some(Text::Converted(Zeroizing::new(text.into_owned())))
    };
    parts.iter().map(one).collect()
}

/// The charset that a media type declares, if it is one that is known and writes ASCII as ASCII.
fn declared(content_type: &HeaderValue) -> Option<&'static Encoding> {
    let parameters = content_type.to_str().ok()?.split(';').skip(1);
    let mut labels = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    });
    let encoding = Encoding::for_label(labels.next()?.as_bytes())?;
    encoding.is_ascii_compatible().then_some(encoding)
}

/// What some libraries write in front of UTF-8 is no part of the text.
pub(super) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
