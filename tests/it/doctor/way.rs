//! The way to the platform's door: names, addresses, proxies, certificates.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::doctor::{self, Surroundings, Verdict};
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::{Platform, PlatformOptions};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;

use super::{Patient, assert_broken, finding, platform};
use crate::support::proxy::{Conduct, Proxy};
use crate::support::tls::{Authority, Pair, Purpose};

/// A platform that shows this certificate.
async fn secure_platform(pair: &Pair) -> Platform {
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.certificate.clone()], key)
        .unwrap();
    let options = PlatformOptions {
        tls: Some(Arc::new(config)),
        ..PlatformOptions::default()
    };
    Platform::start(options).await.unwrap()
}

/// The library's doctor, with another clock or resolver than the machine's.
async fn examined_by(patient: &Patient, clock: Clock, resolver: Resolver) -> doctor::Report {
    let told = Rc::new(RefCell::new(0));
    let count = Rc::clone(&told);
    let surroundings = Surroundings {
        clock,
        resolver,
        tell: Box::new(move |_| *count.borrow_mut() += 1),
    };
    let read = || config::load(&Sources::text("gateway.toml", patient.text()));
    let tasks = tokio::task::LocalSet::new();
    let examined = tasks.run_until(doctor::examine(read, None, surroundings));
    let report = examined.await.unwrap_or_else(|unknown| panic!("{unknown:?}"));
    assert_eq!(*told.borrow(), report.findings.len());
    report
}

#[tokio::test]
async fn a_name_without_an_address_is_told_by_its_key() {
    let behind = ["connect", "tls", "clock", "probe"];
    let rows = [
        ("https://platform.invalid", "", "platform.base_url"),
        (
            "https://platform.invalid",
            "connect_to = \"gap.invalid:8443\"",
            "platform.connect_to",
        ),
        (
            "https://platform.invalid",
            "proxy = \"http://proxy.invalid:3128\"",
            "platform.proxy",
        ),
    ];
    for (base_url, line, key) in rows {
        let examined = Patient::at(base_url).with(line).examined(&[]).await;
        assert_broken(&examined, "dns", &behind, &[key]);
    }
}

#[tokio::test]
async fn a_port_that_refuses_is_told() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();

    let examined = Patient::at(&format!("http://{free}")).examined(&[]).await;

    assert_broken(
        &examined,
        "connect",
        &["proxy", "tls", "clock", "probe"],
        &["platform.base_url"],
    );
}

#[tokio::test]
async fn a_peer_that_never_answers_tls_is_told_within_the_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());

    let examined = Patient::at(&url).with("connect_timeout_ms = 200").examined(&[]).await;

    assert_broken(
        &examined,
        "tls",
        &["clock", "probe"],
        &["platform.base_url", "firewall"],
    );
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_own_fix() {
    let (known, strange) = (Authority::new("hospital-ca"), Authority::new("inspecting-ca"));
    let rows = [
        (known.certify(Purpose::Server, 2021), "expired", vec!["date", "renew"]),
        (
            known.certify_for("other.example", Purpose::Server, 2090),
            "other.example",
            vec!["platform.base_url", "platform.connect_to"],
        ),
        (
            strange.server(),
            "inspecting-ca",
            vec!["platform.extra_ca_file", "inspecting-ca"],
        ),
    ];
    for (pair, told, keys) in rows {
        let platform = secure_platform(&pair).await;
        let examined = Patient::of(&platform).trusting(&known).examined(&[]).await;

        assert_broken(&examined, "tls", &["clock", "probe"], &keys);
        let found = finding(&examined.1, "tls")["found"].as_str().unwrap();
        assert!(found.contains(told), "{found}");
        assert_eq!(platform.request_count(), 0);
    }
}

#[tokio::test]
async fn a_certificate_is_told_with_its_authority_and_its_end() {
    let authority = Authority::new("hospital-ca");
    let platform = secure_platform(&authority.server()).await;
    let patient = Patient::of(&platform).trusting(&authority);

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 0, "{document:#}");
    let tls = finding(&document, "tls");
    assert_eq!(tls["verdict"], "ok");
    for part in ["TLS 1.3", "hospital-ca", "platform.extra_ca_file", "days left"] {
        assert!(tls["found"].as_str().unwrap().contains(part), "{part}: {tls:#}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let authority = Authority::new("hospital-ca");
    let platform = secure_platform(&authority.certify(Purpose::Server, 2090)).await;
    let patient = Patient::of(&platform).trusting(&authority);
    // Ten days and a half before 2090, by our clock alone: what verifies has the machine's.
    let ahead = Clock::manual(3_786_004_800_000);

    let report = examined_by(&patient, ahead, Resolver::system()).await;

    let tls = report.findings.iter().find(|found| found.step == "tls").unwrap();
    assert_eq!(tls.verdict, Verdict::Warn, "{tls:?}");
    assert!(
        tls.found.contains("10 days left") && tls.fix.as_ref().unwrap().contains("renew"),
        "{tls:?}"
    );
}

#[tokio::test]
async fn one_of_two_addresses_that_is_down_is_a_warning() {
    let platform = platform().await;
    let port = platform.addr().port();
    let patient = Patient::at(&format!("http://platform.example:{port}")).with("allow_plaintext = true");
    let resolver = Resolver::new(|_, port| {
        let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]].map(|ip| SocketAddr::from((ip, port)));
        Box::pin(async move { Ok(addresses.to_vec()) })
    });

    let report = examined_by(&patient, Clock::system(), resolver).await;

    let connect = report.findings.iter().find(|found| found.step == "connect").unwrap();
    assert_eq!(connect.verdict, Verdict::Warn, "{connect:?}");
    assert!(connect.found.contains("127.0.0.2"), "{connect:?}");
    assert!(report.failed().is_empty(), "{:?}", report.findings);
}

#[tokio::test]
async fn a_proxys_failures_are_told_apart() {
    let platform = platform().await;
    let proxy = Proxy::to(platform.addr()).await;
    let patient = Patient::of(&platform)
        .with(&proxy.line())
        .with("connect_timeout_ms = 300");
    let (status, document) = patient.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(finding(&document, "proxy")["verdict"], "ok");

    let rows: [(Conduct, &str, &[&str]); 5] = [
        (
            Conduct::Tunnel(Some("Basic aG9zcGl0YWw6cGFzczpwaHJhc2U=")),
            "407",
            &["platform.proxy_user", "platform.proxy_password_file"],
        ),
        (Conduct::Say("HTTP/1.1 403 Forbidden\r\n\r\n"), "403", &["CONNECT"]),
        (
            Conduct::Say("HTTP/1.1 502 Bad Gateway\r\n\r\n"),
            "502",
            &["way to the platform"],
        ),
        (
            Conduct::Say("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            "not HTTP",
            &["platform.proxy"],
        ),
        (Conduct::Hang, "too long", &["platform.connect_timeout_ms"]),
    ];
    for (conduct, told, keys) in rows {
        proxy.conduct(conduct);
        let examined = patient.examined(&[]).await;
        assert_broken(&examined, "proxy", &["tls", "clock", "probe"], keys);
        let found = finding(&examined.1, "proxy")["found"].as_str().unwrap();
        assert!(found.contains(told), "{told}: {found}");
    }
}
