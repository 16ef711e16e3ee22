//! Signature and field encryption, read from platform-api.md sections 2 and 3 without a look at the gateway's.
//!
//! Padding and block chaining are written out here, so that a wrong idea of either cannot be shared
//! with the gateway through a common helper.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const BLOCK: usize = 16;

/// How the platform of a simulation reads what its documentation leaves open (section 9, rows 1 to 5 and 8).
///
/// The hex case of ciphertexts is no switch: either is accepted, as section 3 has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Switches {
    /// Padding of encrypted fields.
    pub padding: Padding,
    /// How the cipher key follows from the token. The signature's key is the token's text in any case.
    pub key_form: KeyForm,
    /// How a signature is written.
    pub signature_encoding: SignatureEncoding,
    /// What the timestamp counts.
    pub timestamp_unit: TimestampUnit,
    /// Whether `phoneNum` or `idNum` may be absent or empty; the other one then has to match alone.
    pub identity_optional: bool,
}

/// Padding of encrypted fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// PKCS#7: n bytes of value n, a whole block when the length is a multiple of 16.
    #[default]
    Pkcs7,
    /// Zero bytes up to a multiple of 16, none when it is one already.
    Zero,
}

/// How the cipher key follows from the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// The token's 32 characters are the 32 key bytes.
    #[default]
    Raw,
    /// The token is 64 hex digits of the 32 key bytes.
    Hex,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    /// 64 lower-case hex digits.
    #[default]
    HexLower,
    /// 64 upper-case hex digits.
    HexUpper,
    /// Base64 of the 32 bytes, with padding.
    Base64,
}

/// What the timestamp counts since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Milliseconds, 13 digits.
    #[default]
    Ms,
    /// Seconds, 10 digits.
    S,
}

/// Why a ciphertext is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecryptable {
    /// Nothing there.
    Empty,
    /// Not an even number of hex digits.
    NotHex,
    /// Not a multiple of 16 bytes.
    NotBlockMultiple,
    /// The last block does not end as the padding demands: most often another token's work.
    BadPadding,
    /// Well padded, yet not text.
    NotUtf8,
}

/// A token made ready for both of its uses.
#[derive(Clone)]
pub(crate) struct Key {
    signing: Hmac<Sha256>,
    /// `None` when the token cannot be a key in the form asked for; nothing then decrypts.
    cipher: Option<Aes256>,
}

impl Key {
    pub(crate) fn new(token: &str, form: KeyForm) -> Self {
        let bytes = match form {
            KeyForm::Raw => Some(token.as_bytes().to_vec()),
            KeyForm::Hex => hex::decode(token).ok(),
        };
        Self {
            signing: <Hmac<Sha256> as KeyInit>::new_from_slice(token.as_bytes())
                .expect("HMAC takes a key of any length"),
            cipher: bytes.and_then(|bytes| Aes256::new_from_slice(&bytes).ok()),
        }
    }

    pub(crate) fn sign(&self, app_id: &str, timestamp: &str, encoding: SignatureEncoding) -> String {
        let mut mac = self.signing.clone();
        mac.update(app_id.as_bytes());
        mac.update(timestamp.as_bytes());
        let tag = mac.finalize().into_bytes();
        match encoding {
            SignatureEncoding::HexLower => hex::encode(tag),
            SignatureEncoding::HexUpper => hex::encode_upper(tag),
            SignatureEncoding::Base64 => STANDARD.encode(tag),
        }
    }

    /// Lower-case hex of `text`, encrypted; `None` when the token is no key.
    pub(crate) fn encrypt(&self, text: &str, padding: Padding) -> Option<String> {
        let cipher = self.cipher.as_ref()?;
        let mut bytes = text.as_bytes().to_vec();
        let missing = BLOCK - bytes.len() % BLOCK;
        match padding {
            // `missing` is 1..=16.
            Padding::Pkcs7 => bytes.resize(bytes.len() + missing, u8::try_from(missing).unwrap_or(0)),
            Padding::Zero if missing < BLOCK => bytes.resize(bytes.len() + missing, 0),
            Padding::Zero => {}
        }
        for block in bytes.as_chunks_mut::<BLOCK>().0 {
            cipher.encrypt_block(block.into());
        }
        Some(hex::encode(bytes))
    }

    /// The text of a ciphertext: hex of either case, white space around it tolerated.
    pub(crate) fn decrypt(&self, ciphertext: &str, padding: Padding) -> Result<String, Undecryptable> {
        let ciphertext = ciphertext.trim();
        if ciphertext.is_empty() {
            return Err(Undecryptable::Empty);
        }
        let mut bytes = hex::decode(ciphertext).map_err(|_| Undecryptable::NotHex)?;
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
        if !rest.is_empty() {
            return Err(Undecryptable::NotBlockMultiple);
        }
        let cipher = self.cipher.as_ref().ok_or(Undecryptable::BadPadding)?;
        for block in blocks {
            cipher.decrypt_block(block.into());
        }
        let length = match padding {
            Padding::Pkcs7 => unpadded(&bytes).ok_or(Undecryptable::BadPadding)?,
            Padding::Zero => bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
        };
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(|_| Undecryptable::NotUtf8)
    }
}

