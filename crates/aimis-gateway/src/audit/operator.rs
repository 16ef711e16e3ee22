//! The user of the hospital's system behind a look-up, as that system names him.
//!
//! What names him there is the hospital's to choose: most often a staff number, which is recorded as it is. What could
//! be a person's number or name is recorded as a keyed tag, so that "was it this one?" can still be answered.

use http::HeaderValue;

use super::tags::{Tag, Tagger};
use crate::telemetry::log::Loggable;

/// What keys of clients begin with (`client-key new`).
const CLIENT_KEY: &[u8] = b"aimis_";
/// Longest name that is recorded as it is.
const MOST: usize = 64;

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// A staff number or login.
    Plain(Plain),
    /// Something that could be personal.
    Tagged(Tag),
}

/// 1 to 64 characters of `[A-Za-z0-9._-]`, kept in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plain {
    text: [u8; MOST],
    len: u8,
}

impl Operator {
    /// Takes over what a header says; nothing if that is nothing.
    pub fn read(value: &HeaderValue, tagger: &Tagger) -> Option<Self> {
        let bytes = value.as_bytes().trim_ascii();
        if bytes.is_empty() {
            return None;
        }
        let safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if bytes.len() > MOST || !bytes.iter().all(safe) || could_be_personal(bytes) {
            return Some(Self::Tagged(tagger.operator(bytes)));
        }
        let mut text = [0; MOST];
        text[..bytes.len()].copy_from_slice(bytes);
        Some(Self::Plain(Plain {
            text,
            len: bytes.len() as u8,
        }))
    }
}

/// Whether there could be a telephone or identity number in it, or the number of a patient; or a ciphertext or key by
/// mistake. Staff numbers of up to nine digits are none; a longer one has to become a tag rather than a telephone be written.
fn could_be_personal(bytes: &[u8]) -> bool {
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let hex = bytes.len() >= 32 && bytes.iter().all(u8::is_ascii_hexdigit);
    digits >= 10 || hex || bytes.starts_with(CLIENT_KEY) || bytes.len() >= 32 && digits >= 6
}

impl Loggable for &Plain {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.text[..usize::from(self.len)]);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_numbers_are_kept_and_persons_are_tagged() {
        let tagger = Tagger::new(&[1; 32]);
        let read = |text: &str| Operator::read(&HeaderValue::from_bytes(text.as_bytes()).unwrap(), &tagger);
        for plain in ["D1023", "00123", "201900123", "li.wei_2", " 7 "] {
            assert!(matches!(read(plain), Some(Operator::Plain(_))), "{plain}");
        }
        for personal in [
            "13800138000",
            "138-0013-8000",
            "dr.13800138000",
            "11010119000101009X",
            "110101190001010",
            "张三",
            "li wei",
            "HIS-0000471108",
            "aimis_secret",
            "554fb5befba4daabdb8169e45db64485",
            "aimis_6f1d2c3b4a59aaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
            &"a".repeat(65),
        ] {
            assert!(matches!(read(personal), Some(Operator::Tagged(_))), "{personal}");
        }
        assert!(read("").is_none() && read("  ").is_none());
        assert!(read("13800138000") == read(" 13800138000"));
    }
}
