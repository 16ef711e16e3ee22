//! The way to the platform over TLS: whom the gateway trusts, and what it tells when it does not.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aimis_simulator::{Platform, PlatformOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::client::{Answer, post};
use crate::support::gateway::{Settings, studies_query};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NAME: &str = "platform.example";

/// An authority that nobody knows but the tests.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    /// `name` tells its file from those of other tests.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate for `names`, valid until `until`.
    fn certify(&self, names: &[&str], until: (i32, u8, u8)) -> CertifiedKey {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        CertifiedKey::new(vec![certificate.der().clone()], key)
    }

    fn good(&self, names: &[&str]) -> CertifiedKey {
        self.certify(names, (2090, 1, 1))
    }

    fn settings(&self, base_url: &str) -> Settings {
        Settings::calling_url(base_url).with("platform", &format!("extra_ca_file = \"{}\"", self.file.display()))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Presents one certificate and remembers by which name it was asked for.
#[derive(Debug)]
struct Names {
    certificate: Arc<CertifiedKey>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.asked.lock().unwrap().push(hello.server_name().map(str::to_owned));
        Some(Arc::clone(&self.certificate))
    }
}

/// A platform with this certificate, and the names it is asked for.
async fn platform(
    certificate: CertifiedKey,
    versions: &[&'static SupportedProtocolVersion],
) -> (Platform, Arc<Mutex<Vec<Option<String>>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let names = Names {
        certificate: Arc::new(certificate),
        asked: Arc::clone(&asked),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    let options = PlatformOptions {
        tls: Some(Arc::new(config)),
        ..PlatformOptions::default()
    };
    (Platform::start(options).await.unwrap(), asked)
}

async fn studies(settings: &Settings) -> Answer {
    let gateway = settings.start();
    let path = "/thirdparty/patientStudies/900001";
    post(
        gateway.lan,
        path,
        &[("Accept-Language", "en")],
        studies_query().as_bytes(),
    )
    .await
}

/// A refusal that says which part of TLS failed; the platform was never asked.
#[track_caller]
fn assert_untrusted(answer: &Answer, detail: &str, proxy_status: &str, platform: &Platform) {
    assert_eq!((answer.status, answer.code()), (502, 800_301), "{}", answer.text());
    assert!(
        answer.json()["detail"].as_str().unwrap().contains(detail),
        "{}",
        answer.text()
    );
    assert_eq!(
        answer.header("proxy-status"),
        Some(&*format!("aimis; error={proxy_status}"))
    );
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_platform_whose_authority_is_configured_is_trusted() {
    let authority = Authority::new("trusted");
    for (name, versions) in [("both", BOTH), ("1.3", &[&version::TLS13]), ("1.2", &[&version::TLS12])] {
        let (platform, asked) = platform(authority.good(&["127.0.0.1"]), versions).await;

        let answer = studies(&authority.settings(&platform.base_url())).await;

        assert_eq!((answer.status, answer.code()), (200, 0), "{name}");
        assert_eq!(answer.body, platform.only_request().reply);
        // An address is no name to ask for (RFC 6066, section 3).
        assert_eq!(*asked.lock().unwrap(), [None]);
    }
}

#[tokio::test]
async fn a_platform_whose_authority_nobody_knows_is_not_trusted() {
    let (authority, other) = (Authority::new("unknown"), Authority::new("another"));
    let (platform, _) = platform(authority.good(&["127.0.0.1"]), BOTH).await;

    for settings in [
        Settings::calling_url(&platform.base_url()),
        other.settings(&platform.base_url()),
    ] {
        let answer = studies(&settings).await;
        assert_untrusted(&answer, "unknown issuer", "tls_certificate_error", &platform);
    }
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_not_trusted() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let (platform, _) = platform(CertifiedKey::new(vec![made.cert.der().clone()], key), BOTH).await;

    let answer = studies(&Settings::calling_url(&platform.base_url())).await;

    assert_untrusted(&answer, "unknown issuer", "tls_certificate_error", &platform);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let authority = Authority::new("name");
    let (platform, _) = platform(authority.good(&[NAME, "localhost", "127.0.0.2"]), BOTH).await;

    let by_address = studies(&authority.settings(&platform.base_url())).await;
    assert_untrusted(&by_address, "for another name", "tls_certificate_error", &platform);

    // Nor does the address that is connected to count, only the name in base_url.
    let settings = authority
        .settings("https://other.example")
        .with("platform", &connect_to(&platform));
    assert_untrusted(
        &studies(&settings).await,
        "for another name",
        "tls_certificate_error",
        &platform,
    );
}

#[tokio::test]
async fn a_certificate_past_its_end_or_before_its_beginning_is_not_trusted() {
    let authority = Authority::new("expired");
    let (platform, _) = platform(authority.certify(&["127.0.0.1"], (2020, 1, 2)), BOTH).await;

    let answer = studies(&authority.settings(&platform.base_url())).await;

    assert_untrusted(&answer, "has expired", "tls_certificate_error", &platform);
}

fn connect_to(platform: &Platform) -> String {
    format!("connect_to = \"{}\"", platform.addr())
}

#[tokio::test]
async fn through_another_address_the_platforms_own_name_is_asked_for_and_verified() {
    let authority = Authority::new("connect-to");
    let rows = [
        ("https://platform.example", NAME),
        ("https://platform.example:8443", "platform.example:8443"),
    ];
    for (base_url, host) in rows {
        let (platform, asked) = platform(authority.good(&[NAME]), BOTH).await;
        let settings = authority.settings(base_url).with("platform", &connect_to(&platform));

        let answer = studies(&settings).await;

        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
        assert_eq!(platform.only_request().header("host"), Some(host));
        assert_eq!(*asked.lock().unwrap(), [Some(NAME.to_owned())]);
    }
}

#[tokio::test]
async fn tls_before_1_2_is_neither_offered_nor_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(&server_hello_of_tls_1_1()).await.unwrap();
        let mut alert = Vec::new();
        let _ = stream.read_to_end(&mut alert).await;
        (hello, alert)
    });

    // The server is there for one handshake.
    let settings = Settings::calling_url(&format!("https://{address}")).with("platform", "max_retries = 0");
    let answer = studies(&settings).await;

    assert_eq!((answer.status, answer.code()), (502, 800_301), "{}", answer.text());
    assert_eq!(answer.header("proxy-status"), Some("aimis; error=tls_protocol_error"));
    let (hello, alert) = server.await.unwrap();
    // supported_versions (43): 2 versions in 4 bytes, 1.3 and 1.2 (RFC 8446, section 4.2.1).
    let offered = [[0, 43, 0, 5, 4, 3, 4, 3, 3], [0, 43, 0, 5, 4, 3, 3, 3, 4]];
    assert!(
        hello
            .windows(9)
            .any(|window| offered.iter().any(|versions| window == versions)),
        "{hello:02x?}"
    );
    // A fatal alert, protocol_version (70).
    assert_eq!(
        (alert.first(), alert.last_chunk()),
        (Some(&21), Some(&[2, 70])),
        "{alert:02x?}"
    );
}

/// A server's choice of TLS 1.1 and `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA` (RFC 4346, section 7.4.1.3).
fn server_hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 2, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}
