//! The head of a request: parsed strictly, kept byte for byte.
//!
//! Strict, because the peer under test is a client of ours: a bare line feed, a folded header, two
//! lengths or a missing `Host` is a defect of it that a forgiving server would hide.

use super::Malformed;
use std::ops::Range;

const MAX_HEADERS: usize = 128;

/// A request head: its bytes, and where in them the parts lie.
#[derive(Debug)]
pub(crate) struct Head {
    raw: Vec<u8>,
    method: Range<usize>,
    target: Range<usize>,
    minor: u8,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    Known(usize),
    Chunked,
}

impl Head {
    /// Parses `raw`, which ends with the empty line.
    pub(crate) fn parse(raw: Vec<u8>) -> Result<Self, Malformed> {
        let mut lines = Lines { raw: &raw, at: 0 };
        let first = lines.next_line()?.ok_or(bad("no request line"))?;
        let (method, target, minor) = request_line(&raw, first)?;
        let mut headers = Vec::with_capacity(16);
        while let Some(line) = lines.next_line()? {
            if headers.len() == MAX_HEADERS {
                return Err(Malformed {
                    status: 431,
                    reason: "more than 128 headers",
                });
            }
            headers.push(header_line(&raw, line)?);
        }
        let head = Self {
            raw,
            method,
            target,
            minor,
            headers,
        };
        let hosts = head.values("host").count();
        if hosts > 1 || (hosts == 0 && minor == 1) {
            return Err(bad("HTTP/1.1 needs exactly one Host"));
        }
        Ok(head)
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(crate) fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// The target as sent, with its query.
    pub(crate) fn target(&self) -> &str {
        self.text(&self.target)
    }

    pub(crate) fn version(&self) -> &'static str {
        if self.minor == 1 { "HTTP/1.1" } else { "HTTP/1.0" }
    }

