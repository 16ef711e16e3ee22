//! One request over a connection of its own: to the HIS, to a collector. One deadline over all of it.
//!
//! A connection that was kept may be closed by the peer in the very moment the next request is written to it, and then
//! nobody knows whether it came. What is sent from here is rare enough to do without. Redirects are not followed, and
//! no cookie is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use crate::upstream::addresses::Resolver;
use crate::upstream::reply::wait;

/// Bytes of an answer's head that are accepted.
const MAX_HEAD: usize = 64 * 1024;

/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("aimis-gateway/", env!("CARGO_PKG_VERSION"));

/// Who is sent to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// By name or address, without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// The name to verify, and how; `None` for plain HTTP.
    pub(crate) tls: Option<&'a (ServerName<'static>, Arc<ClientConfig>)>,
}

/// What came back.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body is encoded (`Content-Encoding`), which was not asked for.
    pub(crate) encoded: bool,
    /// `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// The body of a success; `None` when it was longer than is read.
    pub(crate) body: Option<Vec<u8>>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// There is no way there.
    Unreachable,
    /// Nobody answers there.
    ConnectTimeout,
    /// TLS failed; also when the peer did not like our certificate.
    Tls,
    /// Its certificate is not to be trusted, and why.
    Certificate(&'static str),
    /// The request was sent, or being sent, when the time was over.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// What came is not HTTP.
    NotHttp,
}

impl Fault {
    /// A word for logs and lists.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Certificate(word) => word,
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::NotHttp => "not_http",
        }
    }

    /// Nothing of the request was sent, so it cannot be the request's fault.
    pub(crate) const fn before_sending(self) -> bool {
        match self {
            Self::Dns | Self::Refused | Self::Unreachable | Self::ConnectTimeout | Self::Tls | Self::Certificate(_) => {
                true
            }
            Self::Timeout | Self::Reset | Self::NotHttp => false,
        }
    }
}

/// Bounds of an attempt.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// For all of it.
    pub(crate) timeout: Duration,
    /// Bytes of an answer's body.
    pub(crate) max_answer: usize,
}

/// Sends a request.
///
/// # Errors
/// [`Fault`] when no whole answer came.
pub(crate) async fn post(
    place: Place<'_>,
    resolver: &Resolver,
    request: Request<Full<Bytes>>,
    bounds: Bounds,
) -> Result<Answer, Fault> {
    let until = sleep(bounds.timeout).deadline();
    let connected = timeout_at(until, connect(place, resolver, until)).await;
    let stream = connected.map_err(|_| Fault::ConnectTimeout)??;
    let answer = async {
        match place.tls {
            None => exchange(stream, request, bounds.max_answer).await,
            Some((name, config)) => {
                let connecting = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream);
                let secured = timeout_at(until, connecting).await;
                let secured = secured.map_err(|_| Fault::ConnectTimeout)?;
                let secured = secured.map_err(|error| of_tls(&error))?;
                exchange(secured, request, bounds.max_answer).await
            }
        }
    };
    timeout_at(until, answer).await.unwrap_or(Err(Fault::Timeout))
}

/// TCP to the first address that takes the connection; each has an equal share of the time that is left.
async fn connect(place: Place<'_>, resolver: &Resolver, until: Instant) -> Result<TcpStream, Fault> {
    let found = match place.host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, place.port)],
        Err(_) => resolver.find(place.host, place.port).await.unwrap_or_default(),
    };
    let mut last = Fault::Dns;
    for (index, address) in found.iter().enumerate() {
        let left = until.saturating_duration_since(sleep(Duration::ZERO).deadline());
        let share = left / u32::try_from(found.len() - index).unwrap_or(u32::MAX);
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The head and the body are two writes; the second must not wait for the first's acknowledgement.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Fault::Refused,
                io::ErrorKind::TimedOut => Fault::ConnectTimeout,
                _ => Fault::Unreachable,
            },
            Err(_) => Fault::ConnectTimeout,
        };
    }
    Err(last)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, max_answer: usize) -> Result<Answer, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = handshake.map_err(|_| Fault::Reset)?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| if error.is_parse() { Fault::NotHttp } else { Fault::Reset })?;
        let (head, body) = response.into_parts();
        let body = if head.status.is_success() {
            read(body, max_answer).await?
        } else {
            None // its status says it all
        };
        Ok(Answer {
            status: head.status.as_u16(),
            encoded: is_encoded(&head.headers),
            retry_after: wait(&head.headers),
            body,
        })
    };
    // Whatever ends the connection reaches the answer, too; it is the answer that counts.
    let connection = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = connection => never,
    }
}

/// Whether a body is not what it says, but a compression of it.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| {
        let encoding = encoding.as_bytes().trim_ascii();
        !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity")
    })
}

/// A body of `most` bytes at most; `None` when it is longer.
async fn read(mut body: Incoming, most: usize) -> Result<Option<Vec<u8>>, Fault> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::Reset)?;
        if let Ok(data) = frame.into_data() {
            if data.len() > most - all.len() {
                return Ok(None);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(Some(all))
}

fn of_tls(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        return Fault::Tls;
    };
    Fault::Certificate(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate_expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "certificate_not_yet_valid",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "certificate_wrong_name",
        CertificateError::UnknownIssuer => "certificate_unknown_issuer",
        _ => "certificate_rejected",
    })
}
