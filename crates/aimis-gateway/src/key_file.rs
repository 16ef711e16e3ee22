//! Keys that the gateway makes for itself: 32 bytes in a file of their own, made at the first start.
//!
//! What the inbox and the audit trail do alike with theirs is here: reading, making, naming, deriving.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::disk;
use crate::secrets::{self, SecretError};
use crate::telemetry::log::Loggable;

/// Names a key without telling it: 8 bytes of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id of a key; `context` keeps the ids of different stores apart.
    pub(crate) fn of(key: &[u8; 32], context: &[u8]) -> Self {
        let mut id = [0; 8];
        let digest = Sha256::new_with_prefix(context).chain_update(key).finalize();
        id.copy_from_slice(&digest[..8]);
        Self(id)
    }

    /// An id from a store.
    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The id for a store.
    pub(crate) fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// Reads 16 lower-case hex digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Nothing of the key.
impl Loggable for KeyId {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.to_string());
    }
}

/// A key for one purpose, made of the one in the file.
pub(crate) fn derived(secret: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(purpose);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Unreadable(PathBuf, SecretError),
    /// It holds something else.
    #[error("{} is no key: it needs 32 bytes, or their 64 hex digits (`openssl rand -hex 32`)", .0.display())]
    NoKey(PathBuf),
}

/// Why the keys of a store are not there.
pub(crate) enum NoKeys {
    /// The current one is not, and must not be made.
    Missing(PathBuf),
    /// It could not be made.
    NotMade(PathBuf, std::io::Error),
    /// A file gives none.
    Fault(Fault),
}

/// The current key and the previous ones.
type All = (Zeroizing<[u8; 32]>, Zeroizing<Vec<[u8; 32]>>);

/// Whether there is no such file. One that cannot be looked at may be there.
pub(crate) fn is_missing(path: &Path) -> bool {
    !path.try_exists().unwrap_or(true)
}

/// Reads the keys of a store. The current one is made if it is not there and `make` says so.
///
/// # Errors
/// [`NoKeys`]; never with the content of a file.
pub(crate) fn read_all(current: &Path, previous: &[PathBuf], make: bool) -> Result<All, NoKeys> {
    let missing = is_missing(current);
    if missing && !make {
        return Err(NoKeys::Missing(secrets::in_full(current)));
    }
    if missing {
        generate(current).map_err(|error| NoKeys::NotMade(secrets::in_full(current), error))?;
    }
    let mut retired = Zeroizing::new(Vec::with_capacity(previous.len()));
    for path in previous {
        retired.push(*read(path).map_err(NoKeys::Fault)?);
    }
    Ok((read(current).map_err(NoKeys::Fault)?, retired))
}

/// Reads a key: 32 bytes, or these in hex or base64, with or without a line end.
///
/// # Errors
/// [`Fault`]; never with the content.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let text = secrets::read_bytes(path).map_err(|error| Fault::Unreadable(secrets::in_full(path), error))?;
    let mut key = Zeroizing::new([0; 32]);
    let trimmed = text.trim_ascii();
    let good = if text.len() == 32 {
        key.copy_from_slice(&text);
        true
    } else if trimmed.len() == 64 {
        hex::decode_to_slice(trimmed, key.as_mut()).is_ok()
    } else {
        // `openssl rand -base64 32`. The decoder wants room for one byte more.
        let mut room = Zeroizing::new([0; 33]);
        let decoded = base64::engine::general_purpose::STANDARD.decode_slice(trimmed, room.as_mut());
        key.copy_from_slice(&room[..32]);
        trimmed.len() == 44 && decoded == Ok(32)
    };
    good.then_some(key).ok_or_else(|| Fault::NoKey(secrets::in_full(path)))
}

/// Writes a new key so that it is whole and durable, for this user alone, or not there at all.
///
/// # Errors
/// What the system says; also when there is a file of this name by now.
fn generate(path: &Path) -> std::io::Result<()> {
    let key = secrets::random_key()?;
    let mut text = Zeroizing::new([0; 65]);
    hex::encode_to_slice(*key, &mut text[..64]).expect("32 bytes are 64 hex digits");
    text[64] = b'\n';
    let directory = disk::directory_of(path);
    disk::create_directory(directory)?;
    // By chance, not by the number of this process: in a container the next one has the same, and a draft that a crash
    // left would be in its way for ever.
    let chance = secrets::random_key()?;
    let draft = path.with_extension(format!("new-{}", hex::encode(&chance[..8])));
    let mut file = disk::create_private(&draft)?;
    file.write_all(&*text)?;
    file.sync_all()?;
    // Never over a key that another process has just made: a link fails where a rename would replace.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked?;
    disk::sync_directory(directory)
}
