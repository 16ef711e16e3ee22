//! TLS towards the HIS, and what a configuration of a target may say.

use std::sync::Arc;

use aimis_gateway::config::{self, Sources};
use aimis_simulator::His;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::bed::{Bed, arrived, counted};
use crate::support::tls::{Authority, Pair};

/// A HIS that shows `pair`, and asks for a certificate of `clients`.
async fn his(pair: &Pair, clients: &Authority) -> His {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![pair.certificate.clone()], key)
        .unwrap();
    His::start_with("127.0.0.1:0".parse().unwrap(), Some(Arc::new(config)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_his_over_tls_is_verified_and_shown_our_certificate() {
    let (bed, authority) = (Bed::new().await, Authority::new("hospital"));
    bed.keep(2, 1).await;
    let (his, client) = (his(&authority.server(), &authority).await, authority.client());
    let file = |name: &str, text: &str| bed.directory.file(name, text);
    let gateway = bed
        .settings(&his.url())
        .of_tenant(&format!(
            "callback.target_ca_file = \"{}\"",
            file("ca.pem", &authority.pem())
        ))
        .of_tenant(&format!(
            "callback.target_client_cert_file = \"{}\"",
            file("client.pem", &client.certificate_pem)
        ))
        .of_tenant(&format!(
            "callback.target_client_key_file = \"{}\"",
            file("client.key", &client.key_pem)
        ))
        .start();

    arrived(&his, 2).await;
    gateway.stop();

    assert_eq!(his.accepted().len(), 2);
}

#[tokio::test]
async fn a_his_that_cannot_be_verified_gets_nothing() {
    let (ours, other) = (Authority::new("hospital"), Authority::new("somebody"));
    for (pair, reason) in [
        (other.server(), "certificate_unknown_issuer"),
        (
            ours.certify(crate::support::tls::Purpose::Server, 2021),
            "certificate_expired",
        ),
        (
            ours.certify_for("192.0.2.1", crate::support::tls::Purpose::Server, 2090),
            "certificate_wrong_name",
        ),
    ] {
        let bed = Bed::new().await;
        bed.keep(1, 1).await;
        let his = his(&pair, &ours).await;
        let authority = bed.directory.file("ca.pem", ours.pem());
        let gateway = bed
            .settings(&his.url())
            .with("delivery", "schedule_ms = 1")
            .of_tenant(&format!("callback.target_ca_file = \"{authority}\""))
            .start();

        counted(&gateway, "dead", 1.0).await;
        gateway.stop();

        assert_eq!(his.delivery_count(), 0);
        assert_eq!(bed.standings().await[0].reason.as_deref(), Some(reason));
    }
}

#[test]
fn a_target_that_is_not_safe_is_refused_with_what_to_write() {
    let load = |lines: &str| {
        let text = format!(
            "[callback]\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n[tenants.callback]\n{lines}\n"
        );
        config::load(&Sources::text("gateway.toml", text))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let lan = "target = \"http://10.0.0.5:8090/imaging-events\"";
    let loopback = "target = \"http://127.0.0.1:8090/imaging-events\"";

    assert!(load(lan).unwrap_err().contains("set target_allow_plaintext = true"));
    assert_eq!(load(&format!("{lan}\ntarget_allow_plaintext = true")), Ok(()));
    assert_eq!(load(loopback), Ok(()));
    assert!(
        load("target_charset = \"gbk\"")
            .unwrap_err()
            .contains("there is no `target`")
    );
    let lonely = format!("{loopback}\ntarget_client_cert_file = \"c.pem\"");
    assert!(load(&lonely).unwrap_err().contains("target_client_key_file"));
    let previous = format!("{loopback}\ntarget_previous_secret_file = \"p\"");
    assert!(load(&previous).unwrap_err().contains("target_secret_file"));
    let delivery = "[delivery]\nlease_ms = 5000\nprobe_ms = 9000\nprobe_max_ms = 10\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n";
    let told = config::load(&Sources::text("gateway.toml", delivery.to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("delivery.timeout_ms") && told.contains("probe_max_ms"),
        "{told}"
    );
}
