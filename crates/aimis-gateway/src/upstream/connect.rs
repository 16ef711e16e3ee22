//! A new connection to the platform: name, TCP, perhaps a proxy's tunnel, TLS, HTTP handshake, under one time-out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::addresses::{Addresses, Resolver};
use super::error::{CertificateFault, UpstreamError};
use super::multiplexed::{self, PeerLimit};
use super::proxy::{self, Proxy, ProxyFault};
use super::wire::Wire;
use crate::local::Local;

/// What goes over a connection.
pub(super) enum Sender {
    /// One question at a time.
    Http1(SendRequest<Full<Bytes>>),
    /// Many, as many as the peer allows.
    Http2(multiplexed::Sender, PeerLimit),
}

/// How HTTP/2 is spoken.
#[derive(Clone, Copy)]
pub struct Http2 {
    /// `platform.http2_ping_ms`; zero is never.
    pub ping: Duration,
    /// `platform.http2_ping_timeout_ms`.
    pub ping_timeout: Duration,
}

/// How HTTP/2 is called in a TLS handshake.
pub(super) const ALPN_HTTP2: &[u8] = b"h2";

/// Bytes of an answer's head that are accepted.
const MAX_HEAD: usize = 64 * 1024;

/// Time that an address has before the next one is tried beside it (RFC 8305, section 5, has 250 ms).
const HEAD_START: Duration = Duration::from_millis(300);

/// Where the platform is and which ways lead there.
#[derive(Clone)]
pub struct Connector {
    /// Host to connect to: the platform's, or that of `platform.connect_to`.
    host: String,
    port: u16,
    /// Name to ask for and to verify; `None` for plain HTTP (loopback, or by an explicit switch).
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    timeout: Duration,
    /// Each tenant has one of these; `None` is straight ahead.
    ways: Vec<Option<Proxy>>,
    http2: Http2,
    resolver: Resolver,
}

/// A connection that is ready for a question.
pub(super) struct Opened {
    pub(super) sender: Sender,
    pub(super) wire: Wire,
    /// Who is at the other end of TCP: the platform, a gap device, a proxy.
    pub(super) peer: SocketAddr,
}

impl Connector {
    /// `timeout` covers everything from the name to the end of the TLS handshake. A connection's way is its
    /// position in `ways`.
    pub fn new(
        host: String,
        port: u16,
        tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
        timeout: Duration,
        ways: Vec<Option<Proxy>>,
        http2: Http2,
    ) -> Self {
        Self {
            host,
            port,
            tls,
            timeout,
            ways,
            http2,
            resolver: Resolver::system(),
        }
    }

    /// With names looked up by `resolver`.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    pub(super) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// How many ways there are.
    pub(super) fn ways(&self) -> usize {
        self.ways.len()
    }

    /// The host and port that TCP goes to on this way, as [`Addresses`] knows them.
    pub(super) fn first_hop(&self, way: usize) -> (&str, u16) {
        match &self.ways[way] {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, way: usize, addresses: &Addresses) -> Result<Opened, UpstreamError> {
        let until = sleep(self.timeout).deadline();
        match &self.ways[way] {
            None => {
                let found = timeout_at(until, self.find(&self.host, self.port, addresses)).await;
                let found = found
                    .map_err(|_| UpstreamError::ConnectTimeout)?
                    .ok_or(UpstreamError::Dns)?;
                let (tcp, peer) = race(&found, until, addresses).await.map_err(|failed| match failed {
                    Some(kind) => UpstreamError::Connect(kind),
                    None => UpstreamError::ConnectTimeout,
                })?;
                let wire = Wire::new(&tcp, self.tls.is_some());
                let sender = self.over(tcp, &wire, until).await.map_err(|error| match error {
                    UpstreamError::NoAnswer => UpstreamError::Tls,
                    other => other,
                })?;
                Ok(Opened { sender, wire, peer })
            }
            Some(proxy) => self.through(proxy, until, addresses).await,
        }
    }

    async fn through(&self, proxy: &Proxy, until: Instant, addresses: &Addresses) -> Result<Opened, UpstreamError> {
        let fault = UpstreamError::Proxy;
        let found = timeout_at(until, self.find(&proxy.host, proxy.port, addresses)).await;
        let found = found
            .map_err(|_| fault(ProxyFault::Timeout))?
            .ok_or(fault(ProxyFault::Dns))?;
        let (mut tcp, peer) = race(&found, until, addresses).await.map_err(|failed| match failed {
            Some(kind) => fault(ProxyFault::Connect(kind)),
            None => fault(ProxyFault::Timeout),
        })?;
        let wire = Wire::new(&tcp, self.tls.is_some() || proxy.tls.is_some());
        let target = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let credentials = proxy.credentials.as_ref();
        let sender = match &proxy.tls {
            None => {
                let tunnel = timeout_at(until, proxy::tunnel(&mut tcp, &target, credentials)).await;
                tunnel.unwrap_or(Err(ProxyFault::Timeout)).map_err(fault)?;
                self.over(tcp, &wire, until).await
            }
            Some(tls) => {
                let secured = async {
                    let mut secured = secure(tls, tcp)
                        .await
                        .map_err(|error| certificate_fault(&error).map_or(ProxyFault::Tls, ProxyFault::Certificate))?;
                    proxy::tunnel(&mut secured, &target, credentials).await?;
                    Ok(secured)
                };
                let secured = timeout_at(until, secured).await;
                let secured = secured.unwrap_or(Err(ProxyFault::Timeout)).map_err(fault)?;
                self.over(secured, &wire, until).await
            }
        };
        let sender = sender.map_err(|error| match error {
            // TLS breaks off with an alert; a bare end is the tunnel's.
            UpstreamError::NoAnswer => fault(ProxyFault::TunnelCut),
            other => other,
        })?;
        Ok(Opened { sender, wire, peer })
    }

    async fn find(&self, host: &str, port: u16, addresses: &Addresses) -> Option<Vec<SocketAddr>> {
        addresses.find(host, port, sleep(self.timeout / 2).deadline()).await
    }

    /// TLS and HTTP with the platform, at whose door `stream` ends. [`UpstreamError::NoAnswer`] if it just ends.
    async fn over<S>(&self, stream: S, wire: &Wire, until: Instant) -> Result<Sender, UpstreamError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(tls) = &self.tls else {
            return handshake(wire.watch(stream)).await;
        };
        let secured = timeout_at(until, secure(tls, stream)).await;
        let secured = secured.map_err(|_| UpstreamError::ConnectTimeout)?;
        match secured {
            Ok(secured) if secured.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2) => {
                // Its frames tell which answer is whose, so what comes unasked harms nobody.
                wire.answering();
                let ready = timeout_at(until, handshake_http2(wire, secured, self.http2)).await;
                ready.unwrap_or(Err(UpstreamError::ConnectTimeout))
            }
            Ok(secured) => handshake(wire.watch(secured)).await,
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Err(certificate_fault(&error).map_or(UpstreamError::Tls, UpstreamError::Certificate))
            }
            Err(_) => Err(UpstreamError::NoAnswer),
        }
    }
}

