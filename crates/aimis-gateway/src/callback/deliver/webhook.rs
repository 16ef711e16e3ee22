//! Standard Webhooks (version 1): how a HIS can tell that an event comes from its gateway, and recently.
//!
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, once for each key that is
//! good, with a blank between them. It covers the body as it is sent, charset included.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secrets::{self, SecretError};

/// Bytes that a key may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a file does not hold a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] SecretError),
    /// Something else is in it.
    #[error(
        "is not `whsec_` and the base64 of 24 to 64 bytes, and nothing else, no line end either; make one with: printf 'whsec_%s' \"$(openssl rand -base64 32)\""
    )]
    NoKey,
}

/// Signs under one key, or under two while a HIS changes over.
pub(super) struct Signer(Vec<Hmac<Sha256>>);

impl Signer {
    /// Reads the key, and the one before it if there is a file of it. The path of the faulty file comes with the error.
    ///
    /// # Errors
    /// The first file that holds no key.
    pub(super) fn read<'a>(current: &'a Path, previous: Option<&'a Path>) -> Result<Self, (&'a Path, KeyError)> {
        let keys = std::iter::once(current).chain(previous);
        let keys = keys.map(|path| {
            let text = secrets::read_password(path).map_err(|error| match error {
                SecretError::PasswordControl | SecretError::EmptyPassword => (path, KeyError::NoKey),
                other => (path, other.into()),
            })?;
            key(&text).ok_or((path, KeyError::NoKey))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> HeaderValue {
        let mut value = String::with_capacity(48 * self.0.len());
        for key in &self.0 {
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str("v1,");
            BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
        }
        let mut value = HeaderValue::try_from(value).expect("base64 is legal in a header");
        value.set_sensitive(true);
        value
    }
}

/// A key from its text; the prefix may be left out, as in other implementations.
fn key(text: &[u8]) -> Option<Hmac<Sha256>> {
    let digits = text.strip_prefix(b"whsec_").unwrap_or(text);
    let key = Zeroizing::new(BASE64_STANDARD.decode(digits).ok()?);
    let good = KEY_BYTES.contains(&key.len());
    good.then(|| Hmac::new_from_slice(&key).expect("HMAC takes keys of every length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test suite of the Standard Webhooks libraries.
    const SECRET: &[u8] = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_published_example_is_signed_as_published() {
        for secret in [SECRET, &SECRET[6..]] {
            let signer = Signer(vec![key(secret).unwrap()]);
            assert_eq!(signer.sign(ID, TIMESTAMP, BODY), SIGNATURE);
        }
    }

    #[test]
    fn while_a_key_changes_both_sign_the_new_one_first() {
        let new = b"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let signer = Signer(vec![key(new).unwrap(), key(SECRET).unwrap()]);

        let value = signer.sign(ID, TIMESTAMP, BODY);

        let (first, second) = value.to_str().unwrap().split_once(' ').unwrap();
        assert!(first.starts_with("v1,") && first != SIGNATURE);
        assert_eq!(second, SIGNATURE);
        assert!(!format!("{value:?}").contains("v1"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let short = format!("whsec_{}", BASE64_STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", BASE64_STANDARD.encode([7; 65]));
        for text in [
            "",
            "whsec_",
            "whsec_%%",
            "secret",
            &short,
            &long,
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        ] {
            assert!(key(text.as_bytes()).is_none(), "{text}");
        }
    }
}