    /// Name and value of every header in order; bytes that are not UTF-8 are replaced.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let lossy = |range: &Range<usize>| String::from_utf8_lossy(&self.raw[range.clone()]).into_owned();
        self.headers
            .iter()
            .map(move |(name, value)| (lossy(name), lossy(value)))
    }

    /// The values of a header, its name compared without regard to case. Not UTF-8 reads as empty.
    pub(crate) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let same = move |header: &&(Range<usize>, Range<usize>)| {
            self.raw[header.0.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        self.headers.iter().filter(same).map(|(_, value)| self.text(value))
    }

    /// The value of a header that came exactly once.
    pub(crate) fn single(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    pub(crate) fn body_length(&self) -> Result<BodyLength, Malformed> {
        let chunked = match self.values("transfer-encoding").count() {
            0 => false,
            1 if self
                .single("transfer-encoding")
                .is_some_and(|v| v.eq_ignore_ascii_case("chunked")) =>
            {
                true
            }
            _ => {
                return Err(Malformed {
                    status: 501,
                    reason: "transfer coding other than chunked",
                });
            }
        };
        let mut lengths = self.values("content-length");
        match (chunked, lengths.next(), lengths.next()) {
            (true, None, _) if self.minor == 1 => Ok(BodyLength::Chunked),
            (true, None, _) => Err(bad("chunked in HTTP/1.0")),
            (true, Some(_), _) => Err(bad("both Content-Length and Transfer-Encoding")),
            (false, None, _) => Ok(BodyLength::Known(0)),
            (false, Some(_), Some(_)) => Err(bad("more than one Content-Length")),
            (false, Some(text), None) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map(BodyLength::Known).map_err(|_| Malformed {
                    status: 413,
                    reason: "body over 1 MiB",
                })
            }
            (false, Some(_), None) => Err(bad("Content-Length is not a number")),
        }
    }

    /// Whether the client wants the connection kept.
    pub(crate) fn keep_alive(&self) -> bool {
        let says = |word: &str| {
            self.values("connection")
                .flat_map(|value| value.split(','))
                .any(|t| t.trim().eq_ignore_ascii_case(word))
        };
        !says("close") && (self.minor == 1 || says("keep-alive"))
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(crate) fn expects_continue(&self) -> bool {
        self.minor == 1
            && self
                .values("expect")
                .any(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn text(&self, range: &Range<usize>) -> &str {
        std::str::from_utf8(&self.raw[range.clone()]).unwrap_or_default()
    }
}

fn bad(reason: &'static str) -> Malformed {
    Malformed { status: 400, reason }
}

/// Lines ending in CR LF, up to the empty one.
struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl Lines<'_> {
    fn next_line(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let rest = &self.raw[self.at..];
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(bad("head without an end"))?;
        let end = (self.at + length)
            .checked_sub(1)
            .filter(|end| *end >= self.at && self.raw[*end] == b'\r');
        let end = end.ok_or(bad("line feed without carriage return"))?;
        let line = self.at..end;
        self.at += length + 1;
        if self.raw[line.clone()].contains(&b'\r') {
            return Err(bad("carriage return inside a line"));
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

fn request_line(raw: &[u8], line: Range<usize>) -> Result<(Range<usize>, Range<usize>, u8), Malformed> {
    let bytes = &raw[line.clone()];
    let mut spaces = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b' ')
        .map(|(at, _)| line.start + at);
    let (Some(first), Some(second), None) = (spaces.next(), spaces.next(), spaces.next()) else {
        return Err(bad("request line is not three words"));
    };
    let (method, target) = (line.start..first, first + 1..second);
    let minor = match &raw[second + 1..line.end] {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => {
            return Err(Malformed {
                status: 505,
                reason: "neither HTTP/1.0 nor HTTP/1.1",
            });
        }
    };
    if method.is_empty() || !raw[method.clone()].iter().copied().all(is_token) {
        return Err(bad("method is not a token"));
    }
    if target.is_empty() || !raw[target.clone()].iter().all(u8::is_ascii_graphic) {
        return Err(bad("target is not printable ASCII"));
    }
    Ok((method, target, minor))
}

fn header_line(raw: &[u8], line: Range<usize>) -> Result<(Range<usize>, Range<usize>), Malformed> {
    let bytes = &raw[line.clone()];
    let colon = bytes
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(bad("header without a colon"))?;
    // A leading space (folding) or one before the colon is no token either.
    if colon == 0 || !bytes[..colon].iter().copied().all(is_token) {
        return Err(bad("header name is not a token"));
    }
    let value = &bytes[colon + 1..];
    if value
        .iter()
        .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
    {
        return Err(bad("control character in a header value"));
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let leading = value.iter().take_while(|byte| blank(byte)).count();
    let trailing = value[leading..].iter().rev().take_while(|byte| blank(byte)).count();
    let start = line.start + colon + 1 + leading;
    Ok((line.start..line.start + colon, start..line.end - trailing))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, Malformed> {
        Head::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn a_head_gives_back_what_was_sent() {
        let head = parse("POST /a?b=c HTTP/1.1\r\nHost: x\r\nAppId:\t900001 \r\nX-A: 1\r\nx-a: 2\r\n\r\n").unwrap();

        assert_eq!(
            (head.method(), head.target(), head.version()),
            ("POST", "/a?b=c", "HTTP/1.1")
        );
        assert_eq!(head.single("appid"), Some("900001"));
        assert_eq!(head.single("X-A"), None, "it came twice");
        assert_eq!(head.headers().nth(1), Some(("AppId".into(), "900001".into())));
        assert!(head.keep_alive());
        assert_eq!(head.body_length(), Ok(BodyLength::Known(0)));
    }

    #[test]
    fn a_sloppy_head_is_refused() {
        for text in [
            "POST / HTTP/1.1\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA : 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "POST / HTTP/1.1\r\nA: 1\r\n\r\n",
            "POST /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/2.0\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nA: \u{1}\r\n\r\n",
            "\r\n",
            "\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ambiguous_lengths_are_refused() {
        let length = |headers: &str| {
            parse(&format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
                .unwrap()
                .body_length()
        };

        assert_eq!(length("Content-Length: 5\r\n"), Ok(BodyLength::Known(5)));
        assert_eq!(length("Transfer-Encoding: chunked\r\n"), Ok(BodyLength::Chunked));
        for headers in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            assert!(length(headers).is_err(), "{headers}");
        }
    }
}
