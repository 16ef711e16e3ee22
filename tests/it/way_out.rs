//! The way out: proxies, their failures, what they see of us, and whose certificate the platform sees.

mod addresses;
mod failures;
mod http2;
pub mod real;

use std::collections::BTreeSet;
use std::sync::Arc;

use aimis_simulator::{Account, Platform, PlatformOptions, Recorded};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::support::client::{Answer, post};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};
use crate::support::proxy::{Conduct, Proxy};
use crate::support::tls::{Authority, Pair, Purpose};

const STUDIES: &str = "/thirdparty/patientStudies/900001";
const NAME: &str = "platform.example";

/// `user:hospital pass:phrase`.
const BASIC: &str = "Basic aG9zcGl0YWw6cGFzczpwaHJhc2U=";
const PASSWORD: &str = "pass:phrase";

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

async fn secure_platform(tls: Arc<ServerConfig>) -> Platform {
    let options = PlatformOptions {
        tls: Some(tls),
        ..PlatformOptions::default()
    };
    Platform::start(options).await.unwrap()
}

/// A server that shows `pair`, and asks for certificates of `clients` if there are any.
pub fn server(pair: &Pair, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(vec![pair.certificate.clone()], key).unwrap())
}

fn trusting(settings: Settings, directory: &Directory, authority: &Authority) -> Settings {
    let file = directory.file("ca.pem", authority.pem());
    settings.with("platform", &format!("extra_ca_file = \"{file}\""))
}

fn with_user(settings: Settings, directory: &Directory, password: &str) -> Settings {
    let file = directory.file("proxy.password", password);
    settings
        .with("platform", "proxy_user = \"hospital\"")
        .with("platform", &format!("proxy_password_file = \"{file}\""))
}

fn names(recorded: &Recorded) -> BTreeSet<String> {
    recorded
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect()
}

