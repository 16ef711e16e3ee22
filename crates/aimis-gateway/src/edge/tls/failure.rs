//! Why a handshake failed, in words that somebody at the hospital can act on.

use std::io;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::telemetry::labels::HandshakeFailure;

/// Bytes of a first record that are looked at: up to the version that the client offers (RFC 5246, sections
/// 6.2.1 and 7.4.1.2).
pub const HELLO_BYTES: usize = 11;

/// A failed handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the counter.
    pub reason: HandshakeFailure,
    /// For the log: what happened and what to do about it.
    pub message: &'static str,
}

impl Failure {
    const fn new(reason: HandshakeFailure, message: &'static str) -> Self {
        Self { reason, message }
    }

    /// The handshake was not over in time.
    pub const TIMEOUT: Self = Self::new(
        HandshakeFailure::Timeout,
        "the client did not finish the TLS handshake within lan.handshake_timeout_ms",
    );

    /// The client's certificate is past its end.
    pub const EXPIRED: Self = Self::new(
        HandshakeFailure::ExpiredCertificate,
        "the client's certificate has expired: renew it",
    );

    /// The client's certificate is verified, and nothing can be read from it.
    pub const UNREADABLE: Self = Self::new(
        HandshakeFailure::BadCertificate,
        "the client's certificate cannot be read: issue it anew, with a serial number of 20 bytes at most",
    );

    /// HTTP came without TLS.
    pub const PLAINTEXT: Self = Self::new(
        HandshakeFailure::Plaintext,
        "the client speaks plain HTTP to an address that speaks TLS: its URL has to begin with https://, or give it an address of lan.listen with plain: in front",
    );

    /// Judges what a client sent first, before rustls sees it; `None` for the beginning of a TLS handshake.
    pub fn of_first_bytes(first: &[u8]) -> Option<Self> {
        match first {
            [HANDSHAKE, ..] => None,
            // A hello in the form of SSL 2.0 (RFC 5246, appendix E.2).
            [length, _, 1, ..] if length & 0x80 != 0 => Some(old_protocol(0x0300)),
            [letter, ..] if letter.is_ascii_alphabetic() => Some(Self::PLAINTEXT),
            _ => Some(Self::new(
                HandshakeFailure::Other,
                "the client speaks neither TLS nor HTTP",
            )),
        }
    }

    /// Judges the error of a handshake that began with the bytes `first`.
    pub fn of_error(error: &io::Error, first: &[u8]) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(error) => of_tls(error, first),
            None => Self::new(
                HandshakeFailure::Other,
                "the client broke the TLS handshake off without saying why",
            ),
        }
    }
}

/// A record of the handshake.
const HANDSHAKE: u8 = 22;

fn of_tls(error: &rustls::Error, first: &[u8]) -> Failure {
    match error {
        rustls::Error::NoCertificatesPresented => Failure::new(
            HandshakeFailure::NoCertificate,
            "the client shows no certificate: give it one of an authority in lan.tls.client_ca_file, or set lan.tls.client_auth = \"optional\"",
        ),
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::PeerIncompatible(missing) if is_old(missing, offered(first)) => old_protocol(offered(first)),
        rustls::Error::PeerIncompatible(_) => Failure::new(
            HandshakeFailure::NoSharedCipher,
            "the client and the gateway have no TLS cipher suite, group or signature in common: update the client; ECDHE with AES-GCM or ChaCha20 is needed",
        ),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        _ => Failure::new(HandshakeFailure::Other, "the client's TLS handshake is not well formed"),
    }
}

/// Whether a client lacks what it lacks because it is of another age. Before rustls looks at the version it misses
/// the list of signatures, which came with TLS 1.2 only: so the version in the hello decides where it is known.
fn is_old(missing: &PeerIncompatible, version: u16) -> bool {
    let said = matches!(
        missing,
        PeerIncompatible::Tls12NotOffered | PeerIncompatible::Tls12NotOfferedOrEnabled
    );
    said || (0x0200..0x0303).contains(&version)
}

