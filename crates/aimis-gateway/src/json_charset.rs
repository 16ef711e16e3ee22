//! JSON in charsets other than UTF-8: what a charset lacks is escaped, which means the same in every JSON string.

use std::fmt::Write as _;

use encoding_rs::{EncoderResult, Encoding};

/// Appends a character of a JSON string as the escapes of its UTF-16 units (RFC 8259, section 7).
pub(crate) fn escape(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}").expect("a String takes every character");
    }
}

/// JSON in another charset; characters that it lacks are escaped.
pub(crate) fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    encode(text, encoding, &mut out);
    out
}

/// Appends JSON in another charset; characters that it lacks are escaped. Three times the bytes of `text` and 32 more
/// are room enough in any case.
pub(crate) fn encode(text: &str, encoding: &'static Encoding, out: &mut Vec<u8>) {
    let mut encoder = encoding.new_encoder();
    let mut rest = text;
    loop {
        // Room for all that is left, or for one character and its escape at least.
        out.reserve(rest.len() + 16);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, out, true);
        rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(character) => {
                let mut escape_of = String::with_capacity(12);
                escape(character, &mut escape_of);
                out.extend_from_slice(escape_of.as_bytes());
            }
        }
    }
}
