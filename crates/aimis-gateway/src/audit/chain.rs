//! The chain: each line carries a seal over itself and the seal before it.
//!
//! ```text
//! {"seq":7,…,"mac":"<hex of HMAC-SHA256(key, seal of line 6 ‖ the line up to here)>"}
//! ```
//!
//! A seal covers bytes, not their meaning, so that whoever reads a line need not agree with us about JSON to check it.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::keys::Key;

/// The seal of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal([u8; 32]);

/// What stands between a record and its seal.
const FIELD: &[u8] = b",\"mac\":\"";
/// What stands behind it, before the line's end.
const END: &[u8] = b"\"}";
/// Bytes of a seal with what stands around it, the line's end not included.
const SUFFIX: usize = FIELD.len() + 64 + END.len();

impl Seal {
    /// What the first line of a trail is chained to.
    pub(super) const NONE: Self = Self([0; 32]);

    /// As it stands in a line: 64 hex digits.
    pub(super) fn digits(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 64 lower-case hex digits.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let lower = !digits.iter().any(u8::is_ascii_uppercase);
        (lower && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(Self(bytes))
    }

    /// The seal of `body`, a line up to its seal, behind a line with the seal `previous`.
    pub(super) fn of(key: &Key, previous: &Self, body: &[u8]) -> Self {
        Self::keyed(&key.chain, previous, body)
    }

    pub(super) fn keyed(mac: &Hmac<Sha256>, previous: &Self, body: &[u8]) -> Self {
        let mut mac = mac.clone();
        mac.update(&previous.0);
        mac.update(body);
        Self(mac.finalize().into_bytes().into())
    }
}

/// Seals the line that begins at `start` in `out`, and ends it.
pub(super) fn seal(key: &Key, previous: &Seal, out: &mut Vec<u8>, start: usize) -> Seal {
    let seal = Seal::of(key, previous, &out[start..]);
    let mut digits = [0; 64];
    hex::encode_to_slice(seal.0, &mut digits).expect("32 bytes are 64 hex digits");
    for part in [FIELD, &digits, END, b"\n"] {
        out.extend_from_slice(part);
    }
    seal
}

/// The part of a line that is sealed, and the seal it carries; `None` if this is no line of a trail. Every line has
/// exactly one form, so that no byte of it can be changed unseen.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], Seal)> {
    let (body, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let digits = suffix.strip_prefix(FIELD)?.strip_suffix(END)?;
    Some((body, Seal::parse(digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_line_can_be_another() {
        let key = Key::new(&[3; 32]);
        let mut line = br#"{"seq":1,"kind":"lookup""#.to_vec();
        let seal = seal(&key, &Seal::NONE, &mut line, 0);
        let good = |line: &[u8]| {
            let line = line.strip_suffix(b"\n")?;
            let (body, carried) = split(line)?;
            (Seal::of(&key, &Seal::NONE, body) == carried).then_some(carried)
        };
        assert!(good(&line) == Some(seal));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.clone();
                changed[at] ^= 1 << bit;
                assert!(good(&changed).is_none(), "bit {bit} of byte {at}");
            }
            let mut cut = line.clone();
            cut.remove(at);
            assert!(good(&cut).is_none(), "byte {at} cut out");
        }
        assert!(Seal::of(&Key::new(&[4; 32]), &Seal::NONE, b"{") != Seal::of(&key, &Seal::NONE, b"{"));
    }
}
