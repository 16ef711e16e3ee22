//! The hospital's HTTP proxy: CONNECT (RFC 9110, section 9.3.6) and what may go wrong with it.
//!
//! Always a tunnel, also where the platform is spoken to in plain HTTP: a proxy that forwarded requests
//! would read, log and perhaps repeat their signatures. It learns the platform's host and port, and its own
//! user; nothing else is sent to it.

mod fault;

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

pub use fault::ProxyFault;

use super::tls;

/// Bytes of a proxy's answer to CONNECT that are read.
const MAX_HEAD: usize = 8 * 1024;

/// A proxy and how it knows us.
#[derive(Clone)]
pub struct Proxy {
    /// Host to connect to, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// For TLS to the proxy itself; `None` for an `http://` proxy.
    pub tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    /// Who we are to it, if it asks.
    pub credentials: Option<Credentials>,
}

/// User and password in the form of Basic authentication (RFC 7617). Never shown.
#[derive(Clone)]
pub struct Credentials(Arc<Zeroizing<String>>);

impl Credentials {
    /// `user` has no colon in it: the first one ends it.
    pub fn basic(user: &str, password: &[u8]) -> Self {
        let mut plain = Zeroizing::new(Vec::with_capacity(user.len() + 1 + password.len()));
        plain.extend_from_slice(user.as_bytes());
        plain.push(b':');
        plain.extend_from_slice(password);
        // All room at once: a growing buffer would leave copies behind.
        let mut encoded = Zeroizing::new(String::with_capacity(plain.len().div_ceil(3) * 4));
        BASE64_STANDARD.encode_string(&*plain, &mut encoded);
        Self(Arc::new(encoded))
    }
}

/// A tunnel: what goes in comes out at the platform's door.
pub(crate) enum Tunnel {
    /// Through an `http://` proxy.
    Plain(TcpStream),
    /// Through an `https://` proxy: TLS as far as that.
    Secured(Box<TlsStream<TcpStream>>),
}

/// Asks `proxy`, to which `tcp` leads, for a tunnel to `target` (`host:port`).
///
/// # Errors
/// Why the proxy does not let us through; nothing about time, which the caller keeps.
pub(crate) async fn open(proxy: &Proxy, mut tcp: TcpStream, target: &str) -> Result<Tunnel, ProxyFault> {
    let credentials = proxy.credentials.as_ref();
    let Some(tls) = &proxy.tls else {
        tunnel(&mut tcp, target, credentials).await?;
        return Ok(Tunnel::Plain(tcp));
    };
    let secured = tls::secure(tls, tcp).await;
    let mut secured =
        secured.map_err(|error| tls::certificate_fault(&error).map_or(ProxyFault::Tls, ProxyFault::Certificate))?;
    tunnel(&mut secured, target, credentials).await?;
    Ok(Tunnel::Secured(Box::new(secured)))
}

/// Asks for a tunnel to `target` (`host:port`); after that the platform is at the other end of `stream`.
///
/// Neither TLS nor HTTP lets the far side speak first, so bytes behind the proxy's head are no part of any
/// answer of the platform: they are refused rather than handed on to the first question.
///
/// # Errors
/// What the proxy said, or that it said nothing of use.
async fn tunnel<S>(stream: &mut S, target: &str, credentials: Option<&Credentials>) -> Result<(), ProxyFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let secret = credentials.map_or("", |credentials| credentials.0.as_str());
    let mut request = Zeroizing::new(Vec::with_capacity(2 * target.len() + secret.len() + 128));
    for part in ["CONNECT ", target, " HTTP/1.1\r\nHost: ", target, "\r\n"] {
        request.extend_from_slice(part.as_bytes());
    }
    if credentials.is_some() {
        for part in ["Proxy-Authorization: Basic ", secret, "\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    }
    request.extend_from_slice(b"\r\n");
    // A proxy may refuse before it has read all of this; then its answer says why.
    let written = async {
        stream.write_all(&request).await?;
        stream.flush().await
    };
    let written: io::Result<()> = written.await;

    let mut head = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = end_of_head(&head) {
            break end;
        }
        if head.len() >= MAX_HEAD {
            return Err(ProxyFault::NotHttp);
        }
        let room = MAX_HEAD - head.len();
        match (&mut *stream).take(room as u64).read_buf(&mut head).await {
            Ok(0) if head.is_empty() => return Err(ProxyFault::NoAnswer),
            // A status without the rest of its head: HTTP/1.0 style refusals end so, and tell enough.
            Ok(0) => break head.len(),
            Ok(_) if written.is_ok() || !head.is_empty() => {}
            Ok(_) | Err(_) => return Err(ProxyFault::NoAnswer),
        }
    };
    match status(&head).ok_or(ProxyFault::NotHttp)? {
        200 if end_of_head(&head).is_none() => Err(ProxyFault::NoAnswer),
        200 if head.len() > end => Err(ProxyFault::NotHttp),
        200 => Ok(()),
        status @ (401 | 407) => Err(ProxyFault::Auth(status)),
        status => Err(ProxyFault::Refused(status)),
    }
}

