//! Which keys a database needs, read without a trace of the reader beside it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::open::beside;
use super::{KeyFiles, OpenError, Settings, ring, schema};
use crate::callback::inbox::needed::read_all;

/// Makes sure that everything in the inbox opens with the keys in `files`. Also while a gateway has it.
pub(in crate::callback::inbox) fn check_keys(settings: &Settings, files: &KeyFiles) -> Result<(), OpenError> {
    if !settings.path.exists() {
        read_all(files, false)?;
        return Ok(());
    }
    let connection = look(&settings.path)?;
    connection.busy_timeout(settings.busy_timeout)?;
    let kept = match schema::version(&connection)? {
        0 => None,
        _ => ring::kept_tag_key(&connection)?,
    };
    let (Some(keys), Some(kept)) = (read_all(files, kept.is_some())?, kept) else {
        return Ok(());
    };
    if let Some((key, rows)) = ring::missing(&connection, &keys)? {
        return Err(OpenError::KeyMissing { key, rows });
    }
    kept.open(&keys).map(drop).map_err(|_| OpenError::Damaged)
}

/// A connection that only reads. Where there is no write-ahead log, nobody has the database open, and SQLite is told that
/// it stays as it is: else it would make one, with an index, and leave both behind.
fn look(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if beside(path, "-wal").exists() {
        return Ok(Connection::open_with_flags(path, flags)?);
    }
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            _ => uri.push(*byte),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    let uri = std::str::from_utf8(&uri).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidFilename))?;
    Ok(Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?)
}
