//! What a certificate says: until when it holds, and whose it is.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, Version};

use crate::edge::peer::PeerCertificate;

/// The subject's common name (RFC 5280, appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// When a certificate expires, in seconds since 1970; `None` if it cannot be read.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    Certificate::from_der(certificate).ok().as_ref().map(end)
}

fn end(certificate: &Certificate) -> u64 {
    certificate
        .tbs_certificate
        .validity
        .not_after
        .to_unix_duration()
        .as_secs()
}

/// Whether a certificate is X.509 version 1, which has no room for names and purposes, so that TLS libraries
/// refuse it. `openssl x509 -req` makes such, unless `-extfile` gives it extensions.
pub fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate).is_ok_and(|parsed| parsed.tbs_certificate.version == Version::V1)
}

/// Who shows `certificate`, which the handshake has verified.
///
/// Its DNS and URI names count, and the common name only where it has none of them, as RFC 6125 (section
/// 6.4.4) has it for servers. `None` for one that cannot be read: nobody could say until when it holds.
pub fn peer(certificate: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(PeerCertificate {
        sha256: Sha256::digest(certificate).into(),
        names: names(&parsed),
        not_after: end(&parsed),
    })
}

/// What a certificate says of itself, for an operator.
pub struct About {
    /// Whose it is (RFC 4514).
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// When it expires, in seconds since 1970.
    pub not_after: u64,
}

/// Reads what a certificate says; nothing of it is verified here. `None` for one that cannot be read.
pub fn about(certificate: &CertificateDer<'_>) -> Option<About> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let alternative = parsed.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let names = alternative.iter().flat_map(|(_, names)| &names.0);
    let names: Vec<String> = names.filter_map(host).collect();
    Some(About {
        subject: whose(&parsed, &parsed.tbs_certificate.subject.to_string(), names.first()),
        issuer: parsed.tbs_certificate.issuer.to_string(),
        names,
        not_after: end(&parsed),
    })
}

/// The subject; certificates of today may have none, and then their first name says it.
fn whose(certificate: &Certificate, subject: &str, name: Option<&String>) -> String {
    match (certificate.tbs_certificate.subject.0.is_empty(), name) {
        (true, Some(name)) => name.clone(),
        _ => subject.to_owned(),
    }
}

/// A name that a server can be asked for by.
fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => match octets.as_bytes().len() {
            4 => <[u8; 4]>::try_from(octets.as_bytes())
                .ok()
                .map(|ip| IpAddr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(octets.as_bytes())
                .ok()
                .map(|ip| IpAddr::from(ip).to_string()),
        },
        _ => None,
    }
}

fn names(certificate: &Certificate) -> Vec<String> {
    let alternative = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|(_, names)| &names.0)
        .filter_map(|name| match name {
            GeneralName::DnsName(name) | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        common_name(certificate).into_iter().collect()
    } else {
        names
    }
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let parts = certificate
        .tbs_certificate
        .subject
        .0
        .iter()
        .flat_map(|part| part.0.iter());
    parts
        .filter(|part| part.oid == COMMON_NAME)
        .find_map(|part| text(&part.value))
}

fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|text| text.to_string()),
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|text| text.to_string()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|text| text.to_string()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|text| text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    /// A certificate with these names besides the common name `his-7`.
    fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "his-7");
        params.subject_alt_names = names;
        params.not_after = date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_caller_is_known_by_its_dns_and_uri_names() {
        let names = vec![
            SanType::DnsName("his.example".try_into().unwrap()),
            SanType::IpAddress("10.0.0.7".parse().unwrap()),
            SanType::URI("spiffe://hospital/his".try_into().unwrap()),
        ];
        let certificate = certificate(names);

        let peer = peer(&certificate).unwrap();

        assert_eq!(peer.names, ["his.example", "spiffe://hospital/his"]);
        assert_eq!(peer.not_after, 1_893_456_000);
        assert_eq!(peer.sha256, <[u8; 32]>::from(Sha256::digest(&certificate)));
    }

    #[test]
    fn without_such_names_a_caller_is_known_by_its_common_name() {
        for names in [vec![], vec![SanType::IpAddress("10.0.0.7".parse().unwrap())]] {
            assert_eq!(peer(&certificate(names)).unwrap().names, ["his-7"]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_nobody() {
        let rubbish = CertificateDer::from(vec![1, 2, 3]);

        assert_eq!(peer(&rubbish), None);
        assert_eq!(not_after(&rubbish), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_told_in_seconds() {
        assert_eq!(not_after(&certificate(vec![])), Some(1_893_456_000));
    }
}
