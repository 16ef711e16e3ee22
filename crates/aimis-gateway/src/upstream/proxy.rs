//! The hospital's HTTP proxy: CONNECT (RFC 9110, section 9.3.6) and what may go wrong with it.
//!
//! Always a tunnel, also where the platform is spoken to in plain HTTP: a proxy that forwarded requests
//! would read, log and perhaps repeat their signatures. It learns the platform's host and port, and its own
//! user; nothing else is sent to it.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::error::CertificateFault;
use crate::telemetry::labels::AttemptResult;

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

/// Why a proxy did not let us through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Its name has no address.
    #[error("the proxy's name could not be resolved")]
    Dns,
    /// None of its addresses took the connection.
    #[error("connecting to the proxy failed: {0}")]
    Connect(ErrorKind),
    /// It did not let us through within `platform.connect_timeout_ms`.
    #[error("the proxy took too long")]
    Timeout,
    /// Its own certificate is not to be trusted (`https://` proxy).
    #[error("the proxy's certificate is not valid: {0}")]
    Certificate(CertificateFault),
    /// TLS with the proxy itself failed otherwise.
    #[error("TLS with the proxy failed")]
    Tls,
    /// 407, or tinyproxy's 401: it wants another user or password than we have.
    #[error("the proxy asks for authentication ({0})")]
    Auth(u16),
    /// It answered CONNECT with another status than 200.
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    /// What came is not the head of an answer to CONNECT.
    #[error("what came from the proxy is not HTTP")]
    NotHttp,
    /// It ended the connection before its answer.
    #[error("the proxy ended the connection without an answer")]
    NoAnswer,
    /// The tunnel ended within the handshake with the platform.
    #[error("the proxy's tunnel was cut")]
    TunnelCut,
}

/// Asks for a tunnel to `target` (`host:port`); after that the platform is at the other end of `stream`.
///
/// Neither TLS nor HTTP lets the far side speak first, so bytes behind the proxy's head are no part of any
/// answer of the platform: they are refused rather than handed on to the first question.
///
/// # Errors
/// What the proxy said, or that it said nothing of use.
pub(super) async fn tunnel<S>(stream: &mut S, target: &str, credentials: Option<&Credentials>) -> Result<(), ProxyFault>
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

impl ProxyFault {
    /// Stable name for the log's `error.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "proxy_dns",
            Self::Connect(_) => "proxy_connect",
            Self::Timeout => "proxy_timeout",
            Self::Certificate(_) => "proxy_certificate",
            Self::Tls => "proxy_tls",
            Self::Auth(_) => "proxy_auth",
            Self::Refused(_) => "proxy_refused",
            Self::NotHttp => "proxy_not_http",
            Self::NoAnswer => "proxy_no_answer",
            Self::TunnelCut => "tunnel_cut",
        }
    }

    /// What the operator should look at, for the log's `error.detail`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Dns => "no address for the proxy's host: check DNS and platform.proxy",
            Self::Connect(ErrorKind::ConnectionRefused) => {
                "the proxy's port refused the connection: is it running, and is platform.proxy right?"
            }
            Self::Connect(_) => "no connection to the proxy: check the route, the firewall and platform.proxy",
            Self::Timeout => {
                "no tunnel within platform.connect_timeout_ms: a firewall before the proxy, or the proxy waits for the platform"
            }
            Self::Certificate(CertificateFault::UnknownIssuer) => {
                "the issuer of the proxy's own certificate is unknown: set platform.extra_ca_file"
            }
            Self::Certificate(CertificateFault::WrongName) => {
                "the proxy's own certificate is for another name than the host in platform.proxy"
            }
            Self::Certificate(_) => "the proxy's own certificate is expired, not yet valid or otherwise rejected",
            Self::Tls => "TLS with the proxy itself failed: should platform.proxy begin with http://?",
            Self::Auth(_) => {
                "the proxy does not know us: check platform.proxy_user and platform.proxy_password_file; only Basic is spoken"
            }
            Self::Refused(400) => "the proxy answered CONNECT with 400: does it allow CONNECT to that port?",
            Self::Refused(403) => {
                "the proxy answered CONNECT with 403: its rules must allow the platform's host and port"
            }
            Self::Refused(404 | 405 | 501) => "the proxy answered CONNECT with 404, 405 or 501: is it a forward proxy?",
            Self::Refused(429) => "the proxy answered CONNECT with 429: it limits us",
            Self::Refused(500) => "the proxy answered CONNECT with 500: see the proxy's log",
            Self::Refused(502) => "the proxy answered CONNECT with 502: it cannot reach the platform",
            Self::Refused(503) => "the proxy answered CONNECT with 503: it cannot reach the platform, or is full",
            Self::Refused(504) => "the proxy answered CONNECT with 504: the platform did not answer it in time",
            Self::Refused(_) => "the proxy answered CONNECT with another status than 200: see Proxy-Status",
            Self::NotHttp => "what listens at platform.proxy does not answer CONNECT as HTTP proxies do",
            Self::NoAnswer => "the proxy closed the connection instead of answering CONNECT: see the proxy's log",
            Self::TunnelCut => "the tunnel was closed within the handshake with the platform: see the proxy's log",
        }
    }

    /// Label of the attempt's counter.
    pub fn attempt_result(self) -> AttemptResult {
        match self {
            Self::Certificate(_) | Self::Tls | Self::TunnelCut => AttemptResult::Tls,
            Self::Dns
            | Self::Connect(_)
            | Self::Timeout
            | Self::Auth(_)
            | Self::Refused(_)
            | Self::NotHttp
            | Self::NoAnswer => AttemptResult::Connect,
        }
    }

    /// Error type of RFC 9209, section 2.3.
    pub fn proxy_status(self) -> &'static str {
        match self {
            Self::Dns => "dns_error",
            Self::Connect(ErrorKind::ConnectionRefused) => "connection_refused",
            Self::Connect(_) => "destination_ip_unroutable",
            Self::Timeout => "connection_timeout",
            Self::Certificate(_) => "tls_certificate_error",
            Self::Tls => "tls_protocol_error",
            Self::Auth(_) => "proxy_configuration_error",
            Self::Refused(502..=504) => "destination_unavailable",
            Self::Refused(_) => "http_request_denied",
            Self::NotHttp => "http_protocol_error",
            Self::NoAnswer | Self::TunnelCut => "connection_terminated",
        }
    }

    /// The status that the proxy answered with, if that is what went wrong.
    pub fn received_status(self) -> Option<u16> {
        match self {
            Self::Auth(status) | Self::Refused(status) => Some(status),
            _ => None,
        }
    }
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
