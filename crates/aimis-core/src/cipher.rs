//! Field encryption: the text of one personal field to hex of AES-256-ECB, and back (section 3).
//!
//! ECB has no IV and no integrity: equal values give equal ciphertexts, and whole blocks can be swapped unnoticed.
//! That is the platform's choice, not ours; it means that a ciphertext is still personal data (never log one, never use
//! one as a key) and that a decrypted value proves nothing until its shape was checked.
//!
//! ECB is each block by itself, so the loop over the blocks is written out here: it lets plaintext go from the
//! caller's text through 64 bytes of stack, overwritten by the ciphertext in place, into the caller's buffer.

use std::fmt;
use std::sync::Arc;

use aes::Aes256;
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, Zeroizing};

use crate::token::Token;

const BLOCK_LEN: usize = 16;
/// Blocks encrypted at a time. A telephone has one and an identity number two; four let AES-NI overlap the rest.
const BATCH: usize = 4;

/// What fills the last block: section 9, switch 1 (`crypto.padding`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Padding {
    /// PKCS#7, "PKCS5Padding" in Java; a multiple of 16 bytes gains a whole block. The default.
    #[default]
    Pkcs7,
    /// NUL bytes, none after a full block. Loses trailing NULs of the text, and makes nothing of an empty text.
    Zero,
}

/// Case of the hex digits sent: section 9, switch 2 (`crypto.hex_case`). Either is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HexCase {
    /// `0-9a-f`, the default.
    #[default]
    Lower,
    /// `0-9A-F`.
    Upper,
}

/// Encrypts and decrypts fields under one token. Clones share the expanded key, which is wiped with the last of them.
#[derive(Clone)]
pub struct FieldCipher {
    aes: Arc<Aes256>,
    padding: Padding,
    case: HexCase,
}

impl FieldCipher {
    /// Expands the AES key of `token`.
    pub fn new(token: &Token, padding: Padding, case: HexCase) -> Self {
        Self {
            aes: Arc::new(Aes256::new(token.aes_key().into())),
            padding,
            case,
        }
    }

    /// Appends the ciphertext of `plaintext` to `out`, as [`hex_len`](Self::hex_len) ASCII hex digits.
    pub fn encrypt_into(&self, plaintext: &str, out: &mut Vec<u8>) {
        let text = plaintext.as_bytes();
        out.reserve(self.hex_len(text.len()));
        let mut buffer = [Block::<Aes256>::default(); BATCH];
        let mut left = self.blocks(text.len());
        let mut at = 0;
        while left > 0 {
            let batch = &mut buffer[..left.min(BATCH)];
            left -= batch.len();
            for block in batch.iter_mut() {
                self.fill(block, &text[at.min(text.len())..]);
                at += BLOCK_LEN;
            }
            self.aes.encrypt_blocks(batch);
            for block in batch.iter() {
                self.write_hex(block, out);
            }
        }
    }

    /// Encrypts `plaintext`. The hot path uses [`encrypt_into`](Self::encrypt_into).
    pub fn encrypt(&self, plaintext: &str) -> Ciphertext {
        let mut hex = Vec::new();
        self.encrypt_into(plaintext, &mut hex);
        Ciphertext(String::from_utf8(hex).expect("hex digits are ASCII"))
    }

    /// Hex digits of the ciphertext of a text of `len` bytes.
    pub const fn hex_len(&self, len: usize) -> usize {
        self.blocks(len) * BLOCK_LEN * 2
    }

