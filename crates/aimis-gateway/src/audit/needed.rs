//! Whether the keys that files hold are all that a trail needs: asked by a check, at the start and at a reload.

use std::io;
use std::path::{Path, PathBuf};

use super::files::{Header, Name, NoHeader, Trail, list};
use super::keys::{KeyError, KeyId, Keys};
use super::open::OpenError;
use crate::config;
use crate::key_file;

/// What keys are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// To go on writing, which a start needs: those of the last file of the gateway's own trail. That an older one cannot be
    /// verified any more is no reason to answer no hospital.
    ToWrite,
    /// To verify all that there is.
    ToVerify,
}

/// Makes sure that the files of the trails can be read with the keys of a configuration. Makes no key and changes
/// nothing: where nothing has been written yet, the first start makes the key.
///
/// # Errors
/// [`OpenError`]; what is needed to write, a start would fail with as well.
pub fn check_keys(settings: &config::Audit, needed: Needed) -> Result<(), OpenError> {
    let failed = |error| OpenError::File(settings.path.clone(), error);
    if is_empty(&settings.path).map_err(failed)? && key_file::is_missing(&settings.key_file) {
        for path in settings.previous_key_files.iter().flatten() {
            key_file::read(path).map_err(KeyError::File)?;
        }
        return Ok(());
    }
    let keys = Keys::read(settings, false)?;
    let unknown = match needed {
        Needed::ToVerify => unknown(&settings.path, &keys),
        Needed::ToWrite => {
            let last = list(Trail::Gateway, &settings.path).map_err(failed)?.into_iter().last();
            unknown_of(Trail::Gateway, last, &settings.path, &keys)
        }
    };
    match unknown.map_err(failed)? {
        None => Ok(()),
        Some((path, key)) => Err(OpenError::UnknownKey {
            path,
            reason: NoHeader::UnknownKey(key).to_string(),
        }),
    }
}

/// Whether nothing has been written yet.
pub(super) fn is_empty(directory: &Path) -> io::Result<bool> {
    for trail in Trail::ALL {
        if !list(*trail, directory)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first file that was written under a key that is not among `keys`. One whose beginning is damaged needs none.
pub(super) fn unknown(directory: &Path, keys: &Keys) -> io::Result<Option<(PathBuf, KeyId)>> {
    for trail in Trail::ALL {
        if let Some(found) = unknown_of(*trail, list(*trail, directory)?, directory, keys)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same of some files of one trail.
pub(super) fn unknown_of(
    trail: Trail,
    names: impl IntoIterator<Item = Name>,
    directory: &Path,
    keys: &Keys,
) -> io::Result<Option<(PathBuf, KeyId)>> {
    for name in names {
        let path = name.path(trail, directory);
        match Header::of(&path, trail, keys) {
            // Its time was over just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(Err(NoHeader::UnknownKey(key))) => return Ok(Some((path, key))),
            Ok(_) => {}
        }
    }
    Ok(None)
}
