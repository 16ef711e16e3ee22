//! SHA-256 digests in hexadecimal: of client keys and of certificates.

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

/// A certificate's name, or `sha256:` and its digest.
pub(in crate::config) struct Certificate;

/// A certificate's name, or `sha256:` and its digest.
pub(in crate::config) fn certificate() -> Certificate {
    Certificate
}

impl Kind for Certificate {
    type Value = CertificateMatch;

    fn read(&self, node: &Node, directory: &Path) -> Result<CertificateMatch, Refusal> {
        if let Some(digits) = node.text().and_then(|text| text.strip_prefix("sha256:")) {
            // `openssl x509 -fingerprint -sha256` writes colons between the bytes.
            let digest = Sha256Digest::parse(&digits.replace(':', ""));
            return digest
                .map(CertificateMatch::Sha256)
                .ok_or_else(|| Refusal::new("is not `sha256:` and 64 hexadecimal digits"));
        }
        text(253).read(node, directory).map(CertificateMatch::Name)
    }

    fn show(&self, value: &CertificateMatch) -> Plain {
        Plain::Text(match value {
            CertificateMatch::Name(name) => name.to_string(),
            CertificateMatch::Sha256(digest) => format!("sha256:{}", hex::encode(digest.0)),
        })
    }

    fn shape(&self) -> Shape {
        Shape::new(
            json!({"type": "string", "minLength": 1, "maxLength": 253}),
            "a name in the certificate (DNS or URI; the common name if it has none), or `sha256:` and the 64 hexadecimal digits of its fingerprint",
        )
    }
}
