//! TLS on a listener: which certificate it shows, and whose it asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::Kind;
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::number::millis;
use crate::config::kind::path::{path, secret_path};
use crate::config::section::section;

section! {
    /// TLS 1.2 and 1.3 for the callers.
    pub struct LanTls {
        /// The certificate that callers are shown, in PEM, followed by those between it and its authority.
        cert_file: PathBuf = path().required("tls/lan.pem");
        /// The key of that certificate, in PEM and not encrypted.
        key_file: PathBuf = secret_path().required("tls/lan.key");
        /// Authorities whose client certificates are accepted, in PEM. Without it no certificate is asked for.
        client_ca_file: Option<PathBuf> = path().optional("tls/clients-ca.pem");
        /// Whether a caller has to show a certificate; only together with `client_ca_file`.
        client_auth: ClientAuth = one_of().or("required");
        /// How often the three files are looked at. Changed content replaces certificate and trust for new
        /// connections; those that are open finish undisturbed. What is wrong with it is told, and what was is kept.
        reload_interval as "reload_interval_ms": Duration = millis(100, 3_600_000).or(10_000);
    }
}

choices! {
    /// Whether a caller has to show a certificate.
    pub enum ClientAuth {
        /// A caller without a certificate is refused.
        Required = "required",
        /// A caller may come without one; a wrong one is refused all the same.
        Optional = "optional",
    }
}
