//! The token: the one secret shared with the platform, key of the signature and of the field encryption.
//!
//! It is parsed once, at start or reload, and every way in which copy-paste spoils it is refused there with the
//! reason: a wrong token shows otherwise only as a business code of the platform, in front of a patient
//! (sections 1 and 3). During a rotation a tenant holds two tokens, told apart by their [`Fingerprint`].

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of an AES-256 key, and characters of an assigned token.
const KEY_LEN: usize = 32;
/// Characters of a token that spells its key in hex.
const HEX_LEN: usize = 2 * KEY_LEN;
/// Separates the fingerprint from any other use of the token as a key.
const FINGERPRINT_DOMAIN: &[u8] = b"aimis-gateway token fingerprint, version 1";

/// How the AES key is written in the token: section 9, switch 3 (`crypto.key_form`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyForm {
    /// The 32 characters are the 32 bytes of the key. What the documentation says, and the default.
    #[default]
    Raw,
    /// 64 hex digits spell the 32 bytes of the key.
    Hex,
}

/// A token that is well formed, wiped from memory when dropped.
///
/// Not `Clone`: a second copy would be one more to wipe, so share it behind an `Arc`. `Debug` shows the
/// fingerprint and nothing else.
pub struct Token {
    // Boxed, so that moving a token moves a pointer and leaves no copy of the bytes on the stack.
    secret: Box<Secret>,
}

struct Secret {
    text: Zeroizing<Vec<u8>>,
    key: Zeroizing<[u8; KEY_LEN]>,
}

/// Why a text is no token. No variant carries the text or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing there.
    #[error("the token is empty")]
    Empty,
    /// An editor put a byte order mark in front.
    #[error("the token starts with a byte order mark: save the file without BOM")]
    ByteOrderMark,
    /// Leading white space.
    #[error("the token starts with {0}: remove it")]
    StartsWith(Space),
    /// Trailing white space, often the line break an editor or `echo` adds.
    #[error("the token ends with {0}: remove it (write the file with printf %s, not echo)")]
    EndsWith(Space),
    /// A control character (NUL, tab, line break, escape) among the others.
    #[error("the token contains a control character at byte {at}: it is damaged, or not text")]
    Control {
        /// Where, counted from 0.
        at: usize,
    },
    /// Not as long as its form demands.
    #[error("the token has {found} bytes, {wanted} are wanted{}", length_hint(*.found, *.all_hex))]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes wanted: 32 for [`KeyForm::Raw`], 64 for [`KeyForm::Hex`].
        wanted: usize,
        /// All of them are hex digits, which hints at the other key form.
        all_hex: bool,
    },
    /// [`KeyForm::Hex`], and a character that is no hex digit.
    #[error("the token is not hex: byte {at} is no hex digit (crypto.key_form = raw takes 32 characters as they are)")]
    NotHex {
        /// Where, counted from 0.
        at: usize,
    },
}

/// White space at an end of a token, named so that the operator can find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// LF, CR or both.
    LineBreak,
    /// A blank, or one of Unicode's (no-break, ideographic).
    Blank,
    /// A tab.
    Tab,
}

impl Token {
    /// Reads a token, exactly as assigned: nothing is trimmed, since a gateway that repairs a secret in silence
    /// hides the day it was damaged.
    ///
    /// In both forms the HMAC key is the *text* as assigned. Only the AES key differs: `Raw` takes the 32 bytes of
    /// the text, `Hex` the 32 bytes that its 64 digits spell (section 9, switch 3).
    ///
    /// # Errors
    /// [`TokenError`] names the flaw and its place, never the value.
    pub fn parse(text: &[u8], form: KeyForm) -> Result<Self, TokenError> {
        refuse_spoilt(text)?;
        let wanted = match form {
            KeyForm::Raw => KEY_LEN,
            KeyForm::Hex => HEX_LEN,
        };
        if text.len() != wanted {
            let all_hex = text.iter().all(u8::is_ascii_hexdigit);
            return Err(TokenError::Length {
                found: text.len(),
                wanted,
                all_hex,
            });
        }

        let mut key = Zeroizing::new([0; KEY_LEN]);
        match form {
            KeyForm::Raw => key.copy_from_slice(text),
            KeyForm::Hex => {
                if let Some(at) = text.iter().position(|b| !b.is_ascii_hexdigit()) {
                    return Err(TokenError::NotHex { at });
                }
                hex::decode_to_slice(text, key.as_mut_slice()).expect("64 hex digits, just counted and checked");
            }
        }
        Ok(Self {
            secret: Box::new(Secret {
                text: Zeroizing::new(text.to_vec()),
                key,
            }),
        })
    }

    /// A short name for this token, fit for logs, metrics and the console.
    ///
    /// It is the first 32 bits of HMAC-SHA256 under the token over a fixed sentence. It cannot be turned back: a
    /// token has some 190 bits, so about 2^158 tokens share each fingerprint, and the sentence is none that is ever
    /// signed for the platform, so a fingerprint helps to forge nothing either. Equal tokens have equal fingerprints,
    /// whatever their [`KeyForm`].
    pub fn fingerprint(&self) -> Fingerprint {
        let tag = self.hmac().chain_update(FINGERPRINT_DOMAIN).finalize().into_bytes();
        Fingerprint(u32::from_be_bytes([tag[0], tag[1], tag[2], tag[3]]))
    }