    /// Decrypts hex of either case, with or without white space around it.
    ///
    /// A wrong key shows as [`DecryptError::BadPadding`] only 255 times in 256, so check the shape of the result.
    ///
    /// # Errors
    /// Which step failed, for our log and the self-test. To a remote peer every failure must look the same: the
    /// difference is a padding oracle.
    pub fn decrypt(&self, hex: &str) -> Result<Plaintext, DecryptError> {
        let digits = hex.trim_ascii();
        if digits.is_empty() {
            return Err(DecryptError::Empty);
        }
        if !digits.len().is_multiple_of(2) {
            return Err(DecryptError::NotHex);
        }
        let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| DecryptError::NotHex)?;
        if !bytes.len().is_multiple_of(BLOCK_LEN) {
            return Err(DecryptError::NotBlockMultiple);
        }
        for chunk in bytes.chunks_exact_mut(BLOCK_LEN) {
            let block: &mut Block<Aes256> = chunk.try_into().expect("a chunk is a block");
            self.aes.decrypt_block(block);
        }
        let len = match self.padding {
            Padding::Pkcs7 => without_pkcs7(&bytes).ok_or(DecryptError::BadPadding)?,
            Padding::Zero => bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1),
        };
        bytes.truncate(len);
        Plaintext::from_utf8(bytes)
    }

    const fn blocks(&self, len: usize) -> usize {
        match self.padding {
            Padding::Pkcs7 => len / BLOCK_LEN + 1,
            Padding::Zero => len.div_ceil(BLOCK_LEN),
        }
    }

    /// Copies the next bytes of `rest` into `block` and pads what they leave free.
    fn fill(&self, block: &mut Block<Aes256>, rest: &[u8]) {
        let taken = rest.len().min(BLOCK_LEN);
        block[..taken].copy_from_slice(&rest[..taken]);
        block[taken..].fill(match self.padding {
            Padding::Pkcs7 => (BLOCK_LEN - taken) as u8,
            Padding::Zero => 0,
        });
    }

    fn write_hex(&self, block: &Block<Aes256>, out: &mut Vec<u8>) {
        let mut digits = [0; 2 * BLOCK_LEN];
        hex::encode_to_slice(block, &mut digits).expect("two digits a byte");
        if self.case == HexCase::Upper {
            digits.make_ascii_uppercase();
        }
        out.extend_from_slice(&digits);
    }
}

/// Length without PKCS#7 padding. Looks at every byte of the last block whatever it finds.
fn without_pkcs7(bytes: &[u8]) -> Option<usize> {
    let (_, last) = bytes.split_last_chunk::<BLOCK_LEN>()?;
    let pad = last[BLOCK_LEN - 1];
    let mut wrong = u8::from(pad == 0) | u8::from(usize::from(pad) > BLOCK_LEN);
    for (from_end, &byte) in last.iter().rev().enumerate() {
        wrong |= u8::from(from_end < usize::from(pad)) & u8::from(byte != pad);
    }
    (wrong == 0).then(|| bytes.len() - usize::from(pad))
}

/// An encrypted field, as hex. Personal data still: it has no `Display`, and its `Debug` shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Ciphertext(String);

impl Ciphertext {
    /// The hex digits, for the platform and for nobody's log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ciphertext(***)")
    }
}

/// A decrypted field, wiped when dropped. It has no `Display`, and its `Debug` shows `***`.
pub struct Plaintext(Zeroizing<String>);

impl Plaintext {
    /// The personal text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn from_utf8(mut bytes: Zeroizing<Vec<u8>>) -> Result<Self, DecryptError> {
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Self(Zeroizing::new(text))),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(DecryptError::NotUtf8)
            }
        }
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(***)")
    }
}

/// Why a ciphertext gave no text. See [`FieldCipher::decrypt`] on who may learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// Nothing but white space.
    #[error("the ciphertext is empty")]
    Empty,
    /// A character that is no hex digit, or an odd number of digits; often plaintext sent by mistake.
    #[error("the ciphertext is not hex")]
    NotHex,
    /// Not a multiple of 16 bytes: cut, or not made by AES.
    #[error("the ciphertext is no multiple of 16 bytes")]
    NotBlockMultiple,
    /// The padding is wrong: most often another token, or the other padding switch.
    #[error("the padding is wrong: another token, or another crypto.padding")]
    BadPadding,
    /// Decrypted, but not to UTF-8: another token, or a peer that encrypts GBK.
    #[error("the decrypted bytes are not UTF-8")]
    NotUtf8,
}

