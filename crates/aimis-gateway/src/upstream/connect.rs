//! A new connection to the platform: name, TCP, perhaps a proxy's tunnel, TLS, HTTP handshake, under one time-out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::addresses::{Addresses, Resolver};
use super::error::UpstreamError;
use super::multiplexed::{self, ALPN_HTTP2, Http2, PeerLimit};
use super::proxy::{self, Proxy, ProxyFault, Tunnel};
use super::tls;
use super::wire::Wire;
use crate::config::Platform as Settings;

/// What goes over a connection of HTTP/1.1.
pub(crate) type Http1 = SendRequest<Full<Bytes>>;

/// What goes over a connection.
pub(super) enum Sender {
    /// One question at a time.
    Http1(Http1),
    /// Many, as many as the peer allows.
    Http2(multiplexed::Sender, PeerLimit),
}

/// Bounds of a new connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For everything from the name to the end of the TLS handshake.
    pub timeout: Duration,
    /// Time that an address has before the next one is tried beside it (RFC 8305, section 5, has 250 ms).
    pub head_start: Duration,
    /// Bytes of an answer's head that are accepted.
    pub max_head: usize,
}

impl Bounds {
    /// Those of `[platform]`.
    pub fn of(settings: &Settings) -> Self {
        Self {
            timeout: settings.connect_timeout,
            head_start: settings.connect_head_start,
            max_head: settings.max_head_bytes,
        }
    }
}

/// Where the platform is and which ways lead there.
#[derive(Clone)]
pub struct Connector {
    /// Host to connect to: the platform's, or that of `platform.connect_to`.
    host: String,
    port: u16,
    /// Name to ask for and to verify; `None` for plain HTTP (loopback, or by an explicit switch).
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    bounds: Bounds,
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
    /// A connection's way is its position in `ways`.
    pub fn new(
        host: String,
        port: u16,
        tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
        bounds: Bounds,
        ways: Vec<Option<Proxy>>,
        http2: Http2,
    ) -> Self {
        Self {
            host,
            port,
            tls,
            bounds,
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
    pub(crate) fn first_hop(&self, way: usize) -> (&str, u16) {
        match &self.ways[way] {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// The proxy of this way; `None` is straight ahead.
    pub(crate) fn proxy(&self, way: usize) -> Option<&Proxy> {
        self.ways[way].as_ref()
    }

    /// Where the platform is, as a proxy is told it: `host:port`.
    pub(crate) fn target(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The name to verify and how; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Option<&(ServerName<'static>, Arc<ClientConfig>)> {
        self.tls.as_ref()
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, way: usize, addresses: &Addresses) -> Result<Opened, UpstreamError> {
        let until = sleep(self.bounds.timeout).deadline();
        match &self.ways[way] {
            None => {
                let found = timeout_at(until, self.find(&self.host, self.port, addresses)).await;
                let found = found
                    .map_err(|_| UpstreamError::ConnectTimeout)?
                    .ok_or(UpstreamError::Dns)?;
                let raced = race(&found, self.bounds.head_start, until, addresses).await;
                let (tcp, peer) = raced.map_err(|failed| match failed {
                    Some(kind) => UpstreamError::Connect(kind),
                    None => UpstreamError::ConnectTimeout,
                })?;
                let wire = self.wire(&tcp, self.tls.is_some());
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
        let raced = race(&found, self.bounds.head_start, until, addresses).await;
        let (tcp, peer) = raced.map_err(|failed| match failed {
            Some(kind) => fault(ProxyFault::Connect(kind)),
            None => fault(ProxyFault::Timeout),
        })?;
        let wire = self.wire(&tcp, self.tls.is_some() || proxy.tls.is_some());
        let tunnel = timeout_at(until, proxy::open(proxy, tcp, &self.target())).await;
        let sender = match tunnel.unwrap_or(Err(ProxyFault::Timeout)).map_err(fault)? {
            Tunnel::Plain(tunnel) => self.over(tunnel, &wire, until).await,
            Tunnel::Secured(tunnel) => self.over(tunnel, &wire, until).await,
        };
        let sender = sender.map_err(|error| match error {
            // TLS breaks off with an alert; a bare end is the tunnel's.
            UpstreamError::NoAnswer => fault(ProxyFault::TunnelCut),
            other => other,
        })?;
        Ok(Opened { sender, wire, peer })
    }

    /// More than two of the largest heads before an answer's own is complete: such a peer is cut.
    fn wire(&self, socket: &TcpStream, encrypted: bool) -> Wire {
        Wire::new(socket, encrypted, 2 * self.bounds.max_head)
    }

    async fn find(&self, host: &str, port: u16, addresses: &Addresses) -> Option<Vec<SocketAddr>> {
        addresses
            .find(host, port, sleep(self.bounds.timeout / 2).deadline())
            .await
    }

    /// TLS and HTTP with the platform, at whose door `stream` ends. [`UpstreamError::NoAnswer`] if it just ends.
    async fn over<S>(&self, stream: S, wire: &Wire, until: Instant) -> Result<Sender, UpstreamError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(tls) = &self.tls else {
            return handshake(wire.watch(stream), self.bounds.max_head)
                .await
                .map(Sender::Http1);
        };
        let secured = timeout_at(until, tls::secure(tls, stream)).await;
        let secured = secured.map_err(|_| UpstreamError::ConnectTimeout)?;
        let secured = secured.map_err(|error| tls_fault(&error))?;
        if secured.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
            return handshake(wire.watch(secured), self.bounds.max_head)
                .await
                .map(Sender::Http1);
        }
        // Its frames tell which answer is whose, so what comes unasked harms nobody.
        wire.answering();
        let ready = timeout_at(
            until,
            multiplexed::handshake(wire, secured, self.bounds.max_head, self.http2),
        )
        .await;
        ready.unwrap_or(Err(UpstreamError::ConnectTimeout))
    }
}

/// Why a handshake with the platform failed; [`UpstreamError::NoAnswer`] if the stream just ended.
pub(crate) fn tls_fault(error: &io::Error) -> UpstreamError {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        tls::certificate_fault(error).map_or(UpstreamError::Tls, UpstreamError::Certificate)
    } else {
        UpstreamError::NoAnswer
    }
}

/// Connects to the first address that answers; each has a head start before the next (RFC 8305).
///
/// The error is the last refusal's; `None` when it was too late for any.
async fn race(
    found: &[SocketAddr],
    head_start: Duration,
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
            () = sleep(head_start), if waiting.len() > 0 => {}
            () = tokio::time::sleep_until(until) => {
                for late in asked {
                    addresses.failed(late);
                }
                return Err(None);
            }
        }
    }
}

/// HTTP/1.1 over `stream`, whose heads may have up to `max_head` bytes.
pub(crate) async fn handshake<S>(stream: S, max_head: usize) -> Result<Http1, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(max_head)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| UpstreamError::NotHttp)?;
    // It ends with the connection; what went wrong reaches the exchange through the sender.
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