/// The length without PKCS#7 padding, if every padding byte is right.
fn unpadded(bytes: &[u8]) -> Option<usize> {
    let last = *bytes.last()?;
    let count = usize::from(last);
    let good = (1..=BLOCK).contains(&count) && bytes[bytes.len() - count..].iter().all(|byte| *byte == last);
    good.then(|| bytes.len() - count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/vectors.json")).unwrap()
    }

    fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
        vector[name].as_str().unwrap()
    }

    #[test]
    fn signatures_and_ciphertexts_are_those_of_the_golden_vectors() {
        let vectors = vectors();
        for vector in vectors["vectors"].as_array().unwrap() {
            let key = Key::new(text(vector, "token"), KeyForm::Raw);
            let signature = key.sign(
                text(vector, "appId"),
                text(vector, "timestamp"),
                SignatureEncoding::HexLower,
            );
            let ciphertext = key.encrypt(text(vector, "plaintext"), Padding::Pkcs7).unwrap();

            assert_eq!(signature, text(vector, "signature"), "{vector}");
            assert_eq!(ciphertext, text(vector, "ciphertext_hex"), "{vector}");
            assert_eq!(
                key.decrypt(&ciphertext, Padding::Pkcs7).unwrap(),
                text(vector, "plaintext")
            );
        }
    }

    #[test]
    fn the_switched_forms_are_those_of_the_golden_vectors() {
        let key = Key::new("0123456789abcdef0123456789abcdef", KeyForm::Raw);
        let vectors = vectors();
        let variant = |name: &str| {
            let found = vectors["variants"]
                .as_array()
                .unwrap()
                .iter()
                .find(|variant| variant["name"] == name);
            text(found.unwrap(), "value").to_owned()
        };
        let sign = |encoding| key.sign("900001", "1735689600000", encoding);

        assert_eq!(sign(SignatureEncoding::HexUpper), variant("signature_upper_hex"));
        assert_eq!(sign(SignatureEncoding::Base64), variant("signature_base64"));
        assert_ne!(sign(SignatureEncoding::HexLower), variant("signature_swapped"));
        assert_ne!(sign(SignatureEncoding::HexLower), variant("signature_with_plus"));
        assert_eq!(
            key.encrypt("13800138000", Padding::Zero).unwrap(),
            variant("zero_padding_11")
        );
        assert_eq!(
            key.encrypt("ABCDEFGHIJKLMNOP", Padding::Zero).unwrap(),
            variant("zero_padding_16")
        );
        assert_eq!(
            key.decrypt(&variant("zero_padding_11"), Padding::Zero).unwrap(),
            "13800138000"
        );
        assert_eq!(
            key.decrypt(&variant("hex_upper"), Padding::Pkcs7).unwrap(),
            "13800138000"
        );
        assert_ne!(
            key.encrypt("13800138000", Padding::Pkcs7).unwrap(),
            variant("key_hex_decoded_aes128")
        );
    }

    #[test]
    fn every_broken_ciphertext_is_refused_for_its_own_reason() {
        let vectors = vectors();
        for vector in vectors["decrypt"].as_array().unwrap() {
            let key = Key::new(text(vector, "token"), KeyForm::Raw);
            let outcome = match key.decrypt(text(vector, "ciphertext_hex"), Padding::Pkcs7) {
                Ok(plaintext) => {
                    assert_eq!(plaintext, text(vector, "plaintext"), "{vector}");
                    "ok"
                }
                Err(Undecryptable::Empty) => "empty",
                Err(Undecryptable::NotHex) => "not_hex",
                Err(Undecryptable::NotBlockMultiple) => "not_block_multiple",
                Err(Undecryptable::BadPadding) => "bad_padding",
                Err(Undecryptable::NotUtf8) => "not_utf8",
            };
            assert_eq!(outcome, text(vector, "expect"), "{vector}");
        }
    }

    #[test]
    fn a_hex_token_is_a_key_only_in_its_own_form() {
        let hex_token = hex::encode("0123456789abcdef0123456789abcdef");

        let as_hex = Key::new(&hex_token, KeyForm::Hex).encrypt("13800138000", Padding::Pkcs7);
        let as_raw = Key::new(&hex_token, KeyForm::Raw).encrypt("13800138000", Padding::Pkcs7);

        assert_eq!(as_hex.as_deref(), Some("554fb5befba4daabdb8169e45db64485"));
        assert_eq!(as_raw, None);
    }
}
