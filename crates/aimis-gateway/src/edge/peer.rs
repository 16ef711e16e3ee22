//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::IpAddr;
use std::sync::Arc;

/// The other end of a connection. Known before its first request, and the same for all of them.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; `None` on a unix socket.
    pub address: Option<IpAddr>,
    /// The certificate it proved to own, once the listener's authorities have vouched for it.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// A client certificate that the handshake has verified.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate in DER.
    pub sha256: [u8; 32],
    /// Its DNS and URI names; the subject's common name where it has none of them.
    pub names: Vec<String>,
    /// When it expires, in seconds since 1970; the connection ends then.
    pub not_after: u64,
}