/// A question with all that a HIS and the proxies before us may add to it.
async fn chatty(gateway: &Gateway) -> Answer {
    let headers = [
        ("Accept-Language", "en"),
        ("Cookie", "session=1"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("Forwarded", "for=10.1.2.3"),
        ("Via", "1.1 his"),
        ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("Proxy-Authorization", "Basic aGlzOmhpcw=="),
        ("User-Agent", "his/1"),
    ];
    post(gateway.lan, STUDIES, &headers, studies_query().as_bytes()).await
}

#[tokio::test]
async fn a_proxy_sees_the_place_and_our_user_and_the_platform_the_contracts_headers() {
    let (authority, directory) = (Authority::new("way-out"), Directory::new());
    let secure = secure_platform(server(&authority.certify_for(NAME, Purpose::Server, 2090), None)).await;
    let plain = platform().await;
    let rows = [
        (
            &secure,
            format!("https://{NAME}"),
            format!("{NAME}:443"),
            NAME.to_owned(),
        ),
        (
            &plain,
            plain.base_url(),
            plain.addr().to_string(),
            plain.addr().to_string(),
        ),
    ];
    for (platform, base_url, target, host) in rows {
        let proxy = Proxy::to(platform.addr()).await;
        proxy.conduct(Conduct::Tunnel(Some(BASIC)));
        let settings = Settings::calling_url(&base_url).with("platform", &proxy.line());
        let settings = trusting(with_user(settings, &directory, PASSWORD), &directory, &authority);
        let gateway = settings.start();

        for _ in 0..2 {
            let answer = chatty(&gateway).await;
            assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
        }

        // One tunnel for both questions.
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {BASIC}\r\n\r\n");
        assert_eq!(proxy.heads(), [head]);
        for request in platform.requests() {
            let contract = [
                "accept-encoding",
                "appid",
                "content-length",
                "content-type",
                "host",
                "signature",
                "timestamp",
            ];
            assert_eq!(names(&request), contract.map(str::to_owned).into());
            assert_eq!(request.header("host"), Some(&*host));
        }
        let log = gateway.stop();
        assert!(!log.contains("phrase") && !log.contains("aG9zcGl0YWw6"), "{log}");
    }
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself_and_is_verified() {
    let (authority, directory) = (Authority::new("proxy"), Directory::new());
    let platform = secure_platform(server(&authority.server(), None)).await;
    let good = Proxy::start(
        "127.0.0.1:0",
        Some(platform.addr()),
        Some(server(&authority.server(), None)),
    )
    .await;
    let other = authority.certify_for("other.example", Purpose::Server, 2090);
    let wrong = Proxy::start("127.0.0.1:0", Some(platform.addr()), Some(server(&other, None))).await;
    let behind = |proxy: &Proxy| {
        let line = format!("proxy = \"https://{}\"", proxy.address);
        let settings = Settings::calling(&platform).with("platform", &line);
        trusting(with_user(settings, &directory, PASSWORD), &directory, &authority).start()
    };

    let answer = behind(&good).studies().await;
    assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());

    let answer = chatty(&behind(&wrong)).await;
    assert_eq!((answer.status, answer.code()), (502, 800_301));
    assert!(answer.text().contains("certificate of the proxy"), "{}", answer.text());
    assert_eq!(
        answer.header("proxy-status"),
        Some("aimis; error=tls_certificate_error")
    );
    assert!(wrong.heads().is_empty(), "the password was sent to a stranger");
}

#[tokio::test]
async fn connect_to_is_what_the_proxy_is_asked_for() {
    let (authority, directory) = (Authority::new("gap"), Directory::new());
    let platform = secure_platform(server(&authority.certify_for(NAME, Purpose::Server, 2090), None)).await;
    for (connect_to, target) in [
        ("gap.example:8443", "gap.example:8443"),
        ("[fd00::9]:443", "[fd00::9]:443"),
    ] {
        let proxy = Proxy::to(platform.addr()).await;
        let settings = Settings::calling_url(&format!("https://{NAME}"))
            .with("platform", &proxy.line())
            .with("platform", &format!("connect_to = \"{connect_to}\""));
        platform.clear_requests();

        let answer = trusting(settings, &directory, &authority).start().studies().await;

        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
        assert_eq!(
            proxy.heads(),
            [format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")]
        );
        assert_eq!(platform.only_request().header("host"), Some(NAME));
    }
}

#[tokio::test]
async fn a_tenant_may_have_its_own_way_and_its_connections_are_its_own() {
    let platform = platform().await;
    let account = |number: u32| {
        let token = format!("{number:032}");
        Account::new(&number.to_string(), &token, &format!("H{number}"), "U0001")
    };
    let accounts = [900_002, 900_003, 900_004].map(account);
    for account in &accounts {
        platform.put_account(account.clone());
    }
    let (common, own) = (Proxy::to(platform.addr()).await, Proxy::to(platform.addr()).await);
    let [second, third, fourth] = accounts;
    let gateway = Settings::calling(&platform)
        .with("platform", &common.line())
        .tenant("second", second)
        .of_tenant(&own.line())
        .tenant("third", third)
        .of_tenant("proxy = \"direct\"")
        .tenant("fourth", fourth)
        .start();

    for _ in 0..3 {
        for app_id in ["900001", "900002", "900003", "900004"] {
            let path = format!("/thirdparty/patientStudies/{app_id}");
            let answer = post(gateway.lan, &path, &[], studies_query().as_bytes()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    assert_eq!((common.heads().len(), own.heads().len()), (1, 1));
    assert_eq!(platform.connections_accepted(), 3);
    let connections = |app_id: &str| -> BTreeSet<u64> {
        let requests = platform.requests();
        let its = requests.iter().filter(|request| request.path.ends_with(app_id));
        its.map(|request| request.connection).collect()
    };
    assert_eq!(connections("900001"), connections("900004"));
    assert!(connections("900001").is_disjoint(&connections("900002")));
    assert!(connections("900002").is_disjoint(&connections("900003")));
}

#[tokio::test]
async fn where_there_is_room_for_no_more_the_oldest_idle_connection_goes() {
    let platform = platform().await;
    let second = Account::new("900002", &"2".repeat(32), "H0002", "U0001");
    let third = Account::new("900003", &"3".repeat(32), "H0003", "U0001");
    platform.put_account(second.clone());
    platform.put_account(third.clone());
    let (one, two) = (Proxy::to(platform.addr()).await, Proxy::to(platform.addr()).await);
    let gateway = Settings::calling(&platform)
        .with("platform", "max_connections_per_worker = 2")
        .with("platform", &one.line())
        .tenant("second", second)
        .of_tenant(&two.line())
        .tenant("third", third)
        .of_tenant("proxy = \"direct\"")
        .start();

    for app_id in ["900001", "900002", "900003", "900002", "900001"] {
        let path = format!("/thirdparty/patientStudies/{app_id}");
        let answer = post(gateway.lan, &path, &[], studies_query().as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    assert_eq!((one.heads().len(), two.heads().len()), (2, 1));
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let platform = platform().await;
    let proxy = Proxy::to(platform.addr()).await;
    for (no_proxy, tunnels) in [("\"127.0.0.0/8\"", 0), ("[\".example\", \"127.0.0.2\"]", 1)] {
        let gateway = Settings::calling(&platform)
            .with("platform", &proxy.line())
            .with("platform", &format!("no_proxy = {no_proxy}"))
            .start();
        assert_eq!(gateway.studies().await.code(), 0);
        assert_eq!(proxy.heads().len(), tunnels);
    }
}

#[tokio::test]
async fn the_platform_is_shown_our_certificate_and_a_proxy_is_not_asked_to_see_it() {
    let (authority, directory) = (Authority::new("mutual"), Directory::new());
    let platform = secure_platform(server(&authority.server(), Some(&authority))).await;
    let settings = trusting(Settings::calling(&platform), &directory, &authority);
    let own = authority.client();
    let certificate = directory.file("client.pem", &own.certificate_pem);
    let key = directory.file("client.key", &own.key_pem);

    let answer = settings.start().studies().await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(platform.request_count(), 0);

    let answer = settings
        .with("platform", &format!("client_cert_file = \"{certificate}\""))
        .with("platform", &format!("client_key_file = \"{key}\""))
        .start()
        .studies()
        .await;
    assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
}
