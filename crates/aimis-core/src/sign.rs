//! Request signatures: appId and time in, HMAC-SHA256 out.
//!
//! The signature proves that its maker held the token at one moment. It covers neither body nor path (section 2),
//! so it is made anew for every attempt and never stored. appId and timestamp are joined without separator, so
//! `90000` + `1…` would sign like `900001` + `…`; [`Signer::verify`] therefore takes only timestamps of a fixed
//! length, and its caller compares the appId first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::token::Token;

/// Bytes of an HMAC-SHA256 tag.
const TAG_LEN: usize = 32;
/// Digits of the largest `u64`.
const MAX_DIGITS: usize = 20;

/// How the 32 bytes of a tag are written: section 9, switch 4 (`sign.encoding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SignatureEncoding {
    /// 64 lower-case hex digits, the default.
    #[default]
    HexLower,
    /// 64 upper-case hex digits.
    HexUpper,
    /// 44 characters of base64 with padding, standard alphabet.
    Base64,
}

/// What a timestamp counts: section 9, switch 5 (`sign.timestamp_unit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampUnit {
    /// 13 digits, the default.
    #[default]
    Milliseconds,
    /// 10 digits, rounded down.
    Seconds,
}

/// A moment: milliseconds since 1970-01-01 UTC, by the gateway's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment given in milliseconds since 1970-01-01 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// Signs and checks under one token. A clone, and a signature, cost a copy of the keyed state and no new key set-up.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
    encoding: SignatureEncoding,
    unit: TimestampUnit,
}

impl Signer {
    /// Keys a signer with `token`.
    pub fn new(token: &Token, encoding: SignatureEncoding, unit: TimestampUnit) -> Self {
        Self {
            keyed: token.hmac(),
            encoding,
            unit,
        }
    }

    /// Signs `app_id` at the moment `at`: both header values, on the stack.
    pub fn sign(&self, app_id: &str, at: Timestamp) -> Signed {
        let count = match self.unit {
            TimestampUnit::Milliseconds => at.as_millis(),
            TimestampUnit::Seconds => at.as_millis() / 1000,
        };
        let timestamp = decimal(count);
        let tag = self.tag(app_id, timestamp.as_str()).finalize().into_bytes();
        Signed {
            timestamp,
            signature: self.write(&tag.into()),
        }
    }

    /// Checks that `received` is the signature of `app_id` at `timestamp`, the text of the header of that name.
    ///
    /// The timestamp must be 13 or 10 ASCII digits. Hex is read in either case. The comparison takes the same time
    /// wherever the first wrong byte stands. Whether the moment is fresh, and the appId the tenant's, is judged by the
    /// caller.
    ///
    /// # Errors
    /// [`BadSignature`] for a malformed signature or timestamp and a wrong signature alike, so that a forger learns
    /// nothing.
    pub fn verify(&self, app_id: &str, timestamp: &str, received: &str) -> Result<(), BadSignature> {
        let well_formed = matches!(timestamp.len(), 10 | 13) && timestamp.bytes().all(|b| b.is_ascii_digit());
        if !well_formed {
            return Err(BadSignature);
        }
        let tag = self.read(received).ok_or(BadSignature)?;
        self.tag(app_id, timestamp).verify_slice(&tag).map_err(|_| BadSignature)
    }

    fn tag(&self, app_id: &str, timestamp: &str) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(app_id).chain_update(timestamp)
    }

    fn write(&self, tag: &[u8; TAG_LEN]) -> Short<64> {
        let mut text = Short {
            bytes: [0; 64],
            len: 64,
        };
        match self.encoding {
            SignatureEncoding::HexLower | SignatureEncoding::HexUpper => {
                hex::encode_to_slice(tag, &mut text.bytes).expect("64 digits for 32 bytes");
                if self.encoding == SignatureEncoding::HexUpper {
                    text.bytes.make_ascii_uppercase();
                }
            }
            SignatureEncoding::Base64 => {
                text.len = BASE64
                    .encode_slice(tag, &mut text.bytes)
                    .expect("44 of 64 characters for 32 bytes");
            }
        }
        text
    }

    fn read(&self, received: &str) -> Option<[u8; TAG_LEN]> {
        let mut tag = [0; TAG_LEN];
        match self.encoding {
            SignatureEncoding::HexLower | SignatureEncoding::HexUpper => {
                hex::decode_to_slice(received, &mut tag).ok()?;
            }
            SignatureEncoding::Base64 => {
                // The decoder wants room for what four characters could hold before it looks at the padding.
                let mut room = [0; TAG_LEN + 3];
                let len = if received.len() == 44 {
                    BASE64.decode_slice(received, &mut room).ok()?
                } else {
                    0
                };
                tag.copy_from_slice((len == TAG_LEN).then_some(&room[..TAG_LEN])?);
            }
        }
        Some(tag)
    }
}

