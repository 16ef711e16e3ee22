//! Kept connections to the platform, last in, first out; they belong to one thread.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Sender = SendRequest<Full<Bytes>>;

/// The connections of one worker.
pub(crate) struct Pool {
    port: u16,
    tls: Option<TlsConnector>,
    idle: RefCell<Vec<Sender>>,
}

impl Pool {
    /// To a port of this machine, with TLS if there is a certificate to trust.
    pub(crate) fn new(port: u16, certificate: Option<&Path>) -> Result<Self> {
        Ok(Self {
            port,
            tls: certificate.map(connector).transpose()?,
            idle: RefCell::default(),
        })
    }

    /// The body of the answer to `request`.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        let kept = self.idle.borrow_mut().pop();
        let mut sender = match kept {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect().await?,
        };
        let answer = sender
            .send_request(request)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        self.idle.borrow_mut().push(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Sender> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => handshake(stream).await,
            Some(tls) => {
                let name = ServerName::try_from("localhost").context("a name")?;
                handshake(tls.connect(name, stream).await?).await
            }
        }
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        // Its end shows in the sender.
        let _ = connection.await;
    });
    Ok(sender)
}

fn connector(certificate: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
