//! The keys of the audit trail: one that is written under, and those that files were written under before.
//!
//! From each follow three: for the chain, for the seal of its end, and for tags. None of them ever stands in a file of
//! the trail; what stands there is the key's id, a digest, so that a reader knows which key a file needs.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::tags::Tagger;
use crate::config;
use crate::key_file::{self, Fault};
use crate::secrets::{self, SecretError};
use crate::telemetry::log::Loggable;

/// Names a key without telling it: 8 bytes of a digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Reads 16 lower-case hex digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
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

impl Loggable for KeyId {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.to_string());
    }
}

/// One key, ready for use.
pub(super) struct Key {
    id: KeyId,
    /// Of [`super::chain`].
    pub(super) chain: Hmac<Sha256>,
    /// Of [`super::head`].
    pub(super) head: Hmac<Sha256>,
    pub(super) tagger: Tagger,
}

impl Key {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let derived = |purpose: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
            mac.update(purpose);
            Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()))
        };
        let keyed = |key: &[u8; 32]| Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
        let chain = derived(b"aimis audit: chain, version 1");
        let mut id = [0; 8];
        let digest = Sha256::new_with_prefix(b"aimis audit: key id")
            .chain_update(*chain)
            .finalize();
        id.copy_from_slice(&digest[..8]);
        Self {
            id: KeyId(id),
            chain: keyed(&chain),
            head: keyed(&derived(b"aimis audit: head, version 1")),
            tagger: Tagger::new(&derived(b"aimis audit: tags, version 1")),
        }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }
}

/// The key that is written under, and those that are only read with.
pub struct Keys {
    current: Key,
    previous: Vec<Key>,
}

impl Keys {
    /// Writes under `current`, reads what was written under `previous` ones too.
    pub fn new(current: &[u8; 32], previous: &[[u8; 32]]) -> Self {
        Self {
            current: Key::new(current),
            previous: previous.iter().map(Key::new).collect(),
        }
    }

    /// Reads the keys of a configuration. The current one is made if it is not there and `make` says so: that is, if
    /// nothing has been written yet.
    ///
    /// # Errors
    /// When a file cannot be read or made, or holds no key.
    pub fn read(settings: &config::Audit, make: bool) -> Result<Self, KeyError> {
        let current = &settings.key_file;
        let missing = !current.try_exists().unwrap_or(true);
        if missing && !make {
            return Err(KeyError::Missing(secrets::in_full(current)));
        }
        if missing {
            key_file::generate(current).map_err(|error| KeyError::NotMade(secrets::in_full(current), error))?;
        }
        let mut previous = Zeroizing::new(Vec::new());
        for path in settings.previous_key_files.iter().flatten() {
            previous.push(*read(path)?);
        }
        Ok(Self::new(&*read(current)?, &previous))
    }

    /// Makes the tags of persons, under the current key.
    pub fn tagger(&self) -> &Tagger {
        &self.current.tagger
    }

    pub(super) fn current(&self) -> &Key {
        &self.current
    }

    pub(super) fn by_id(&self, id: KeyId) -> Option<&Key> {
        self.all().find(|key| key.id == id)
    }

    /// The current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    Unreadable(PathBuf, SecretError),
    /// The file holds something else.
    #[error("{} is no key: it needs 32 bytes, or their 64 hex digits (`openssl rand -hex 32`)", .0.display())]
    NoKey(PathBuf),
    /// Records have been written, and the key is gone.
    #[error("{}: no such file, but records have been written under the key that was in it; put it back", .0.display())]
    Missing(PathBuf),
    /// The first key could not be written.
    #[error("{}: a key could not be written there: {}", .0.display(), .1.kind())]
    NotMade(PathBuf, std::io::Error),
}

fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    key_file::read(path).map_err(|fault| {
        let path = secrets::in_full(path);
        match fault {
            Fault::Unreadable(error) => KeyError::Unreadable(path, error),
            Fault::NoKey => KeyError::NoKey(path),
        }
    })
}
