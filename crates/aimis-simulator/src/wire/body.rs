//! Reading requests off a connection: heads, bodies by length and by chunks, `Expect: 100-continue`.

use super::head::BodyLength;
use super::{Head, MAX_BODY, MAX_HEAD, Malformed, ReadError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const TOO_LARGE: Malformed = Malformed {
    status: 413,
    reason: "body over 1 MiB",
};
const BAD_CHUNK: Malformed = Malformed {
    status: 400,
    reason: "chunk is malformed",
};

/// A connection and what was read of it ahead of its use: pipelined requests wait here.
pub(crate) struct Connection<S> {
    pub(crate) io: S,
    ahead: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            ahead: Vec::with_capacity(4096),
        }
    }

    /// The next head; `None` when the client closed between requests.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>, ReadError> {
        let mut searched = 0;
        loop {
            if searched == 0 && self.ahead.starts_with(b"\r\n") {
                self.ahead.drain(..2); // RFC 9112 section 2.2: an empty line before a request is passed over
            }
            if let Some(end) = find(&self.ahead, searched, b"\r\n\r\n").or_else(|| find(&self.ahead, searched, b"\n\n"))
            {
                let raw = self.take(end);
                return Ok(Some(Head::parse(raw)?));
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(Malformed {
                    status: 431,
                    reason: "head over 64 KiB",
                }
                .into());
            }
            searched = self.ahead.len().saturating_sub(3);
            if self.fill().await? == 0 {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(ReadError::Closed)
                };
            }
        }
    }

    /// The body that belongs to `head`.
    pub(crate) async fn body(&mut self, head: &Head) -> Result<Vec<u8>, ReadError> {
        let length = head.body_length()?;
        if matches!(length, BodyLength::Known(length) if length > MAX_BODY) {
            return Err(TOO_LARGE.into());
        }
        // A client that has sent some of the body already is not waiting (RFC 9110 section 10.1.1).
        if head.expects_continue() && length != BodyLength::Known(0) && self.ahead.is_empty() {
            self.io.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.io.flush().await?;
        }
        match length {
            BodyLength::Known(length) => self.exactly(length).await,
            BodyLength::Chunked => self.chunks().await,
        }
    }

    /// Reads and forgets until the peer is gone.
    pub(crate) async fn until_closed(&mut self) {
        loop {
            self.ahead.clear();
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size)
                .ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let size = size
                .and_then(|text| usize::from_str_radix(text, 16).ok())
                .ok_or(BAD_CHUNK)?;
            if size > MAX_BODY || body.len() + size > MAX_BODY {
                return Err(TOO_LARGE.into());
            }
            if size == 0 {
                while !self.line().await?.is_empty() {} // trailers
                return Ok(body);
            }
            body.extend_from_slice(&self.exactly(size).await?);
            if !self.line().await?.is_empty() {
                return Err(BAD_CHUNK.into());
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, ReadError> {
        loop {
            if let Some(end) = find(&self.ahead, 0, b"\r\n") {
                let mut line = self.take(end);
                line.truncate(end - 2);
                return Ok(line);
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(BAD_CHUNK.into());
            }
            if self.fill().await? == 0 {
                return Err(ReadError::Closed);
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        while self.ahead.len() < length {
            self.ahead.reserve(length - self.ahead.len());
            if self.fill().await? == 0 {
                return Err(ReadError::Closed);
            }
        }
        Ok(self.take(length))
    }

    async fn fill(&mut self) -> std::io::Result<usize> {
        self.ahead.reserve(2048);
        self.io.read_buf(&mut self.ahead).await
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.ahead[..length].to_vec();
        self.ahead.drain(..length);
        taken
    }
}

/// Where `needle` ends in `bytes`, looked for from `from`.
fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let at = bytes[from..]
        .windows(needle.len())
        .position(|window| window == needle)?;
    Some(from + at + needle.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    async fn read(text: &str) -> Result<Vec<Vec<u8>>, ReadError> {
        let (mut client, server) = duplex(4096);
        client.write_all(text.as_bytes()).await.unwrap();
        drop(client);
        let mut connection = Connection::new(server);
        let mut bodies = Vec::new();
        while let Some(head) = connection.head().await? {
            bodies.push(connection.body(&head).await?);
        }
        Ok(bodies)
    }

    #[tokio::test]
    async fn pipelined_requests_are_told_apart() {
        let one = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let two = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nde\r\n1\r\nf\r\n0\r\nT: 1\r\n\r\n";

        let bodies = read(&format!("{one}{two}\r\n{one}")).await.unwrap();

        assert_eq!(bodies, [b"abc", b"def", b"abc"]);
    }

    #[tokio::test]
    async fn a_body_cut_short_is_not_a_request() {
        let cut = read("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;

        assert!(matches!(cut, Err(ReadError::Closed)));
    }

    #[tokio::test]
    async fn bad_chunks_and_giants_are_refused() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (text, status) in [
            (format!("{head}zz\r\n"), 400),
            (format!("{head}1\r\nabc\r\n"), 400),
            (format!("{head}fffffff\r\n"), 413),
            (format!("{head}ffffffffffffffff\r\n"), 413),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n".to_owned(),
                413,
            ),
            ("POST / HTTP/1.1\nHost: x\n\n".to_owned(), 400),
        ] {
            match read(&text).await {
                Err(ReadError::Malformed(malformed)) => {
                    assert_eq!(malformed.status, status, "{text:?}")
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}
