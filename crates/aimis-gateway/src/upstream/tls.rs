//! TLS towards the platform: 1.2 or newer, certificate always verified.
//!
//! The signature covers no body (platform-api.md, section 2), so TLS is all that protects questions and
//! answers on their way; there is no switch to turn verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Why the trusted certificates could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or holds no certificate in PEM form.
    #[error("cannot be read as PEM certificates: {0}")]
    Unreadable(rustls_pki_types::pem::Error),
    /// The file holds none.
    #[error("holds no certificate; it has to be PEM (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// One of them is no certificate of an authority.
    #[error("certificate number {0} in it is not one that can be trusted as an authority")]
    NotAnAuthority(usize),
}

/// The client's side of TLS: the compiled-in roots, and those of `extra_ca`.
///
/// # Errors
/// When `extra_ca` is not a file of PEM certificates.
pub fn client_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = extra_ca {
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(TrustError::Unreadable)?;
        if certificates.is_empty() {
            return Err(TrustError::Empty);
        }
        for (index, certificate) in certificates.into_iter().enumerate() {
            roots
                .add(certificate)
                .map_err(|_| TrustError::NotAnAuthority(index + 1))?;
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
