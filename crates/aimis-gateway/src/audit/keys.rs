//! The keys of the audit trail: one that is written under, and those that files were written under before.
//!
//! From each follow three: for the chain, for the seal of its end, and for tags. None of them ever stands in a file of
//! the trail; what stands there is the key's id, a digest, so that a reader knows which key a file needs.

use std::path::PathBuf;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::tags::Tagger;
use crate::config;
use crate::key_file::{self, NoKeys};

pub use crate::key_file::KeyId;

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
        let derived = |purpose: &[u8]| key_file::derived(secret, purpose);
        let keyed = |key: &[u8; 32]| Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
        let chain = derived(b"aimis audit: chain, version 1");
        Self {
            id: KeyId::of(&chain, b"aimis audit: key id"),
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
        let previous = settings.previous_key_files.as_deref().unwrap_or_default();
        let (current, previous) =
            key_file::read_all(&settings.key_file, previous, make).map_err(|none| match none {
                NoKeys::Missing(path) => KeyError::Missing(path),
                NoKeys::NotMade(path, error) => KeyError::NotMade(path, error),
                NoKeys::Fault(fault) => KeyError::File(fault),
            })?;
        Ok(Self::new(&current, &previous))
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
    /// A file gives none.
    #[error(transparent)]
    File(#[from] key_file::Fault),
    /// Records have been written, and the key is gone.
    #[error("{}: no such file, but records have been written under the key that was in it; put it back", .0.display())]
    Missing(PathBuf),
    /// The first key could not be written.
    #[error("{}: a key could not be written there: {}", .0.display(), .1.kind())]
    NotMade(PathBuf, std::io::Error),
}