/// Length of the head with the empty line that ends it; a bare LF ends a line too, as old proxies have it.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The status of `HTTP/1.x NNN`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [
        b'0' | b'1',
        b' ',
        a @ b'1'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n')).then(|| digit(*a) * 100 + digit(*b) * 10 + digit(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a proxy that says `answer` and then ends leaves us with, and what it was sent.
    async fn asked(answer: &[u8], credentials: Option<&Credentials>) -> (Result<(), ProxyFault>, String) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let answer = answer.to_vec();
        let proxy = async move {
            let mut asked = Vec::new();
            while end_of_head(&asked).is_none() {
                theirs.read_buf(&mut asked).await.unwrap();
            }
            theirs.write_all(&answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        tokio::join!(tunnel(&mut ours, "pacs.qq.com:443", credentials), proxy)
    }

    #[tokio::test]
    async fn the_proxy_is_told_the_platforms_place_our_user_and_nothing_else() {
        let (end, sent) = asked(b"HTTP/1.1 200 Connection established\r\n\r\n", None).await;
        assert_eq!(end, Ok(()));
        assert_eq!(
            sent,
            "CONNECT pacs.qq.com:443 HTTP/1.1\r\nHost: pacs.qq.com:443\r\n\r\n"
        );

        let credentials = Credentials::basic("Aladdin", b"open sesame");
        let (end, sent) = asked(b"HTTP/1.0 200 ok\nX: y\n\n", Some(&credentials)).await;
        assert_eq!(end, Ok(()));
        // RFC 7617, section 2.
        let line = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert_eq!(
            sent,
            format!("CONNECT pacs.qq.com:443 HTTP/1.1\r\nHost: pacs.qq.com:443\r\n{line}\r\n")
        );
    }

    #[tokio::test]
    async fn only_a_whole_200_opens_the_tunnel() {
        let long = [b"HTTP/1.1 200 ok\r\nX: ".as_slice(), &[b'x'; MAX_HEAD]].concat();
        for (answer, fault) in [
            (b"HTTP/1.1 407 No\r\n\r\n".as_slice(), ProxyFault::Auth(407)),
            (
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
                ProxyFault::Refused(403),
            ),
            (b"HTTP/1.0 401 Unauthorized\r\n\r\n", ProxyFault::Auth(401)),
            (b"HTTP/1.1 204 No Content\r\n\r\n", ProxyFault::Refused(204)),
            (b"HTTP/1.0 502", ProxyFault::Refused(502)),
            (b"HTTP/1.1 200 ok\r\nX: cut", ProxyFault::NoAnswer),
            (b"", ProxyFault::NoAnswer),
            (b"HTTP/1.1 2000 ok\r\n\r\n", ProxyFault::NotHttp),
            (b"HTTP/2 200\r\n\r\n", ProxyFault::NotHttp),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ProxyFault::NotHttp),
            // The platform does not speak first, so this is not the platform.
            (b"HTTP/1.1 200 ok\r\n\r\nHTTP/1.1 200 OK\r\n", ProxyFault::NotHttp),
            (&long, ProxyFault::NotHttp),
        ] {
            let (end, _) = asked(answer, None).await;
            assert_eq!(end, Err(fault), "{}", answer.escape_ascii());
        }
    }
}
