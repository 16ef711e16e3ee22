//! Whether the keys that files hold are all that an inbox needs, without opening it: asked by a check and at the start.

use super::keys::{KeyError, Keys};
use super::sqlite::{self, KeyFiles};
use super::{OpenError, postgres};
use crate::config;
use crate::key_file;

/// Makes sure that what is in the inbox of a configuration opens with its keys. Makes no key and changes nothing. A
/// database is not asked, so of it is known only that the keys can be read.
///
/// # Errors
/// [`OpenError`], with which a start would fail as well.
pub fn check_keys(config: &config::Inbox) -> Result<(), OpenError> {
    let files = KeyFiles::from(config);
    if config.database_url.is_some() {
        let read = Keys::read_shared(&files.current, &files.previous);
        return read.map(drop).map_err(|error| postgres::OpenError::Key(error).into());
    }
    Ok(sqlite::check_keys(&config.into(), &files)?)
}

/// Reads the keys, where there need not be a current one: the first start makes it, if nothing was sealed yet.
pub(super) fn read_all(files: &KeyFiles, sealed: bool) -> Result<Option<Keys>, KeyError> {
    if !sealed && key_file::is_missing(&files.current) {
        for path in &files.previous {
            key_file::read(path)?;
        }
        return Ok(None);
    }
    Keys::read(&files.current, &files.previous, false).map(Some)
}
