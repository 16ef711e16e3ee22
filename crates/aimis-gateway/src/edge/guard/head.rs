//! The head of a request, judged line by line as it arrives.
//!
//! The verdict depends on the bytes only, not on how they were cut into pieces: of a line that is not whole
//! yet, nothing is judged but what is judged first of a whole line.

use super::fault::HeadFault;
use super::line::{self, Header, RequestLine};

/// Empty lines that may stand before a request: some old clients send one behind a body (RFC 9112, section
/// 2.2).
const MAX_EMPTY_LINES: u8 = 4;

/// How much a head may have.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    /// `lan.max_head_bytes`, from the first line to the empty one, its end included.
    pub bytes: usize,
    /// `lan.max_headers`.
    pub headers: usize,
}

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// Judges one head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Where the line begins that is not whole yet.
    line_at: usize,
    /// Bytes before this were searched for a line's end and for control characters.
    searched: usize,
    empty_lines: u8,
    request: Option<RequestLine>,
    headers: usize,
    host: bool,
    length: Option<u64>,
    coding: Coding,
    other_expect: bool,
    behind_body: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// Another one, or several.
    Other,
}

impl Head {
    /// The head that follows a body of announced length.
    pub(super) fn behind_body() -> Self {
        Self {
            behind_body: true,
            ..Self::default()
        }
    }

    /// Looks at `bytes`, which begin with the head's first byte and have grown since the last call. Gives the
    /// head's length and what follows it once the head is whole.
    ///
    /// # Errors
    /// The first fault in the order of the bytes.
    pub(super) fn scan(&mut self, bytes: &[u8], bounds: HeadBounds) -> Result<Option<(usize, Framing)>, HeadFault> {
        let window = &bytes[..bytes.len().min(bounds.bytes)];
        if self.behind_body && self.line_at == 0 && line::is_surplus(window) {
            return Err(HeadFault::Surplus);
        }
        while let Some(found) = memchr::memchr(b'\n', &window[self.searched..]) {
            let end = self.searched + found;
            let whole = &window[self.line_at..end];
            let line = whole.strip_suffix(b"\r");
            let content = line.unwrap_or(whole);
            line::no_control(content)?;
            if line.is_none() {
                return Err(HeadFault::LineEnd);
            }
            (self.line_at, self.searched) = (end + 1, end + 1);
            if self.take(content, bounds)? {
                return self.finish().map(|framing| Some((end + 1, framing)));
            }
        }
        self.look_ahead(window)?;
        if window.len() == bounds.bytes {
            return Err(HeadFault::TooLarge);
        }
        Ok(None)
    }

    /// Whether nothing of a request has come; empty lines are nothing.
    pub(super) fn untouched(&self) -> bool {
        self.request.is_none() && self.searched == self.line_at
    }

    /// Of a line that is not whole: a CR that no LF follows yet may still be its end.
    fn look_ahead(&mut self, window: &[u8]) -> Result<(), HeadFault> {
        let rest = &window[self.searched..];
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        line::no_control(rest)?;
        self.searched += rest.len();
        Ok(())
    }

