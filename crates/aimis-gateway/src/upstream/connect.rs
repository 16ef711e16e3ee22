//! A new connection to the platform: name, TCP, TLS, HTTP handshake, under one time-out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::{CertificateFault, UpstreamError};
use super::wire::Wire;

/// What goes over a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Bytes of an answer's head that are accepted.
const MAX_HEAD: usize = 64 * 1024;

/// Where the platform is and how to get there.
#[derive(Clone)]
pub struct Connector {
    /// Host to connect to: the platform's, or that of `platform.connect_to`.
    host: String,
    port: u16,
    /// Name to ask for and to verify; `None` for plain HTTP (loopback, or by an explicit switch).
    tls: Option<(ServerName<'static>, Arc<rustls::ClientConfig>)>,
    timeout: Duration,
}

impl Connector {
    /// `timeout` covers everything from the name to the end of the TLS handshake.
    pub fn new(
        host: String,
        port: u16,
        tls: Option<(ServerName<'static>, Arc<rustls::ClientConfig>)>,
        timeout: Duration,
    ) -> Self {
        Self {
            host,
            port,
            tls,
            timeout,
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<(Sender, Wire), UpstreamError> {
        tokio::time::timeout(self.timeout, self.open())
            .await
            .unwrap_or(Err(UpstreamError::ConnectTimeout))
    }

    async fn open(&self) -> Result<(Sender, Wire), UpstreamError> {
        let tcp = self.tcp().await?;
        let wire = Wire::new(&tcp, self.tls.is_some());
        let Some((name, config)) = &self.tls else {
            return Ok((handshake(wire.watch(tcp)).await?, wire));
        };
        let tls = TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), tcp)
            .await
            .map_err(|error| tls_error(&error))?;
        Ok((handshake(wire.watch(tls)).await?, wire))
    }

    /// Tries the addresses in the resolver's order; each gets its share of the time.
    async fn tcp(&self) -> Result<TcpStream, UpstreamError> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|_| UpstreamError::Dns)?
            .collect();
        let share = self.timeout / u32::try_from(addresses.len().clamp(1, 4)).unwrap_or(4);
        let mut last = UpstreamError::Dns;
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A question is one small write that must not wait for the last one's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = UpstreamError::Connect(error.kind()),
                Err(_) => last = UpstreamError::ConnectTimeout,
            }
        }
        Err(last)
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

fn tls_error(error: &io::Error) -> UpstreamError {
    let Some(inner) = error.get_ref() else {
        return UpstreamError::Tls;
    };
    let Some(rustls::Error::InvalidCertificate(reason)) = inner.downcast_ref::<rustls::Error>() else {
        return UpstreamError::Tls;
    };
    UpstreamError::Certificate(match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        _ => CertificateFault::Rejected,
    })
}
