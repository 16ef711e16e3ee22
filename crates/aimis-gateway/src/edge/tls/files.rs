//! Certificate, key and client authorities: three files become one configuration of rustls, or a reason why not.
//!
//! Everything is judged before anything is replaced: the chain can be read, the key belongs to it, every
//! client authority is one. Texts are our own: those of the PEM reader quote lines of the file.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::certificate;
use crate::config::{ClientAuth, LanTls};
use crate::regular_file::{self, NoFile};
use crate::secrets;
use crate::telemetry::labels::ListenerName;

/// Longest file that is read: a system's whole store of authorities has a quarter of it.
const MAX_BYTES: usize = 1 << 20;

/// Why the files are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}.tls.{} {}: {fault}", .listener.as_str(), .file.key(), .path.display())]
pub struct FileError {
    /// Whose.
    pub listener: ListenerName,
    /// Which of them.
    pub file: TlsFile,
    /// Its path in full.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// Our certificate.
    Certificate,
    /// Its key.
    Key,
    /// The clients' authorities.
    ClientCa,
}

impl TlsFile {
    /// The key that names it in the listener's table.
    pub fn key(self) -> &'static str {
        match self {
            Self::Certificate => "cert_file",
            Self::Key => "key_file",
            Self::ClientCa => "client_ca_file",
        }
    }

    fn path(self, settings: &LanTls) -> &Path {
        match self {
            Self::Certificate => &settings.cert_file,
            Self::Key => &settings.key_file,
            Self::ClientCa => settings.client_ca_file.as_deref().unwrap_or(Path::new("")),
        }
    }

    fn error(self, listener: ListenerName, settings: &LanTls, fault: FileFault) -> FileError {
        FileError {
            listener,
            file: self,
            path: secrets::in_full(self.path(settings)),
            fault,
        }
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is not there.
    #[error("no such file")]
    Missing,
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(ErrorKind),
    /// It is a pipe, say.
    #[error("{0}")]
    NoFile(NoFile),
    /// It is no file of certificates.
    #[error("is longer than {MAX_BYTES} bytes; is it the right file?")]
    TooLong,
    /// Broken between its BEGIN and END.
    #[error("is not good PEM: a section is cut off or damaged")]
    NotPem,
    /// Nothing in it.
    #[error("holds no certificate; it has to be PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// One of several is none.
    #[error("certificate number {0} in it cannot be read")]
    NotACertificate(usize),
    /// Without extensions, and so without names.
    #[error(
        "is X.509 version 1, as `openssl x509 -req` makes them without -extfile; issue it with extensions (version 3)"
    )]
    Version1,
    /// No key in it.
    #[error("holds no private key; it has to be PEM (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// There is nobody to type a passphrase.
    #[error("holds an encrypted key; write it without a passphrase, readable only for the gateway")]
    EncryptedKey,
    /// Not of our kinds.
    #[error("holds a key that cannot be used; RSA of 2048 bits or more, ECDSA P-256, P-384 or P-521, and Ed25519 can")]
    UnusableKey,
    /// Another certificate's.
    #[error("holds the key of another certificate than the first in the file of certificates")]
    WrongKey,
    /// Not an authority.
    #[error("certificate number {0} in it is not one that can be trusted as an authority")]
    NotAnAuthority(usize),
    /// No key for tickets could be made.
    #[error("the system denied randomness")]
    NoRandomness,
}

/// What the listener shows and asks for from now on.
pub struct Identity {
    /// For handshakes. It has tickets and kept sessions of its own.
    pub config: Arc<ServerConfig>,
    /// When the certificate expires, in seconds since 1970.
    pub not_after: u64,
}

/// The files' content at one moment.
pub struct Files {
    listener: ListenerName,
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

impl Files {
    /// Reads those of `listener`.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub fn read(listener: ListenerName, settings: &LanTls) -> Result<Self, FileError> {
        let read = |file: TlsFile| read(file.path(settings)).map_err(|fault| file.error(listener, settings, fault));
        Ok(Self {
            listener,
            certificate: read(TlsFile::Certificate)?,
            key: read(TlsFile::Key)?,
            client_ca: settings
                .client_ca_file
                .as_ref()
                .map(|_| read(TlsFile::ClientCa))
                .transpose()?,
        })
    }

