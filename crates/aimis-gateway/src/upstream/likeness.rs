//! Tells questions apart by a number: equal for equal bytes, and other for others but by chance.
//!
//! No digest: whoever could choose the bytes and knew the key could make two alike. Nobody has the key, which each process
//! draws, and all that hangs on the number is whether a breaker counts two failures or one. For that a look at every
//! byte in a tenth of a hash table's time is enough.

use std::io;

/// Numbers under one key.
#[derive(Clone, Copy)]
pub(super) struct Likeness([u64; 2]);

impl Likeness {
    /// Under a key that nobody knows, so that a number tells nothing of a patient.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(super) fn new() -> io::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let [first, second] = words(&key);
        // An even factor would lose a bit each time.
        Ok(Self([first, second | 1]))
    }

    /// The number of these bytes.
    pub(super) fn of(&self, bytes: &[u8]) -> u64 {
        let Self([start, factor]) = *self;
        let (chunks, rest) = bytes.as_chunks::<16>();
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let length = bytes.len() as u64;
        chunks.iter().chain([&last]).fold(start ^ length, |state, chunk| {
            let [first, second] = words(chunk);
            folded(state ^ first, factor ^ second)
        })
    }
}

fn words(bytes: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}

/// Both halves of the product in one: every bit of it hangs on every bit of both.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hundred_thousand_patients_have_as_many_numbers() {
        let likeness = Likeness::new().unwrap();
        let body = |patient: u32| format!(r#"{{"phoneNum":"138{patient:08}","hospitalId":"H0001"}}"#);
        let numbers: BTreeSet<u64> = (0..100_000)
            .map(|patient| likeness.of(body(patient).as_bytes()))
            .collect();

        assert_eq!(numbers.len(), 100_000);
        assert_eq!(likeness.of(b"same"), likeness.of(b"same"));
        assert_ne!(likeness.of(b"same"), likeness.of(b"same\0"));
        assert_ne!(likeness.of(b"same"), Likeness::new().unwrap().of(b"same"));
    }
}
