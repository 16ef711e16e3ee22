//! One HTTP/1.1 request over a connection of its own: all that sending a callback takes.

use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest reply read, in bytes.
const MAX_REPLY: usize = 4 * 1024 * 1024;

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

/// A reply read to its end.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Target {
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("callback URL {why}"));
        let (https, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(bad("begins with neither http:// nor https://")),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| bad("has no valid port"))?),
            _ => (authority, if https { 443 } else { 80 }),
        };
        if host.is_empty() || url.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(bad("has no host, or characters that need escaping"));
        }
        Ok(Self {
            https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.to_owned(),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            },
        })
    }
}

/// Sends `request` as it is and reads the reply.
pub(crate) async fn exchange(
    target: &Target,
    tls: Option<&Arc<rustls::ClientConfig>>,
    request: &[u8],
) -> io::Result<RawReply> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    stream.set_nodelay(true)?;
    if !target.https {
        return converse(stream, request).await;
    }
    let config = tls.ok_or_else(|| invalid("an https URL needs a TLS client configuration"))?;
    let name = rustls::pki_types::ServerName::try_from(target.host.clone());
    let name = name.map_err(|_| invalid("the URL's host is no server name"))?;
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
    converse(stream, request).await
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> io::Result<RawReply> {
    // A server may refuse and close before it has read all; then its reply still counts.
    let written = stream.write_all(request).await;
    let _ = stream.flush().await;
    match read_reply(&mut stream).await {
        Ok(reply) => Ok(reply),
        Err(unread) => Err(written.err().unwrap_or(unread)),
    }
}

async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<RawReply> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(reply) = parse(&bytes, false)? {
            return Ok(reply);
        }
        if bytes.len() > MAX_REPLY {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "reply over 4 MiB"));
        }
        let got = match stream.read_buf(&mut bytes).await {
            // rustls: a peer that closes without close_notify; length or chunks decide whether all came.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        if got == 0 {
            return parse(&bytes, true)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The reply in `bytes`, if it is all there; `ended` says that no more will come.
fn parse(bytes: &[u8], ended: bool) -> io::Result<Option<RawReply>> {
    let bad = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("reply head is not text"))?;
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|line| line.get(2..5))
        .and_then(|digits| digits.parse().ok());
    let status: u16 = status.ok_or_else(|| bad("reply is not HTTP/1.x"))?;
    if (100..200).contains(&status) {
        return parse(rest, ended);
    }
    let split = |line: &str| {
        line.split_once(':')
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(split).collect();
    let find = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    let body = if find("transfer-encoding").is_some() {
        chunks(rest)
    } else if let Some(length) = find("content-length") {
        let length: usize = length.parse().map_err(|_| bad("reply length is not a number"))?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else if status == 204 || status == 304 {
        Some(Vec::new())
    } else {
        ended.then(|| rest.to_vec())
    };
    Ok(body.map(|body| RawReply { status, headers, body }))
}

/// The joined chunks, if the last one is there.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= MAX_REPLY)?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_they_say() {
        let target = Target::parse("http://[::1]:8081/callback/first?x=1").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.path.as_str()),
            ("::1", 8081, "/callback/first?x=1")
        );
        let target = Target::parse("https://gateway.example").unwrap();
        assert_eq!((target.https, target.port, target.path.as_str()), (true, 443, "/"));
        for bad in ["ftp://x/", "x", "http://", "http://x:y/", "http://x/a b"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replies_are_complete_or_awaited() {
        let reply = parse(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            false,
        );
        assert_eq!(reply.unwrap().unwrap().body, b"abc");
        assert!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true)
                .unwrap()
                .is_none()
        );
        assert_eq!(
            parse(b"HTTP/1.0 410 Gone\r\n\r\nab", true).unwrap().unwrap().status,
            410
        );
        assert!(parse(b"SSH-2.0\r\n\r\n", true).is_err());
    }
}