    /// Tells contents apart. Times do not: a mounted secret is a swapped link, and its file may be older.
    pub fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for content in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()] {
            let content = content.map_or(&[][..], |content| content.as_slice());
            all.update(Sha256::digest(content));
        }
        all.finalize().into()
    }

    /// Makes the listener's identity of them.
    ///
    /// # Errors
    /// What is wrong with the first that is of no use.
    pub fn identity(&self, settings: &LanTls, offer: Offer) -> Result<Identity, FileError> {
        let wrong = |file: TlsFile| move |fault| file.error(self.listener, settings, fault);
        let chain = certificates(&self.certificate).map_err(wrong(TlsFile::Certificate))?;
        let not_after = expiry(&chain).map_err(wrong(TlsFile::Certificate))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = certified(chain, &self.key, &provider).map_err(|(file, fault)| wrong(file)(fault))?;
        let roots = self.client_ca.as_deref().map(|pem| authorities(pem)).transpose();
        let roots = roots.map_err(wrong(TlsFile::ClientCa))?;

        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3");
        let builder = match roots {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match settings.client_auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().expect("there are roots, and no lists to parse"))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.ticketer =
            aws_lc_rs::Ticketer::new().map_err(|_| wrong(TlsFile::Certificate)(FileFault::NoRandomness))?;
        config.alpn_protocols = offer.names();
        Ok(Identity {
            config: Arc::new(config),
            not_after,
        })
    }
}

/// What is offered to be spoken behind the handshake (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 first (`lan.http2`).
    Http2,
}

impl Offer {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// Reads a file of certificates or a key.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    let told = |error: std::io::Error| match (NoFile::of(&error), error.kind()) {
        (Some(no), _) => FileFault::NoFile(no),
        (None, ErrorKind::NotFound) => FileFault::Missing,
        (None, kind) => FileFault::Unreadable(kind),
    };
    let mut file = regular_file::open(path).map_err(told)?;
    // All room at once: a growing buffer would leave copies of a key behind.
    let length = file.metadata().map_err(told)?.len();
    if length > MAX_BYTES as u64 {
        return Err(FileFault::TooLong);
    }
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(MAX_BYTES) + 1));
    file.by_ref()
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(told)?;
    if content.len() > MAX_BYTES {
        return Err(FileFault::TooLong);
    }
    Ok(content)
}

/// All certificates in a file, one at least.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| FileFault::NotPem)?;
    if certificates.is_empty() {
        return Err(FileFault::NoCertificate);
    }
    Ok(certificates)
}

/// The end of the first certificate, which has to be of version 3; all of them have to be readable.
pub(crate) fn expiry(chain: &[CertificateDer<'_>]) -> Result<u64, FileFault> {
    let mut first = None;
    for (index, certificate) in chain.iter().enumerate() {
        let end = certificate::not_after(certificate).ok_or(FileFault::NotACertificate(index + 1))?;
        first = first.or(Some(end));
    }
    if chain.first().is_some_and(certificate::is_version_1) {
        return Err(FileFault::Version1);
    }
    first.ok_or(FileFault::NoCertificate)
}

/// A chain with its key, which has to be that of the first certificate.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    pem: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, (TlsFile, FileFault)> {
    let wrong = |fault| (TlsFile::Key, fault);
    // Either form of an encrypted key says so in clear (RFC 7468, section 11; RFC 1421, section 4.6.1.1).
    if memchr::memmem::find(pem, b"ENCRYPTED").is_some() {
        return Err(wrong(FileFault::EncryptedKey));
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => wrong(FileFault::NoKey),
        _ => wrong(FileFault::NotPem),
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => wrong(FileFault::WrongKey),
        rustls::Error::InvalidCertificate(_) => (TlsFile::Certificate, FileFault::NotACertificate(1)),
        _ => wrong(FileFault::UnusableKey),
    })
}

pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, FileFault> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|_| FileFault::NotAnAuthority(index + 1))?;
    }
    Ok(roots)
}