    /// An HMAC-SHA256 state keyed with the token's text.
    pub(crate) fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.secret.text).expect("HMAC takes keys of any length")
    }

    /// The AES-256 key.
    pub(crate) fn aes_key(&self) -> &[u8; KEY_LEN] {
        &self.secret.key
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.fingerprint())
    }
}

/// Eight hex digits that tell tokens apart and betray nothing: see [`Token::fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u32);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineBreak => "a line break",
            Self::Blank => "a space",
            Self::Tab => "a tab",
        })
    }
}

fn refuse_spoilt(text: &[u8]) -> Result<(), TokenError> {
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(TokenError::ByteOrderMark);
    }
    let (first, last) = ends(text);
    if let Some(space) = first.and_then(space) {
        return Err(TokenError::StartsWith(space));
    }
    if let Some(space) = last.and_then(space) {
        return Err(TokenError::EndsWith(space));
    }
    match text.iter().position(u8::is_ascii_control) {
        Some(at) => Err(TokenError::Control { at }),
        None => Ok(()),
    }
}

/// First and last character; of a text that is not UTF-8, the bytes.
fn ends(text: &[u8]) -> (Option<char>, Option<char>) {
    match std::str::from_utf8(text) {
        Ok(text) => (text.chars().next(), text.chars().next_back()),
        Err(_) => (text.first().map(|&b| b.into()), text.last().map(|&b| b.into())),
    }
}

fn space(c: char) -> Option<Space> {
    match c {
        '\r' | '\n' => Some(Space::LineBreak),
        '\t' => Some(Space::Tab),
        c if c.is_whitespace() => Some(Space::Blank),
        _ => None,
    }
}

fn length_hint(found: usize, all_hex: bool) -> &'static str {
    match (found, all_hex) {
        (HEX_LEN, true) => ": set crypto.key_form = hex if the platform assigned 64 hex digits",
        (KEY_LEN, _) => ": set crypto.key_form = raw if the platform assigned 32 characters",
        _ => ": compare it with the assigned one, character by character",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn refusal(text: &[u8], form: KeyForm) -> String {
        Token::parse(text, form).expect_err("refused").to_string()
    }

    #[test]
    fn a_token_of_32_bytes_is_taken_as_it_is() {
        let token = Token::parse(TEXT, KeyForm::Raw).unwrap();

        assert_eq!(token.aes_key(), TEXT);
    }

    #[test]
    fn a_hex_token_gives_the_decoded_key_and_keeps_its_text_for_the_signature() {
        let text = hex::encode(TEXT);
        let token = Token::parse(text.as_bytes(), KeyForm::Hex).unwrap();

        assert_eq!(token.aes_key(), TEXT);
        let of_text = Hmac::<Sha256>::new_from_slice(text.as_bytes())
            .unwrap()
            .finalize()
            .into_bytes();
        assert_eq!(token.hmac().finalize().into_bytes(), of_text);
    }

    #[test]
    fn each_flaw_is_named() {
        let mut padded = TEXT.to_vec();
        padded.push(b'\n');
        assert!(refusal(&padded, KeyForm::Raw).contains("ends with a line break"));
        assert!(refusal(b"0123456789abcdef0123456789abcde ", KeyForm::Raw).contains("ends with a space"));
        assert!(refusal(b" 123456789abcdef0123456789abcdef", KeyForm::Raw).contains("starts with a space"));
        assert!(refusal(b"\t123456789abcdef0123456789abcdef", KeyForm::Raw).contains("starts with a tab"));
        assert!(
            refusal("\u{3000}0123456789abcdef0123456789abc".as_bytes(), KeyForm::Raw).contains("starts with a space")
        );
        assert!(refusal(b"0123456789abcdef\x00123456789abcdef", KeyForm::Raw).contains("control character at byte 16"));
        assert!(refusal(b"\xef\xbb\xbf0123456789abcdef0123456789abcdef", KeyForm::Raw).contains("byte order mark"));
        assert!(refusal(b"", KeyForm::Raw).contains("empty"));
        assert!(refusal(b"0123456789abcdef", KeyForm::Raw).contains("has 16 bytes, 32 are wanted"));
        assert!(refusal(hex::encode(TEXT).as_bytes(), KeyForm::Raw).contains("crypto.key_form = hex"));
        assert!(refusal(TEXT, KeyForm::Hex).contains("crypto.key_form = raw"));
        assert!(refusal(&[b'g'; 64], KeyForm::Hex).contains("byte 0 is no hex digit"));
    }

    #[test]
    fn no_text_about_a_token_contains_it() {
        let token = Token::parse(TEXT, KeyForm::Raw).unwrap();

        assert_eq!(format!("{token:?}"), format!("Token({})", token.fingerprint()));
        assert_eq!(token.fingerprint().to_string().len(), 8);
        assert!(!refusal(b"Secret-secret-secret-secret-secret-secret", KeyForm::Raw).contains("ecret"));
        assert!(!refusal(b"Secret-secret", KeyForm::Hex).contains("ecret"));
    }

    #[test]
    fn fingerprints_tell_tokens_apart() {
        let one = Token::parse(TEXT, KeyForm::Raw).unwrap();
        let other = Token::parse(b"Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$", KeyForm::Raw).unwrap();

        assert_eq!(
            one.fingerprint(),
            Token::parse(TEXT, KeyForm::Raw).unwrap().fingerprint()
        );
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