fn of_certificate(error: &CertificateError) -> Failure {
    let bad = |message| Failure::new(HandshakeFailure::BadCertificate, message);
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Failure::EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            bad("the client's certificate is not valid yet: are both clocks right?")
        }
        CertificateError::UnknownIssuer => bad("the client's certificate is of no authority in lan.tls.client_ca_file"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            bad("the client's certificate is not for clients: it needs the extended key usage clientAuth")
        }
        _ => bad(
            "the client's certificate cannot be verified; if it is X.509 version 1, as `openssl x509 -req` makes them without -extfile, issue it with extensions (version 3)",
        ),
    }
}

fn of_alert(alert: AlertDescription) -> Failure {
    let message = match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::UnsupportedCertificate => {
            "the client does not accept the gateway's certificate: it has to trust its authority, and call the gateway by a name in it"
        }
        _ => "the client ended the TLS handshake with an alert",
    };
    Failure::new(HandshakeFailure::Other, message)
}

/// The version in a hello; 0 if it did not come in one piece.
fn offered(first: &[u8]) -> u16 {
    first
        .get(9..HELLO_BYTES)
        .map_or(0, |version| u16::from_be_bytes([version[0], version[1]]))
}

fn old_protocol(version: u16) -> Failure {
    let message = match version {
        0x0301 => {
            "the client offers TLS 1.0 only; it needs TLS 1.2: update its settings, or put a proxy or an address of lan.listen with plain: on its own machine before it"
        }
        0x0302 => {
            "the client offers TLS 1.1 only; it needs TLS 1.2: update its settings, or put a proxy or an address of lan.listen with plain: on its own machine before it"
        }
        0x0200 | 0x0300 => {
            "the client offers SSL 3.0 or older; it needs TLS 1.2: update its settings, or put a proxy or an address of lan.listen with plain: on its own machine before it"
        }
        _ => {
            "the client offers nothing newer than TLS 1.1; it needs TLS 1.2: update its settings, or put a proxy or an address of lan.listen with plain: on its own machine before it"
        }
    };
    Failure::new(HandshakeFailure::OldProtocol, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_who_speaks_no_tls() {
        let reason = |first: &[u8]| Failure::of_first_bytes(first).map(|failure| failure.reason);

        assert_eq!(reason(&[22, 3, 1]), None);
        assert_eq!(reason(b"POST / HTTP/1.1"), Some(HandshakeFailure::Plaintext));
        assert_eq!(reason(b"g"), Some(HandshakeFailure::Plaintext));
        assert_eq!(reason(&[0x80, 0x2e, 1, 3, 0]), Some(HandshakeFailure::OldProtocol));
        assert_eq!(reason(&[0, 0, 0]), Some(HandshakeFailure::Other));
    }

    #[test]
    fn an_old_protocol_is_named() {
        let hello = |minor: u8| [22, 3, minor, 0, 50, 1, 0, 0, 46, 3, minor];
        let error = rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered);
        let failure = |first: &[u8]| Failure::of_error(&io::Error::other(error.clone()), first);

        for (minor, name) in [(0, "SSL 3.0"), (1, "TLS 1.0 only"), (2, "TLS 1.1 only")] {
            let failure = failure(&hello(minor));
            assert_eq!(failure.reason, HandshakeFailure::OldProtocol);
            assert!(failure.message.contains(name), "{}", failure.message);
        }
        assert!(failure(&[22]).message.contains("nothing newer than TLS 1.1"));
        let unsigned = rustls::Error::PeerIncompatible(PeerIncompatible::SignatureAlgorithmsExtensionRequired);
        let reason = |minor| Failure::of_error(&io::Error::other(unsigned.clone()), &hello(minor)).reason;
        assert_eq!(reason(1), HandshakeFailure::OldProtocol);
        assert_eq!(reason(3), HandshakeFailure::NoSharedCipher);
    }

    #[test]
    fn a_failure_without_an_error_of_tls_is_a_client_that_broke_off() {
        let failure = Failure::of_error(&io::ErrorKind::UnexpectedEof.into(), &[22]);

        assert_eq!(failure.reason, HandshakeFailure::Other);
        assert!(failure.message.contains("broke"), "{}", failure.message);
    }
}
