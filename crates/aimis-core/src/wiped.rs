//! Memory that is overwritten with zeros before it goes, a block at a time.
//!
//! `Zeroizing<Vec<u8>>` and `Zeroizing<String>` go byte by byte, with a barrier behind each: for an answer of 64 KB that is
//! more work than all else that is done for it. Slices are wiped by blocks. What holds whole bodies is therefore one of
//! these; for what is short `Zeroizing` serves as well.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// Overwrites all that `bytes` has room for, and gives the empty room back.
pub fn wipe(mut bytes: Vec<u8>) -> Vec<u8> {
    blank(&mut bytes);
    bytes.clear();
    bytes
}

fn blank(bytes: &mut Vec<u8>) {
    bytes.as_mut_slice().zeroize();
    bytes.spare_capacity_mut().zeroize();
}

/// Bytes that are wiped when dropped. A buffer that they outgrew is not: make room first.
#[derive(Clone, Default)]
pub struct WipedBytes(Vec<u8>);

impl WipedBytes {
    /// Empty, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }
}

impl From<Vec<u8>> for WipedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for WipedBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl AsRef<[u8]> for WipedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for WipedBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0));
    }
}

/// Tells the length alone.
impl fmt::Debug for WipedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedBytes({} bytes)", self.0.len())
    }
}

/// Text that is wiped when dropped. A buffer that it outgrew is not: make room first.
#[derive(Clone, Default)]
pub struct WipedText(String);

impl WipedText {
    /// Empty, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }
}

impl Deref for WipedText {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for WipedText {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl Drop for WipedText {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0).into_bytes());
    }
}

/// Tells the length alone.
impl fmt::Debug for WipedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wiped_is_zeros_and_its_room_is_given_back() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"11010119000101009X");
        let room = bytes.capacity();

        blank(&mut bytes);
        assert_eq!(bytes, [0; 18]);

        let wiped = wipe(bytes);
        assert_eq!((wiped.len(), wiped.capacity()), (0, room));
    }

    #[test]
    fn nothing_of_it_can_be_printed() {
        let mut text = WipedText::with_capacity(8);
        text.push_str("13800000000");
        assert_eq!(format!("{text:?}"), "WipedText(11 bytes)");
        assert_eq!(
            format!("{:?}", WipedBytes::from(b"secret".to_vec())),
            "WipedBytes(6 bytes)"
        );
    }
}
