//! Opening: files and keys first, so that what is wrong is told before anything is served.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::watch;

use super::neighbours::Neighbours;
use super::read::Reader;
use super::recover::recover_within_room;
use super::ring::{self, Ring, Rings};
use super::room::{PAGE, Room};
use super::writer::{Store, Writer};
use super::{Parts, Role, Settings, Sqlite, schema};
use crate::callback::event::Tags;
use crate::callback::inbox::keys::{KeyError, KeyId, Keys, key_missing};
use crate::disk;
use crate::secrets::{self, in_full};

/// The oldest SQLite that may write: before it, a checkpoint that met a writer could damage a write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Bytes of pages that each connection keeps.
const CACHE_KIB: u32 = 16 * 1024;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The key that seals.
    pub current: PathBuf,
    /// Keys that only open.
    pub previous: Vec<PathBuf>,
}

impl From<&crate::config::Inbox> for KeyFiles {
    fn from(config: &crate::config::Inbox) -> Self {
        Self {
            current: config.key_file.clone(),
            previous: config.previous_key_files.clone().unwrap_or_default(),
        }
    }
}

/// Why an inbox cannot be opened. Names files, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory denies itself.
    #[error("inbox.path: {}: {}", .0.display(), .1.kind())]
    File(PathBuf, io::Error),
    /// There is nothing to look at.
    #[error("inbox.path: {}: no such file; the gateway makes it when it starts with a callback listener", .0.display())]
    NotThere(PathBuf),
    /// Locks and syncs of network disks may not do what they promise.
    #[error("inbox.path: {} is on a network disk ({kind}), where what is acknowledged may be lost; use a disk of this machine, or, knowing that, inbox.allow_network_disk = true", path.display())]
    NetworkDisk {
        /// The database.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// Another gateway has it.
    #[error("inbox.path: {} is in use by another gateway", .0.display())]
    InUse(PathBuf),
    /// The SQLite in this binary is too old.
    #[error("SQLite {0} is too old: before 3.51.3 it could damage the inbox")]
    OldSqlite(&'static str),
    /// A database of something else.
    #[error("inbox.path is a database of something else")]
    NotAnInbox,
    /// Made by a newer gateway.
    #[error(
        "inbox.path has version {found}, and this gateway knows versions up to {known}: it was opened by a newer one"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// Made by an older gateway, which may be running.
    #[error(
        "inbox.path has version {found}, and this program works on version {known}: start this gateway once, which brings it up to date, or use the command of the gateway that runs"
    )]
    Older {
        /// Its version.
        found: i64,
        /// The one that we work on.
        known: i64,
    },
    /// A key cannot be read or made.
    #[error("inbox.key_file: {0}")]
    Key(#[from] KeyError),
    /// Events were sealed with a key that is not there.
    #[error(
        "{}: put it back. If it is lost for good, so are the events: then move the files of inbox.path away, and a new inbox begins",
        key_missing(*key, *rows)
    )]
    KeyMissing {
        /// The key's id.
        key: KeyId,
        /// Events under it.
        rows: u64,
    },
    /// The database's own key does not open: the file was changed.
    #[error("the inbox is damaged: its own key does not open; restore it from a backup")]
    Damaged,
    /// SQLite failed.
    #[error("inbox.path: the database cannot be opened: {}", told(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// The system denied a thread or randomness.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] io::Error),
}

/// SQLite's own word for a failure; never text with a value in it.
fn told(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, _)
            if matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            format!(
                "{failure}. Move its files (with -wal and -shm) to a safe place and keep them; then restore a backup of \
                 all of them, or start without, and a new inbox begins"
            )
        }
        rusqlite::Error::SqliteFailure(failure, _) => failure.to_string(),
        _ => "an answer that was not expected".to_owned(),
    }
}

impl Sqlite {
    /// Opens the inbox, and makes it if `role` is the gateway and it is not there.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running then.
    pub fn open(settings: Settings, keys: &KeyFiles, role: Role, parts: Parts) -> Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::OldSqlite(rusqlite::version()));
        }
        let lock = prepare_files(&settings, role)?;
        let mut connection = connect(&settings, role)?;
        schema::migrate(&mut connection, role)?;
        let (ring, tags) = unlock(&mut connection, keys, role, &settings.path)?;
        if role == Role::Gateway {
            recover_within_room(&connection, &parts.clock)?;
        }
        let file = |error| OpenError::File(in_full(&settings.path), error);
        disk::sync_directory(disk::directory_of(&settings.path)).map_err(file)?;

        let reader = Arc::new(Reader::start(connect_to_read(&settings)?)?);
        let settings = Arc::new(settings);
        parts.metrics.show_limit(settings.max_bytes);
        let room = Room::new(&mut connection, &settings)?;
        let (changes, _) = watch::channel(0);
        let clock = parts.clock.clone();
        let store = Store::new(connection, Arc::clone(&settings), role, parts, changes.clone(), room);
        #[cfg(test)]
        let faults = Arc::clone(&store.faults);
        let writer = Writer::start(store)?;
        let neighbours = match role {
            Role::Gateway => Some(Neighbours::watch(connect_to_read(&settings)?, writer.calls().clone())?),
            Role::Command => None,
        };
        Ok(Self {
            ring: Rings::new(ring),
            tags,
            clock,
            settings,
            #[cfg(test)]
            faults,
            writer,
            reader,
            changes,
            _neighbours: neighbours,
            _lock: lock,
        })
    }
}

