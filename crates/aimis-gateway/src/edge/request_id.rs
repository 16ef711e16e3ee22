//! The id of a request: in the answer's `X-Request-Id`, in the log, in the refusal's body.

use http::{HeaderName, HeaderValue};

use crate::clock::Clock;
use crate::telemetry::log::Loggable;

/// What keys of clients begin with (`client-key new`).
const CLIENT_KEY: &[u8] = b"aimis_";

/// Name of the header, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// 1 to 64 characters of `[A-Za-z0-9._-]`, kept in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; Self::MAX],
    len: u8,
}

impl RequestId {
    /// Longest id that is taken over.
    pub const MAX: usize = 64;

    /// Takes over the caller's id if it is safe: other characters could break a log or a header.
    ///
    /// An id that could be a person's number, or hold one (`query-13800138000`, `138-0013-8000-a`), is not
    /// taken over: ids are written where persons must not be. A UUID is, unless it has digits only or a mobile
    /// number in it. A client's key in the wrong header is not taken over either.
    ///
    /// 64 hex digits could be an encrypted identity number (18 characters fill two blocks): a HIS that once
    /// spoke to the platform itself may hold such. 32 hex digits could be an encrypted telephone number, but
    /// they are also how trace ids are written (W3C Trace Context), and these are what callers correlate by.
    pub fn from_caller(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if bytes.is_empty() || bytes.len() > Self::MAX || !bytes.iter().all(safe) {
            return None;
        }
        let ciphertext = bytes.len() == Self::MAX && bytes.iter().all(u8::is_ascii_hexdigit);
        let key = bytes.starts_with(CLIENT_KEY);
        if ciphertext || key || holds_mobile(bytes) || (!is_uuid(bytes) && could_hold_number(bytes)) {
            return None;
        }
        let mut text = [0; Self::MAX];
        text[..bytes.len()].copy_from_slice(bytes);
        Some(Self {
            text,
            len: bytes.len() as u8,
        })
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).expect("made of ASCII only")
    }

    /// The id as a header's value.
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).expect("its characters are legal in a header")
    }
}

/// A mainland mobile number, as it is: 1, 3 to 9, nine digits. Also in a UUID, where chance makes one of 5,000 so.
fn holds_mobile(bytes: &[u8]) -> bool {
    let mobile = |window: &[u8]| window.iter().all(u8::is_ascii_digit) && window[0] == b'1' && window[1] >= b'3';
    bytes.windows(11).any(mobile)
}

/// Ten digits, with or without separators between them, hold a telephone or identity number; six in a row
/// with hardly a letter can be the number of another document.
fn could_hold_number(bytes: &[u8]) -> bool {
    let (mut run, mut longest, mut separated, mut letters) = (0, 0, 0, 0);
    for byte in bytes {
        match byte {
            b'0'..=b'9' => (run, separated) = (run + 1, separated + 1),
            b'A'..=b'Z' | b'a'..=b'z' => (run, separated, letters) = (0, 0, letters + 1),
            _ => run = 0,
        }
        if separated >= 10 {
            return true;
        }
        longest = longest.max(run);
    }
    longest >= 6 && letters < 4
}

/// 8-4-4-4-12 hex digits, a letter among them: no way of writing a person's number.
fn is_uuid(bytes: &[u8]) -> bool {
    let mut groups = bytes.split(|b| *b == b'-');
    let form = [8, 4, 4, 4, 12];
    let fits = |length: usize| {
        groups
            .next()
            .is_some_and(|g| g.len() == length && g.iter().all(u8::is_ascii_hexdigit))
    };
    form.into_iter().all(fits) && bytes.len() == 36 && bytes.iter().any(u8::is_ascii_alphabetic)
}

impl Loggable for &RequestId {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.as_str().as_bytes());
        out.push(b'"');
    }
}

/// Makes ids; each worker has its own, so making one shares nothing.
pub struct RequestIds {
    clock: Clock,
    state: u64,
}

impl RequestIds {
    /// A generator that starts at a random point.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(clock: Clock) -> std::io::Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(Self {
            clock,
            state: u64::from_ne_bytes(seed),
        })
    }

    /// A new id: UUID version 7 (RFC 9562), so ids sort by time. The random part tells requests
    /// apart; it keeps no secret, hence the plain generator.
    pub fn make(&mut self) -> RequestId {
        let millis = self.clock.now().as_millis().to_be_bytes();
        let (a, b) = (self.random().to_be_bytes(), self.random().to_be_bytes());
        let mut uuid = [0; 16];
        uuid[..6].copy_from_slice(&millis[2..]);
        uuid[6..8].copy_from_slice(&a[..2]);
        uuid[8..].copy_from_slice(&b);
        uuid[6] = 0x70 | (uuid[6] & 0x0f);
        uuid[8] = 0x80 | (uuid[8] & 0x3f);

        let mut digits = [0; 32];
        hex::encode_to_slice(uuid, &mut digits).expect("16 bytes are 32 hex digits");
        let mut text = [0; RequestId::MAX];
        let mut at = 0;
        for (group, range) in [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().enumerate() {
            if group > 0 {
                text[at] = b'-';
                at += 1;
            }
            text[at..at + range.len()].copy_from_slice(&digits[range.clone()]);
            at += range.len();
        }
        RequestId { text, len: 36 }
    }

    /// SplitMix64 (G. Steele and others, 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> bool {
        RequestId::from_caller(&HeaderValue::from_str(text).unwrap()).is_some()
    }

    #[test]
    fn only_safe_ids_of_1_to_64_characters_are_taken_over() {
        assert!(taken("a"));
        assert!(taken("his-2024.01_05"));
        assert!(taken(&"x".repeat(64)));
        assert!(taken("0194a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"));
        assert!(!taken(""));
        assert!(!taken(&"a".repeat(65)));
        assert!(!taken("a b"));
        assert!(!taken("a\"b"));
    }

    #[test]
    fn a_number_that_could_be_a_persons_is_no_id() {
        assert!(!taken("13800138000"));
        assert!(!taken("11010119000101009X"));
        assert!(!taken("H12345678"));
        assert!(!taken("query-13800138000"));
        assert!(!taken("138-0013-8000.today"));
        assert!(!taken("his_11010119000101009X_1"));
        assert!(taken("01941f29-7c00-7000-8000-1a8001380001"));
        assert!(!taken("01941f29-7c00-7000-8000-138001380001"));
        assert!(!taken("13800138-0001-1010-1190-001010099999"));
    }

    #[test]
    fn a_key_in_the_wrong_header_is_no_id() {
        assert!(!taken("aimis_d14d04eb12b99daf8a9f0bf219f0ef4cb97f2473"));
        assert!(taken("aimis-his-a"));
    }

    #[test]
    fn what_could_be_an_encrypted_identity_number_is_no_id() {
        assert!(!taken(&"0a1b2c3d".repeat(8)));
        assert!(!taken(&"0A1B2C3D".repeat(8)));
        assert!(taken("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn made_ids_are_version_7_uuids_and_differ() {
        let mut ids = RequestIds::new(Clock::manual(1_735_689_600_000)).unwrap();
        let (one, two) = (ids.make(), ids.make());

        assert!(one.as_str().starts_with("01941f29-7c00-7"));
        assert!(matches!(one.as_str().as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(one.as_str().len(), 36);
        assert_ne!(one.as_str(), two.as_str());
    }
}
