//! HTTP/1.1 by hand: a strict reader, and a writer that can misbehave on purpose.
//!
//! A server library does its best to answer well; a simulator has to cut heads in half and reset
//! connections. So the bytes are ours from `accept` to close, and TLS wraps the same code.

mod body;
mod deliver;
mod head;
mod server;

pub(crate) use head::Head;
pub(crate) use server::Server;

use crate::fault::Plan;
use std::borrow::Cow;

/// The largest body read, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// The largest head read, in bytes.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// A request read completely.
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Which connection of the server it came on, from 1.
    pub(crate) connection: u64,
}

/// An answer before any fault has touched it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// JSON in the platform's own content type.
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "application/json; charset=utf-8", body)
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What stands behind a [`Server`].
pub(crate) trait Handler: Send + Sync + 'static {
    /// The time for the `Date` header.
    fn now_ms(&self) -> i64;

    /// Answers one request; the plan says how the answer is to be delivered.
    fn handle(&self, request: Request) -> impl Future<Output = Plan> + Send;

    /// Told of what the strict reader refused. The connection is answered and closed after it.
    fn malformed(&self, _reason: &'static str) {}
}

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

/// Why no request came.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The connection is of no more use.
    Closed,
    Malformed(Malformed),
}

impl From<std::io::Error> for ReadError {
    fn from(_: std::io::Error) -> Self {
        // Whether by reset or by a TLS alert: the peer is gone, and nobody is left to be told why.
        Self::Closed
    }
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The phrase of a status line.
pub(crate) fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Simulated",
    }
}
