//! Verifies a certificate as the gateway does, and remembers what was shown, also if it is refused.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::upstream::tls::public_roots;

/// A verifier that remembers.
#[derive(Debug)]
pub(super) struct Witness {
    verifier: Arc<WebPkiServerVerifier>,
    /// Trusts the compiled-in authorities alone.
    public: Arc<WebPkiServerVerifier>,
    shown: Mutex<Shown>,
}

/// What a peer showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Its certificate, and those it sent behind it.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The compiled-in authorities suffice for it.
    pub(super) public: bool,
}

impl Witness {
    /// Trusts `roots`.
    pub(super) fn new(roots: &Arc<RootCertStore>) -> Self {
        let verifier = |roots| {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let builder = WebPkiServerVerifier::builder_with_provider(roots, provider);
            builder.build().expect("there are roots, and no lists to parse")
        };
        Self {
            verifier: verifier(Arc::clone(roots)),
            public: verifier(Arc::new(public_roots())),
            shown: Mutex::default(),
        }
    }

    /// What was shown last.
    pub(super) fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let all = std::iter::once(end_entity).chain(intermediates);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            chain: all.map(|certificate| certificate.clone().into_owned()).collect(),
            public: verify(&self.public).is_ok(),
        };
        verify(&self.verifier)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
