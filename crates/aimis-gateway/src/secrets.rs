//! Secrets come from files, read once and wiped; what goes wrong is told without the value.

use std::io::Read;
use std::path::{Path, PathBuf};

use aimis_core::token::{KeyForm, Token, TokenError};
use zeroize::Zeroizing;

use crate::regular_file::{self, NoFile};

/// Longest secret file that is read: a token has 32 bytes, and a wrong file should not fill the memory.
const MAX_BYTES: usize = 4096;

/// Longest secret that is a part of a path.
const MOST_PATH_SECRET: usize = 128;

/// Why a secret is not there.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{}", unreadable(.0))]
    Unreadable(std::io::Error),
    /// The file is far too long for a secret.
    #[error("is longer than {MAX_BYTES} bytes; is it the right file?")]
    TooLong,
    /// The value is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is no password in the file.
    #[error("is empty")]
    EmptyPassword,
    /// A line end, most likely.
    #[error("has a line end or another control character in it; write the password alone, as with printf %s")]
    PasswordControl,
    /// Not what can be the last part of a path.
    #[error(
        "is not 16 to {MOST_PATH_SECRET} of A-Za-z0-9._~-, and nothing else, no line end either (as with printf %s)"
    )]
    NoPathSecret,
    /// A key is too short.
    #[error("has {found} bytes; a key needs 32 or more")]
    ShortKey {
        /// Bytes in the file.
        found: usize,
    },
}

/// "Entity not found", as the kind has it, says nothing to an operator.
fn unreadable(error: &std::io::Error) -> String {
    if let Some(no) = NoFile::of(error) {
        return no.to_string();
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        kind => format!("cannot be read: {kind}"),
    }
}

/// A file's path as a complaint names it: in full, so that nobody has to know where the process was started.
pub fn in_full(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Reads a tenant's token.
///
/// # Errors
/// When the file cannot be read or its content is no token; never with the content.
pub fn read_token(path: &Path, form: KeyForm) -> Result<Token, SecretError> {
    Ok(Token::parse(&read(path)?, form)?)
}

/// Reads a key of 32 bytes or more and makes 32 bytes of it.
///
/// # Errors
/// When the file cannot be read or is too short.
pub fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    use sha2::{Digest, Sha256};
    let text = read(path)?;
    if text.len() < 32 {
        return Err(SecretError::ShortKey { found: text.len() });
    }
    Ok(Zeroizing::new(Sha256::digest(&*text).into()))
}

/// Reads a password: text without a line end, since nobody could tell whether that belongs to it.
///
/// # Errors
/// When the file cannot be read, is empty, or holds a control character.
pub fn read_password(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let text = read(path)?;
    if text.is_empty() {
        return Err(SecretError::EmptyPassword);
    }
    if text.iter().any(u8::is_ascii_control) {
        return Err(SecretError::PasswordControl);
    }
    Ok(text)
}

/// Reads a secret that is a part of a path: characters that no program on the way writes in another form (RFC 3986,
/// section 2.3).
///
/// # Errors
/// When the file cannot be read, or is not 16 to 128 of these.
pub fn read_path_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let text = read(path)?;
    let unreserved = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    if (16..=MOST_PATH_SECRET).contains(&text.len()) && text.iter().all(unreserved) {
        Ok(text)
    } else {
        Err(SecretError::NoPathSecret)
    }
}

/// Reads a secret as it is; what it has to look like is the caller's affair.
///
/// # Errors
/// When the file cannot be read or is far too long.
pub fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    read(path)
}

/// A new random key, for a process that was given none.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_key() -> std::io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(std::io::Error::other)?;
    Ok(key)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    // All room at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    regular_file::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text))
        .map_err(SecretError::Unreadable)?;
    if text.len() > MAX_BYTES {
        Err(SecretError::TooLong)
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        let dir = std::env::temp_dir().join(format!("aimis-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let check = |content: &str| {
            let path = dir.join("token");
            std::fs::write(&path, content).unwrap();
            let error = read_token(&path, KeyForm::Raw).err().unwrap().to_string();
            assert!(!error.contains("0123456789abcdef"), "{error}");
            error
        };

        assert!(check("0123456789abcdef0123456789abcdef\n").contains("line break"));
        assert!(check("0123456789abcdef").contains("16"));
        assert!(check(&"0123456789abcdef".repeat(300)).contains("longer than 4096"));
        let missing = read_token(&dir.join("none"), KeyForm::Raw).err().unwrap().to_string();
        assert!(missing.contains("no such file"), "{missing}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
