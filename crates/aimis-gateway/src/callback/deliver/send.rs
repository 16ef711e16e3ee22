//! One attempt: a connection to the target, one request, its answer, under one deadline.
//!
//! Each event has a connection of its own. Events are few, TLS sessions are resumed, and a connection that was kept
//! may be closed by the HIS in the very moment the next event is written to it: then nobody knows whether it came,
//! and it is delivered a second time though nothing failed. Redirects are not followed, and no cookie is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::body::content_type;
use super::target::Target;
use crate::upstream::addresses::Resolver;
use crate::upstream::reply::wait;

/// Bytes of an answer's head that are accepted.
const MAX_HEAD: usize = 64 * 1024;

/// What we call ourselves.
const AGENT: &str = concat!("aimis-gateway/", env!("CARGO_PKG_VERSION"));

/// An event as it goes out.
pub(super) struct Letter {
    /// `webhook-id`: the event's own.
    pub(super) id: String,
    /// `webhook-timestamp`: seconds since 1970.
    pub(super) timestamp: String,
    /// The JSON.
    pub(super) body: Bytes,
}

/// What came back.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body is encoded (`Content-Encoding`), which was not asked for.
    pub(super) encoded: bool,
    /// `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// The body of a success; `None` when it was longer than is read.
    pub(super) body: Option<Vec<u8>>,
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// There is no way there.
    Unreachable,
    /// Nobody answers there.
    ConnectTimeout,
    /// TLS failed; also when the HIS did not like our certificate.
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
    pub(super) const fn word(self) -> &'static str {
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

    /// Nothing of the event was sent, so it cannot be the event's fault.
    pub(super) const fn before_sending(self) -> bool {
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
pub(super) struct Bounds {
    /// For all of it.
    pub(super) timeout: Duration,
    /// Bytes of an answer's body.
    pub(super) max_answer: usize,
}

/// Sends an event.
///
/// # Errors
/// [`Fault`] when no whole answer came.
pub(super) async fn send(
    target: &Target,
    resolver: &Resolver,
    letter: &Letter,
    bounds: Bounds,
) -> Result<Answer, Fault> {
    let until = sleep(bounds.timeout).deadline();
    let connected = timeout_at(until, connect(target, resolver, until)).await;
    let stream = connected.map_err(|_| Fault::ConnectTimeout)??;
    let request = request(target, letter);
    let answer = async {
        match &target.tls {
            None => exchange(stream, request, bounds.max_answer).await,
            Some((name, config)) => {
                let connecting = TlsConnector::from(config.clone()).connect(name.clone(), stream);
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
async fn connect(target: &Target, resolver: &Resolver, until: Instant) -> Result<TcpStream, Fault> {
    let found = match target.host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, target.port)],
        Err(_) => resolver.find(&target.host, target.port).await.unwrap_or_default(),
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

fn request(target: &Target, letter: &Letter) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(letter.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.path.clone();
    let text = |text: &str| HeaderValue::from_str(text).expect("ids and numbers are legal in a header");
    let headers = request.headers_mut();
    headers.insert(HOST, target.authority.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(target.charset)));
    headers.insert("webhook-id", text(&letter.id));
    headers.insert("webhook-timestamp", text(&letter.timestamp));
    if let Some(signer) = &target.signer {
        let signature = signer.sign(&letter.id, &letter.timestamp, &letter.body);
        headers.insert("webhook-signature", signature);
    }
    if let Some(bearer) = &target.bearer {
        headers.insert(AUTHORIZATION, bearer.clone());
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
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
