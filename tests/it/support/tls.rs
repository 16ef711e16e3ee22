//! Certificates made at run time, and clients that speak TLS or something like it.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SigningKey,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::asn1::BitString;
use x509_cert::der::{Decode, Encode};
use x509_cert::{Certificate, Version};

use super::client::PATIENCE;

/// An authority that nobody knows but the tests.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// In PEM.
    pub certificate_pem: String,
    /// In PEM.
    pub key_pem: String,
    key: Vec<u8>,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq)]
pub enum Purpose {
    Server,
    Client,
}

impl Authority {
    /// One with a name of its own.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate valid until `year`.
    pub fn certify(&self, purpose: Purpose, year: i32) -> Pair {
        self.certify_for("127.0.0.1", purpose, year)
    }

    /// A caller's certificate as `openssl x509 -req` makes it: X.509 version 1, without extensions (RFC 5280,
    /// section 4.1.2.1).
    pub fn version_1(&self) -> Pair {
        let pair = self.client();
        let mut certificate = Certificate::from_der(&pair.certificate).unwrap();
        certificate.tbs_certificate.version = Version::V1;
        certificate.tbs_certificate.extensions = None;
        let signed = self
            .0
            .key()
            .sign(&certificate.tbs_certificate.to_der().unwrap())
            .unwrap();
        certificate.signature = BitString::from_bytes(&signed).unwrap();
        let der = CertificateDer::from(certificate.to_der().unwrap());
        let base64 = BASE64_STANDARD.encode(&der);
        Pair {
            certificate_pem: format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"),
            certificate: der,
            ..pair
        }
    }

    /// A certificate for `name`.
    pub fn certify_for(&self, name: &str, purpose: Purpose, year: i32) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
        }
    }

    /// The gateway's certificate.
    pub fn server(&self) -> Pair {
        self.certify(Purpose::Server, 2090)
    }

    /// A caller's certificate.
    pub fn client(&self) -> Pair {
        self.certify(Purpose::Client, 2090)
    }

    /// A caller's certificate for `name`.
    pub fn named(&self, name: &str) -> Pair {
        self.certify_for(name, Purpose::Client, 2090)
    }

    /// A caller that trusts this authority, with or without a certificate.
    pub fn caller(&self, versions: &[&'static SupportedProtocolVersion], shown: Option<&Pair>) -> Caller {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            Some(pair) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.key.clone()));
                let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
                // Unexamined, so that a caller can show what it should not.
                let shown = CertifiedKey::new(vec![pair.certificate.clone()], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
            None => builder.with_no_client_auth(),
        };
        Caller(Arc::new(config))
    }
}

/// A HIS that speaks TLS. It keeps the tickets it is given from one connection to the next.
#[derive(Clone)]
pub struct Caller(Arc<ClientConfig>);

/// Its connection.
pub struct Secure(TlsStream<TcpStream>);

impl Caller {
    /// The same caller, naming protocols.
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Does a handshake. Under TLS 1.3 a caller that is refused learns it only when it reads.
    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<Secure> {
        self.over(TcpStream::connect(address).await?).await
    }

    /// Does a handshake over a stream that is connected already.
    pub async fn over(&self, stream: TcpStream) -> std::io::Result<Secure> {
        let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let connecting = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream);
        let stream = tokio::time::timeout(PATIENCE, connecting)
            .await
            .expect("a handshake in time")?;
        Ok(Secure(stream))
    }

    /// Sends a request over a connection of its own: everything that comes until the close; `None` if it is
    /// refused.
    pub async fn ask(&self, address: SocketAddr, request: &[u8]) -> Option<String> {
        self.connect(address).await.ok()?.ask(request).await
    }
}

impl Secure {
    /// Sends a request that closes behind it; `None` if no answer comes.
    pub async fn ask(mut self, request: &[u8]) -> Option<String> {
        self.send(request).await?;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut answer)).await;
        // What counts is whether an answer came, not how the peer left.
        let _ = read.expect("an answer in time");
        (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
    }

    /// Sends bytes; `None` if the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.write_all(bytes).await.ok()?;
        self.0.flush().await.ok()
    }

    /// Reads until `end` has come.
    pub async fn read_until(&mut self, end: &str) -> Option<String> {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(end) {
            let more = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut read)).await;
            if more.expect("bytes in time").ok()? == 0 {
                return None;
            }
        }
        Some(String::from_utf8_lossy(&read).into_owned())
    }

    /// The certificate that the gateway showed.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.0.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    /// The protocol that was agreed on by name.
    pub fn alpn(&self) -> Option<Vec<u8>> {
        self.0.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// Whether an earlier session was taken up again.
    pub fn resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }
}

/// The first record of a client that offers `version` at most (RFC 2246, section 7.4.1.2), with one old suite.
pub fn hello_of(version: [u8; 2]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session; TLS_RSA_WITH_AES_128_CBC_SHA; no compression.
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, version[0], version[1], 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    record
}