impl DecryptError {
    /// Stable name, as in the test vectors: `empty`, `not_hex`, `not_block_multiple`, `bad_padding`, `not_utf8`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotHex => "not_hex",
            Self::NotBlockMultiple => "not_block_multiple",
            Self::BadPadding => "bad_padding",
            Self::NotUtf8 => "not_utf8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeyForm;
    use ::cipher::BlockModeEncrypt;
    use ::cipher::block_padding::Pkcs7;
    use proptest::prelude::*;

    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn cipher(padding: Padding, case: HexCase) -> FieldCipher {
        FieldCipher::new(&Token::parse(TOKEN, KeyForm::Raw).unwrap(), padding, case)
    }

    #[test]
    fn nothing_personal_is_printable() {
        let cipher = cipher(Padding::Pkcs7, HexCase::Lower);
        let sealed = cipher.encrypt("13800138000");
        let opened = cipher.decrypt(sealed.as_str()).unwrap();

        assert_eq!(format!("{sealed:?} {opened:?}"), "Ciphertext(***) Plaintext(***)");
    }

    #[test]
    fn padding_longer_than_a_block_is_wrong() {
        // 16 spaces: each byte is 32, so the block agrees with itself and yet pads nothing.
        let block = cipher(Padding::Zero, HexCase::Lower).encrypt(&" ".repeat(16));

        let opened = cipher(Padding::Pkcs7, HexCase::Lower).decrypt(block.as_str());

        assert_eq!(opened.err(), Some(DecryptError::BadPadding));
    }

    #[test]
    fn zero_padding_makes_nothing_of_nothing() {
        assert_eq!(cipher(Padding::Zero, HexCase::Lower).encrypt("").as_str(), "");
    }

    proptest! {
        #[test]
        fn what_was_encrypted_decrypts(text in any::<String>(), upper in any::<bool>()) {
            let cipher = cipher(Padding::Pkcs7, if upper { HexCase::Upper } else { HexCase::Lower });
            let sealed = cipher.encrypt(&text);
            prop_assert_eq!(sealed.as_str().len(), cipher.hex_len(text.len()));
            let opened = cipher.decrypt(sealed.as_str()).unwrap();
            prop_assert_eq!(opened.expose(), text);
        }

        #[test]
        fn zero_padding_keeps_texts_that_end_in_no_nul(text in any::<String>()) {
            prop_assume!(!text.is_empty() && !text.ends_with('\0'));
            let cipher = cipher(Padding::Zero, HexCase::Lower);
            let opened = cipher.decrypt(cipher.encrypt(&text).as_str()).unwrap();
            prop_assert_eq!(opened.expose(), text);
        }

        #[test]
        fn the_loop_agrees_with_the_ecb_crate(text in ".{0,200}") {
            let mut padded = vec![0; text.len() + 16];
            padded[..text.len()].copy_from_slice(text.as_bytes());
            let reference = ecb::Encryptor::<Aes256>::new(TOKEN.try_into().unwrap())
                .encrypt_padded::<Pkcs7>(&mut padded, text.len())
                .unwrap();
            let sealed = cipher(Padding::Pkcs7, HexCase::Lower).encrypt(&text);
            prop_assert_eq!(sealed.as_str(), hex::encode(reference));
        }

        #[test]
        fn a_flipped_bit_or_another_token_never_panics(
            text in any::<String>(), at in any::<prop::sample::Index>(), bit in 0..8u8, token in "[ -~]{32}",
        ) {
            let cipher = cipher(Padding::Pkcs7, HexCase::Lower);
            let sealed = cipher.encrypt(&text);
            let mut bytes = hex::decode(sealed.as_str()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(opened) = cipher.decrypt(&hex::encode(bytes)) {
                prop_assert_ne!(opened.expose(), &text);
            }
            if let Ok(other) = Token::parse(token.as_bytes(), KeyForm::Raw) {
                for padding in [Padding::Pkcs7, Padding::Zero] {
                    let _ = FieldCipher::new(&other, padding, HexCase::Lower).decrypt(sealed.as_str());
                }
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = cipher(Padding::Pkcs7, HexCase::Lower).decrypt(&text);
            let _ = cipher(Padding::Zero, HexCase::Lower).decrypt(&text);
        }
    }
}