/// The two header values of one attempt. Not printable: whoever reads a signature in a log can forge callbacks with
/// it for as long as its timestamp is accepted (security.md, reflection).
pub struct Signed {
    timestamp: Short<MAX_DIGITS>,
    signature: Short<64>,
}

impl Signed {
    /// Value of the header `timestamp`.
    pub fn timestamp(&self) -> &str {
        self.timestamp.as_str()
    }

    /// Value of the header `signature`.
    pub fn signature(&self) -> &str {
        self.signature.as_str()
    }
}

/// A signature that was not made with this token for this appId and time. It says no more, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct BadSignature;

/// A short ASCII text on the stack.
struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Short<N> {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only ASCII is ever written")
    }
}

fn decimal(mut count: u64) -> Short<MAX_DIGITS> {
    let mut reversed = [0; MAX_DIGITS];
    let mut len = 0;
    loop {
        reversed[len] = b'0' + (count % 10) as u8;
        len += 1;
        count /= 10;
        if count == 0 {
            break;
        }
    }
    reversed[..len].reverse();
    Short { bytes: reversed, len }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeyForm;

    const AT: Timestamp = Timestamp::from_millis(1_735_689_600_000);
    const ENCODINGS: [SignatureEncoding; 3] = [
        SignatureEncoding::HexLower,
        SignatureEncoding::HexUpper,
        SignatureEncoding::Base64,
    ];

    fn signer(encoding: SignatureEncoding, unit: TimestampUnit) -> Signer {
        let token = Token::parse(b"0123456789abcdef0123456789abcdef", KeyForm::Raw).unwrap();
        Signer::new(&token, encoding, unit)
    }

    #[test]
    fn what_a_signer_signs_it_verifies() {
        for encoding in ENCODINGS {
            for unit in [TimestampUnit::Milliseconds, TimestampUnit::Seconds] {
                let signer = signer(encoding, unit);
                let signed = signer.sign("900001", AT);
                assert_eq!(signer.verify("900001", signed.timestamp(), signed.signature()), Ok(()));
            }
        }
    }

    #[test]
    fn malformed_and_wrong_signatures_are_one_refusal() {
        for encoding in ENCODINGS {
            let signer = signer(encoding, TimestampUnit::Milliseconds);
            let signed = signer.sign("900001", AT);
            let good = signed.signature();
            let mut flipped = good.to_owned().into_bytes();
            flipped[5] = if flipped[5] == b'7' { b'8' } else { b'7' };
            let flipped = String::from_utf8(flipped).unwrap();
            let doubled = good.repeat(2);
            for bad in ["", "0", &good[1..], &flipped, &doubled, "签名", &"=".repeat(44)] {
                assert_eq!(
                    signer.verify("900001", "1735689600000", bad),
                    Err(BadSignature),
                    "{encoding:?}"
                );
            }
            assert_eq!(signer.verify("900002", "1735689600000", good), Err(BadSignature));
            assert_eq!(signer.verify("900001", "1735689600001", good), Err(BadSignature));
        }
    }

    #[test]
    fn digits_cannot_move_from_the_app_id_to_the_timestamp() {
        let signer = signer(SignatureEncoding::HexLower, TimestampUnit::Milliseconds);
        let signed = signer.sign("900001", AT);

        assert_eq!(
            signer.verify("90000", "11735689600000", signed.signature()),
            Err(BadSignature)
        );
        assert_eq!(
            signer.verify("9000011", "735689600000", signed.signature()),
            Err(BadSignature)
        );
    }

    #[test]
    fn hex_is_read_in_either_case() {
        let signer = signer(SignatureEncoding::HexLower, TimestampUnit::Milliseconds);
        let upper = signer.sign("900001", AT).signature().to_ascii_uppercase();

        assert_eq!(signer.verify("900001", "1735689600000", &upper), Ok(()));
    }

    #[test]
    fn every_count_is_written_in_full() {
        for count in [0, 9, 10, 1_735_689_600_000, u64::MAX] {
            assert_eq!(decimal(count).as_str(), count.to_string());
        }
    }
}
