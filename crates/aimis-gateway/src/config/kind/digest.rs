//! SHA-256 digests in hexadecimal: of client keys and of certificates.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::text::{Text, text};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    fn parse(digits: &str) -> Option<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        Some(Self(digest))
    }
}

/// 64 hexadecimal digits.
pub(in crate::config) struct Digest;

/// The SHA-256 of something secret, so that the file does not hold the secret.
pub(in crate::config) fn digest() -> Digest {
    Digest
}

impl Kind for Digest {
    type Value = Sha256Digest;

    fn read(&self, node: &Node, _directory: &Path) -> Result<Sha256Digest, Refusal> {
        // Somebody may have put the key itself here, so the value is never repeated.
        node.text().and_then(Sha256Digest::parse).ok_or_else(|| {
            Refusal::hidden("is not 64 hexadecimal digits; make a key and its digest by `aimis-gateway client-key new`")
        })
    }

    fn show(&self, value: &Sha256Digest) -> Plain {
        Plain::Text(hex::encode(value.0))
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}),
            "64 hexadecimal digits",
        )
    }
}

/// How a client's certificate is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateMatch {
    /// By a name in it: a DNS or URI name, or the common name where it has none of them.
    Name(Text),
    /// By itself.
    Sha256(Sha256Digest),
}

impl fmt::Display for CertificateMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Sha256(digest) => write!(f, "sha256:{}", hex::encode(digest.0)),
        }
    }
}

/// What stands before a fingerprint: our own, that of OpenSSH, and those of `openssl x509 -fingerprint -sha256`.
const PREFIXES: [&str; 3] = ["sha256:", "sha256 fingerprint=", "sha256="];

/// The digits of a fingerprint, if `text` begins as one.
fn fingerprint(text: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| {
        let (start, digits) = text.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some(digits)
    })
}

/// Whether a text with a `:` can be a URI name of a certificate; a DNS name and a common name have none.
fn is_uri(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("://") || lower.starts_with("spiffe:") || lower.starts_with("urn:")
}

/// A certificate's name, or `sha256:` and its digest.
pub(in crate::config) struct Certificate;

/// A certificate's name, or `sha256:` and its digest.
pub(in crate::config) fn certificate() -> Certificate {
    Certificate
}

impl Kind for Certificate {
    type Value = CertificateMatch;

    fn read(&self, node: &Node, directory: &Path) -> Result<CertificateMatch, Refusal> {
        if let Some(digits) = node.text().and_then(fingerprint) {
            // `openssl x509 -fingerprint -sha256` writes colons between the bytes.
            let digest = Sha256Digest::parse(&digits.replace(':', ""));
            return digest
                .map(CertificateMatch::Sha256)
                .ok_or_else(|| Refusal::new("is not `sha256:` and 64 hexadecimal digits"));
        }
        if node.text().is_some_and(|text| text.contains(':') && !is_uri(text)) {
            return Err(Refusal::new(
                "is neither a name nor a URI, for it has a `:`; a fingerprint has `sha256:` before it",
            ));
        }
        text(253).read(node, directory).map(CertificateMatch::Name)
    }

    fn show(&self, value: &CertificateMatch) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "string", "minLength": 1, "maxLength": 253}),
            "a name in the certificate (DNS or URI; the common name if it has none), or `sha256:` and the 64 hexadecimal digits of its fingerprint, with colons or without",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<String, String> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        let read = certificate().read(&node, Path::new(""));
        read.map(|found| found.to_string()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_fingerprint_is_taken_as_tools_write_it() {
        let digits = "0123456789abcdef".repeat(4);
        let colons: Vec<String> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        for prefix in [
            "sha256:",
            "SHA256:",
            "sha256 Fingerprint=",
            "SHA256 Fingerprint=",
            "sha256=",
        ] {
            for written in [digits.clone(), colons.join(":")] {
                assert_eq!(
                    read(&format!("{prefix}{written}")),
                    Ok(format!("sha256:{digits}")),
                    "{prefix}{written}"
                );
            }
        }
        assert!(read("SHA256:0123").unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn a_name_with_a_colon_is_a_uri_or_a_mistake() {
        for name in [
            "his.example",
            "HIS 7",
            "spiffe://hospital/his",
            "urn:uuid:1",
            "https://his.example/",
        ] {
            assert_eq!(read(name), Ok(name.to_owned()));
        }
        for name in ["AB:CD:EF", "sha1:0123", "his.example:8443", "CN:his"] {
            assert!(read(name).unwrap_err().contains("neither a name nor a URI"), "{name}");
        }
    }
}