    /// Takes a line in; true when it ends the head.
    fn take(&mut self, line: &[u8], bounds: HeadBounds) -> Result<bool, HeadFault> {
        if self.request.is_none() {
            if !line.is_empty() {
                self.request = Some(line::request_line(line)?);
                return Ok(false);
            }
            self.empty_lines += 1;
            return if self.empty_lines > MAX_EMPTY_LINES {
                Err(HeadFault::RequestLine)
            } else {
                Ok(false)
            };
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.headers += 1;
        if self.headers > bounds.headers {
            return Err(HeadFault::TooManyHeaders);
        }
        match line::header(line)? {
            Header::Host if self.host => return Err(HeadFault::Host),
            Header::Host => self.host = true,
            Header::Length(_) if self.length.is_some() => return Err(HeadFault::Length),
            Header::Length(length) => self.length = Some(length),
            Header::Chunked if self.coding == Coding::None => self.coding = Coding::Chunked,
            Header::Chunked | Header::OtherCoding => self.coding = Coding::Other,
            Header::OtherExpect => self.other_expect = true,
            Header::Other => {}
        }
        Ok(false)
    }

    /// What no line shows alone.
    fn finish(&self) -> Result<Framing, HeadFault> {
        let request = self.request.ok_or(HeadFault::RequestLine)?;
        if self.coding != Coding::None {
            if request.http_1_0 {
                return Err(HeadFault::CodingInHttp10);
            }
            if self.length.is_some() {
                return Err(HeadFault::LengthAndCoding);
            }
            if self.coding == Coding::Other {
                return Err(HeadFault::Coding);
            }
        }
        if !self.host && !request.http_1_0 {
            return Err(HeadFault::Host);
        }
        if self.other_expect && !request.http_1_0 {
            return Err(HeadFault::Expect);
        }
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Ok(Framing::Chunked),
            (_, Some(length)) => Ok(Framing::Length(length)),
            (_, None) if request.post => Err(HeadFault::NoLength),
            (_, None) => Ok(Framing::Length(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 200, headers: 3 };

    fn judge(bytes: &[u8]) -> Result<Option<(usize, Framing)>, HeadFault> {
        Head::default().scan(bytes, BOUNDS)
    }

    #[test]
    fn a_head_says_how_its_body_is_framed() {
        assert_eq!(judge(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
        assert_eq!(
            judge(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"),
            Ok(Some((27, Framing::Length(0))))
        );
        assert_eq!(
            judge(b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
            Ok(Some((49, Framing::Length(5))))
        );
        assert_eq!(
            judge(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Ok(Some((56, Framing::Chunked)))
        );
    }

    #[test]
    fn two_readings_are_none() {
        for (headers, fault) in [
            (
                "Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
                HeadFault::LengthAndCoding,
            ),
            (
                "Host: a\r\nTransfer-Encoding: x\r\nContent-Length: 0",
                HeadFault::LengthAndCoding,
            ),
            ("Host: a\r\nContent-Length: 0\r\nContent-Length: 0", HeadFault::Length),
            (
                "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                HeadFault::Coding,
            ),
            ("Host: a\r\nTransfer-Encoding: chunked, chunked", HeadFault::Coding),
            ("Host: a\r\nHost: a\r\nContent-Length: 0", HeadFault::Host),
            ("Content-Length: 0", HeadFault::Host),
            ("Host: a", HeadFault::NoLength),
            ("Host: a\r\nContent-Length: 0\r\nExpect: x", HeadFault::Expect),
            ("Host: a\r\nA: 1\r\nB: 2\r\nC: 3", HeadFault::TooManyHeaders),
            ("Host: a\r\nA: 1\r\n B: 2", HeadFault::Folded),
        ] {
            let head = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
            assert_eq!(judge(head.as_bytes()), Err(fault), "{headers}");
        }
        let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge(old), Err(HeadFault::CodingInHttp10));
    }

    #[test]
    fn lines_end_with_cr_lf_and_hold_no_control_character() {
        assert_eq!(judge(b"GET / HTTP/1.1\nHost: a\r\n\r\n"), Err(HeadFault::LineEnd));
        assert_eq!(judge(b"GET / HTTP/1.1\r\nA: b\rc"), Err(HeadFault::ControlCharacter));
        assert_eq!(judge(b"GET / HTTP/1.1\r\nA: b\0"), Err(HeadFault::ControlCharacter));
        assert_eq!(judge(b"\x16\x03\x01"), Err(HeadFault::ControlCharacter));
        assert_eq!(judge(b"\r\n\r\n\r\n\r\n\r\n"), Err(HeadFault::RequestLine));
    }

    #[test]
    fn the_bound_is_kept_to_the_byte() {
        let head = |size: usize| {
            let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(size - frame))
        };
        assert!(judge(head(200).as_bytes()).unwrap().is_some());
        assert_eq!(judge(head(201).as_bytes()), Err(HeadFault::TooLarge));
        assert_eq!(judge(&[b'x'; 199]), Ok(None));
        assert_eq!(judge(&[b'x'; 200]), Err(HeadFault::TooLarge));
    }
}
