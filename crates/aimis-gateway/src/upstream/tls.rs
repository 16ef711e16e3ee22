//! TLS towards the platform and its proxies: 1.2 or newer, certificate always verified.
//!
//! The signature covers no body (platform-api.md, section 2), so TLS is all that protects questions and
//! answers on their way; there is no switch to turn verification off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::multiplexed::ALPN_HTTP2;
use crate::config::Platform as Settings;
use crate::edge::tls::files::{FileFault, TlsFile, certificates, certified, expiry, read};
use crate::secrets;
use crate::upstream::error::CertificateFault;

/// A file of the platform's TLS is not usable. The text is our own: that of the PEM reader quotes the file.
#[derive(Debug, thiserror::Error)]
#[error("platform.{key} {}: {fault}", .path.display())]
pub struct TlsFileError {
    /// The key of the configuration that names the file.
    pub key: &'static str,
    /// Its path in full.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// The client's side of TLS.
pub struct Trust {
    /// For the platform, which may be shown a certificate of ours.
    pub platform: Arc<ClientConfig>,
    /// For a proxy, which is not.
    pub proxy: Arc<ClientConfig>,
    /// Whom both are trusted by.
    pub roots: Arc<RootCertStore>,
}

impl Trust {
    /// The compiled-in roots, those of `extra_ca_file`, and our certificate.
    ///
    /// # Errors
    /// The first file that is of no use.
    pub fn read(settings: &Settings) -> Result<Self, TlsFileError> {
        let mut roots = public_roots();
        if let Some(path) = &settings.extra_ca_file {
            add(&mut roots, path).map_err(wrong("extra_ca_file", path))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_root_certificates(Arc::clone(&roots));
        let proxy = offering(builder.clone().with_no_client_auth(), false);
        let (Some(certificate), Some(key)) = (&settings.client_cert_file, &settings.client_key_file) else {
            let platform = offering(builder.with_no_client_auth(), settings.http2);
            return Ok(Self { platform, proxy, roots });
        };
        let chain = read(certificate)
            .and_then(|pem| certificates(&pem))
            .and_then(|chain| expiry(&chain).map(|_| chain))
            .map_err(wrong("client_cert_file", certificate))?;
        let pem = read(key).map_err(wrong("client_key_file", key))?;
        let own = certified(chain, &pem, &provider).map_err(|(file, fault)| match file {
            TlsFile::Certificate => wrong("client_cert_file", certificate)(fault),
            TlsFile::Key | TlsFile::ClientCa => wrong("client_key_file", key)(fault),
        })?;
        Ok(Self {
            platform: offering(
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
                settings.http2,
            ),
            proxy,
            roots,
        })
    }
}

/// The compiled-in roots: those of Mozilla, as browsers have them.
pub(crate) fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// Does a handshake over `stream`.
///
/// # Errors
/// That of the stream; one of [`rustls`] is inside, where the peer or its certificate is to blame.
pub(crate) async fn secure<S>(
    (name, config): &(ServerName<'static>, Arc<ClientConfig>),
    stream: S,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    TlsConnector::from(Arc::clone(config))
        .connect(name.clone(), stream)
        .await
}

/// What is wrong with the certificate, if that is why TLS failed.
pub(super) fn certificate_fault(error: &io::Error) -> Option<CertificateFault> {
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

fn offering(mut config: ClientConfig, http2: bool) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, ALPN_HTTP2.to_vec());
    }
    Arc::new(config)
}

/// Trusts the authorities of a PEM file, too.
pub(crate) fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), FileFault> {
    for (index, certificate) in certificates(&read(path)?)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|_| FileFault::NotAnAuthority(index + 1))?;
    }
    Ok(())
}

fn wrong(key: &'static str, path: &Path) -> impl FnOnce(FileFault) -> TlsFileError {
    let path = secrets::in_full(path);
    move |fault| TlsFileError { key, path, fault }
}