async fn secure<S>((name, config): &(ServerName<'static>, Arc<ClientConfig>), stream: S) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsConnector::from(Arc::clone(config))
        .connect(name.clone(), stream)
        .await
}

/// Connects to the first address that answers; each has a head start before the next (RFC 8305).
///
/// The error is the last refusal's; `None` when it was too late for any.
async fn race(
    found: &[SocketAddr],
    until: Instant,
    addresses: &Addresses,
) -> Result<(TcpStream, SocketAddr), Option<io::ErrorKind>> {
    let mut waiting = found.iter().copied();
    let mut asked: Vec<SocketAddr> = Vec::with_capacity(found.len());
    let mut running = FuturesUnordered::new();
    let mut last = None;
    loop {
        if let Some(address) = waiting.next() {
            asked.push(address);
            running.push(async move { (address, TcpStream::connect(address).await) });
        } else if running.is_empty() {
            return Err(last);
        }
        tokio::select! {
            Some((address, connected)) = running.next() => match connected {
                Ok(stream) => {
                    for late in asked.iter().take_while(|asked| **asked != address) {
                        addresses.failed(*late);
                    }
                    addresses.succeeded(address);
                    // A question is one small write that must not wait for the last one's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(error) => {
                    asked.retain(|asked| *asked != address);
                    addresses.failed(address);
                    last = Some(error.kind());
                }
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
            () = tokio::time::sleep_until(until) => {
                for late in asked {
                    addresses.failed(late);
                }
                return Err(None);
            }
        }
    }
}

async fn handshake<S>(stream: S) -> Result<Sender, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| UpstreamError::NotHttp)?;
    // It ends with the connection; what went wrong reaches the exchange through the sender.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Ok(Sender::Http1(sender))
}

async fn handshake_http2<S>(wire: &Wire, stream: S, settings: Http2) -> Result<Sender, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(0)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(Some(settings.ping).filter(|ping| !ping.is_zero()))
        .keep_alive_timeout(settings.ping_timeout)
        // An address translator that forgets an idle connection tells nobody.
        .keep_alive_while_idle(true);
    let (sender, mut connection) = builder
        .handshake(TokioIo::new(wire.watch(stream)))
        .await
        .map_err(|_| UpstreamError::NotHttp)?;
    // Until the peer's settings are there nobody knows how many questions it takes, and what is too many for it would
    // wait unseen inside of the connection.
    std::future::poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_ended) => Poll::Ready(Err(UpstreamError::NotHttp)),
        Poll::Pending if connection.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => {
            // A task of its own reads the frames, and tells nobody what they said.
            wire.wake_on_read(cx.waker());
            Poll::Pending
        }
    })
    .await?;
    let limit = PeerLimit::new(connection.current_max_send_streams());
    let learnt = limit.clone();
    tokio::task::spawn_local(std::future::poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx).map(|_ended| ());
        learnt.set(connection.current_max_send_streams());
        polled
    }));
    Ok(Sender::Http2(sender, limit))
}

/// What is wrong with the certificate, if that is why TLS failed.
fn certificate_fault(error: &io::Error) -> Option<CertificateFault> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(reason) = inner else {
        return None;
    };
    Some(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        _ => CertificateFault::Rejected,
    })
}
