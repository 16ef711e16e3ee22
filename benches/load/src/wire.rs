//! HTTP/1.1 messages with a `Content-Length`, found in a buffer. Nothing else is spoken here, and anything else is a
//! fault of what is measured.

use memchr::memmem;

/// A whole message at the beginning of a buffer.
pub struct Message<'a> {
    /// First line and headers, without the empty line.
    pub head: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Bytes of both, and of the empty line.
    pub length: usize,
}

/// The message that `buffer` begins with, once it is whole.
///
/// # Errors
/// If its length is not told.
pub fn message(buffer: &[u8]) -> Result<Option<Message<'_>>, &'static str> {
    let Some(end) = memmem::find(buffer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &buffer[..end];
    let body = match header(head, "content-length") {
        Some(digits) => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or("a length that is no number")?,
        None if head.starts_with(b"GET ") => 0,
        None => return Err("a message without a length"),
    };
    let length = end + 4 + body;
    Ok((buffer.len() >= length).then(|| Message {
        head,
        body: &buffer[end + 4..length],
        length,
    }))
}

/// The value of a header, given in lower case.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        rest = &rest[end + 1..];
        if rest.len() > name.len()
            && rest[name.len()] == b':'
            && rest[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        {
            let value = &rest[name.len() + 1..];
            let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
            return Some(value[..end].trim_ascii());
        }
    }
    None
}

/// Where the text of a member of flat JSON stands: from behind its opening quote to its closing one.
pub fn text(body: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let name_at = memmem::find(body, name.as_bytes())?;
    let after = name_at + name.len();
    // `":"`, which whatever is measured may have written with blanks.
    let colon = after + body[after..].iter().position(|byte| *byte == b':')?;
    let start = colon + 2 + body[colon + 1..].iter().position(|byte| *byte == b'"')?;
    let end = start + memchr::memchr(b'"', &body[start..])?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_when_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\nX: y\r\n\r\nabcHTTP";
        assert!(message(&bytes[..bytes.len() - 5]).unwrap().is_none());
        let found = message(bytes).unwrap().unwrap();
        assert_eq!(found.body, b"abc");
        assert_eq!(found.length, bytes.len() - 4);
        assert_eq!(header(found.head, "x"), Some(&b"y"[..]));
        assert!(message(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn texts_are_found_however_the_json_is_spaced() {
        for body in [r#"{"a":1,"idNum":"12"}"#, r#"{"a":1, "idNum" : "12" }"#] {
            let range = text(body.as_bytes(), "\"idNum\"").unwrap();
            assert_eq!(&body[range], "12");
        }
        assert_eq!(text(b"{}", "\"idNum\""), None);
    }
}
