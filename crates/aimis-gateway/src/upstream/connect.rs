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
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::addresses::{Addresses, Resolver};
use super::error::{CertificateFault, UpstreamError};
use super::proxy::{self, Proxy, ProxyFault};
use super::wire::Wire;

/// What goes over a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

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
    ) -> Self {
        Self {
            host,
            port,
            tls,
            timeout,
            ways,
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
    Ok(sender)
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
