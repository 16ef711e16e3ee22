//! Other keys for a trail that is being written, as files have them by now.
//!
//! The file that is written ends where it is, and the next one begins under the new key. So nothing is written anew, and
//! each key is needed for as long as there is a file under it: a reload that would lose one is refused.

use std::sync::Arc;

use super::keys::{KeyError, KeyId, Keys};
use super::lane::Shared;
use super::needed;
use super::tags::Tagger;
use crate::config;

/// The keys of a trail that is being written.
#[derive(Clone)]
pub struct KeyRing(Arc<Shared>);

/// Why other keys are not taken up.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// A file gives no key.
    #[error("audit: {0}")]
    Key(#[from] KeyError),
    /// A key is in none of the files by now, and needed.
    #[error(
        "audit.previous_key_files: {place} is written under the key {key}, which is in none of audit.key_file and \
         audit.previous_key_files; put it into a file of its own and name that"
    )]
    Needed {
        /// The key's id.
        key: KeyId,
        /// Which file, or the trail.
        place: String,
    },
    /// The files of the trail cannot be looked at.
    #[error("audit.path: {}", .0.kind())]
    Unread(std::io::Error),
}

impl KeyRing {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Makes the tags of persons, under the key that is in force.
    pub fn tagger(&self) -> Tagger {
        self.0.keys.load().current().tagger.clone()
    }

    /// Names the key that is in force.
    pub fn current(&self) -> KeyId {
        self.0.keys.load().current().id()
    }

    /// The keys that files hold now; `None` if these are in force. None is made: it would be made for a file that was
    /// forgotten.
    ///
    /// # Errors
    /// [`RekeyError`] when a file gives no key, or when a key that files were written under would be lost.
    pub fn read(&self, settings: &config::Audit) -> Result<Option<Keys>, RekeyError> {
        let new = Keys::read(settings, false)?;
        let in_force = self.0.keys.load_full();
        if in_force.all().map(|key| key.id()).eq(new.all().map(|key| key.id())) {
            return Ok(None);
        }
        let current = in_force.current().id();
        if new.by_id(current).is_none() {
            let place = "the trail".to_owned();
            return Err(RekeyError::Needed { key: current, place });
        }
        if in_force.all().any(|key| new.by_id(key.id()).is_none()) {
            let unknown = needed::unknown(&settings.path, &new).map_err(RekeyError::Unread)?;
            if let Some((path, key)) = unknown {
                let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(RekeyError::Needed { key, place });
            }
        }
        Ok(Some(new))
    }

    /// Has the trail go on under `keys`, which [`Self::read`] gave. Tells the keys before and now, if these are two.
    pub fn put(&self, keys: Arc<Keys>) -> Option<(KeyId, KeyId)> {
        let now = keys.current().id();
        let before = self.0.keys.swap(keys).current().id();
        self.0.wake();
        (before != now).then_some((before, now))
    }
}