/// Makes directory and files, and takes the lock that one gateway at a time holds.
pub(super) fn prepare_files(settings: &Settings, role: Role) -> Result<Option<File>, OpenError> {
    let path = &settings.path;
    let file = |error| OpenError::File(in_full(path), error);
    let directory = disk::directory_of(path);
    if role == Role::Gateway {
        disk::create_directory(directory).map_err(file)?;
    } else if !path.exists() {
        return Err(OpenError::NotThere(in_full(path)));
    }
    if let Some(kind) = disk::network_disk(directory).filter(|_| !settings.allow_network_disk) {
        return Err(OpenError::NetworkDisk {
            path: in_full(path),
            kind,
        });
    }
    if role == Role::Command {
        return Ok(None);
    }
    let lock_path = beside(path, "-lock");
    disk::make_private(&lock_path).map_err(file)?;
    let lock = File::open(&lock_path).map_err(file)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::InUse(in_full(path))),
        Err(std::fs::TryLockError::Error(error)) => return Err(file(error)),
    }
    disk::make_private(path).map_err(file)?;
    Ok(Some(lock))
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn connect(settings: &Settings, role: Role) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    // Else SQLite parses and plans a statement anew at each call, where the plan may depend on the values that are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(settings.busy_timeout)?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if role == Role::Gateway && pages == 0 {
        // They count for a new database only, and only before the log is switched on. In another they would write, and a
        // disk that is full would be one that no gateway starts on.
        connection.execute_batch(&format!("PRAGMA page_size = {PAGE}; PRAGMA auto_vacuum = INCREMENTAL;"))?;
    }
    connection.execute_batch(&format!(
        "PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{CACHE_KIB};"
    ))?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::File(
            in_full(&settings.path),
            io::ErrorKind::Unsupported.into(),
        ));
    }
    // FULL: each commit is synced. Deleted content is overwritten. Checkpoints are made behind answers, not within commits.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    for statement in [
        "PRAGMA wal_autocheckpoint = 0".to_owned(),
        format!("PRAGMA journal_size_limit = {}", settings.wal_target_bytes),
    ] {
        connection.query_row(&statement, [], |_| Ok(()))?;
    }
    Ok(connection)
}

fn connect_to_read(settings: &Settings) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    connection.busy_timeout(settings.busy_timeout)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

/// Reads the keys, makes sure that everything can be opened with them, and opens the database's own key, which a gateway
/// seals with the current one from now on. A command changes nothing of that: it may have been given other files.
fn unlock(connection: &mut Connection, files: &KeyFiles, role: Role, path: &Path) -> Result<(Ring, Tags), OpenError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let kept = ring::kept_tag_key(&transaction)?;
    if kept.is_none() && role == Role::Command {
        return Err(OpenError::NotThere(in_full(path)));
    }
    let keys = Keys::read(&files.current, &files.previous, kept.is_none())?;
    if let Some((key, rows)) = ring::missing(&transaction, &keys)? {
        return Err(OpenError::KeyMissing { key, rows });
    }
    let number = match role {
        Role::Gateway => ring::number(&transaction, &keys)?,
        // Nothing is sealed by a command.
        Role::Command => 0,
    };
    let sealed_by = kept.as_ref().map(|kept| kept.by);
    let tag_key = match kept {
        Some(kept) => kept.open(&keys).map_err(|_| OpenError::Damaged)?,
        None => secrets::random_key()?,
    };
    // A retired key is not needed any more once nothing is sealed with it.
    if sealed_by != Some(keys.current().id()) && role == Role::Gateway {
        let sealed = ring::seal_tag_key(&tag_key, &keys).map_err(|_| OpenError::Damaged)?;
        ring::keep_tag_key(&transaction, number, &sealed)?;
    }
    let tags = Tags::new(&tag_key);
    transaction.commit()?;
    let keys = Arc::new(keys);
    Ok((Ring { keys, number }, tags))
}
