//! What can be wrong with a head, or with the framing of a body.

use http::StatusCode;

/// Why the bytes of a request are not taken for one. Says what is wrong, never with which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.name())]
pub enum HeadFault {
    /// NUL or another control character; TLS sent to a plaintext port looks like this.
    ControlCharacter,
    /// A line that does not end with CR LF.
    LineEnd,
    /// A header line that continues the one before (obs-fold).
    Folded,
    /// The first line is not `METHOD /path HTTP/1.1`.
    RequestLine,
    /// A version other than 1.0 and 1.1.
    Version,
    /// The target is no path, or holds characters that no URL has.
    Target,
    /// A target with scheme and host, or CONNECT: the sender takes us for a proxy.
    NotAProxy,
    /// A header line without colon or name, or with a name that is no token.
    HeaderName,
    /// A header named like one of ours, but for `_` in place of `-`.
    Underscore,
    /// No Host, several of them, or one that names no host.
    Host,
    /// A Content-Length that is no plain number, or several of them.
    Length,
    /// Content-Length and Transfer-Encoding together.
    LengthAndCoding,
    /// A Transfer-Encoding other than exactly one `chunked`.
    Coding,
    /// A Transfer-Encoding in HTTP/1.0.
    CodingInHttp10,
    /// A POST that announces neither length nor chunks.
    NoLength,
    /// An Expect other than `100-continue`.
    Expect,
    /// The head is larger than allowed.
    TooLarge,
    /// The head has more lines than allowed.
    TooManyHeaders,
    /// The head came too slowly.
    Slow,
    /// The head ended in the middle.
    Cut,
    /// Bytes behind a body that begin no request: Content-Length was too small, as when it counts characters.
    Surplus,
    /// A chunk's size or end is not what it has to be.
    Chunk,
    /// A trailer that is no header line, or one that must not stand behind a body.
    Trailer,
}

impl HeadFault {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::ControlCharacter,
        Self::LineEnd,
        Self::Folded,
        Self::RequestLine,
        Self::Version,
        Self::Target,
        Self::NotAProxy,
        Self::HeaderName,
        Self::Underscore,
        Self::Host,
        Self::Length,
        Self::LengthAndCoding,
        Self::Coding,
        Self::CodingInHttp10,
        Self::NoLength,
        Self::Expect,
        Self::TooLarge,
        Self::TooManyHeaders,
        Self::Slow,
        Self::Cut,
        Self::Surplus,
        Self::Chunk,
        Self::Trailer,
    ];

    /// Stable name, for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlCharacter => "control-character",
            Self::LineEnd => "line-end",
            Self::Folded => "folded-header",
            Self::RequestLine => "request-line",
            Self::Version => "http-version",
            Self::Target => "request-target",
            Self::NotAProxy => "not-a-proxy",
            Self::HeaderName => "header-name",
            Self::Underscore => "header-name-underscore",
            Self::Host => "host",
            Self::Length => "content-length",
            Self::LengthAndCoding => "content-length-and-transfer-encoding",
            Self::Coding => "transfer-encoding",
            Self::CodingInHttp10 => "transfer-encoding-in-http-1.0",
            Self::NoLength => "no-length",
            Self::Expect => "expect",
            Self::TooLarge => "head-too-large",
            Self::TooManyHeaders => "too-many-headers",
            Self::Slow => "head-too-slow",
            Self::Cut => "head-cut",
            Self::Surplus => "bytes-behind-the-body",
            Self::Chunk => "chunk",
            Self::Trailer => "trailer",
        }
    }

    /// Status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::Expect => StatusCode::EXPECTATION_FAILED,
            Self::TooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::ControlCharacter
            | Self::LineEnd
            | Self::Folded
            | Self::RequestLine
            | Self::Target
            | Self::NotAProxy
            | Self::HeaderName
            | Self::Underscore
            | Self::Host
            | Self::Length
            | Self::LengthAndCoding
            | Self::CodingInHttp10
            | Self::Cut
            | Self::Surplus
            | Self::Chunk
            | Self::Trailer => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_documented_with_its_status() {
        let page = include_str!("../../../../../docs/errors.md");
        for fault in HeadFault::ALL {
            let (name, status) = (format!("`{}`", fault.name()), fault.status().as_u16().to_string());
            let row = page
                .lines()
                .find(|line| line.starts_with("| `") && line.contains(&name));
            assert!(row.is_some_and(|row| row.contains(&status)), "{name} {status}");
        }
    }
}
