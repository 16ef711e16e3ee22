//! The disk budget, and the write-ahead log that is part of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::Settings;
use crate::disk;

/// Bytes of a page of the database.
pub(super) const PAGE: u64 = 4096;
/// Bytes of a page in the log: with its head.
const FRAME: u64 = PAGE + 24;
/// Bytes that an event takes beside its payload: its row and its places in seven indexes.
const EVENT_BYTES: u64 = 1024;

/// How much room there is.
pub(super) struct Room {
    path: PathBuf,
    log_path: PathBuf,
    /// What arrivals may fill; the rest is for noting what became of them.
    limit: u64,
    /// Bytes of the disk that stay free for the same purpose.
    keep_free: u64,
    used: u64,
    free: u64,
    /// Pages of the log, told by SQLite at each commit.
    log_pages: Arc<AtomicU64>,
    /// The log is brought into the database from so many bytes on.
    shrink_at: u64,
}

impl Room {
    pub(super) fn new(connection: &mut Connection, settings: &Settings) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut _, pages: std::ffi::c_int| {
            told.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let reserve = settings.max_bytes / 16;
        let mut room = Self {
            log_path: log_of(&settings.path),
            path: settings.path.clone(),
            limit: settings.max_bytes - reserve,
            keep_free: reserve.min(disk::total_bytes(&settings.path) / 16),
            used: 0,
            free: 0,
            log_pages,
            shrink_at: settings.wal_target_bytes,
        };
        room.look(connection)?;
        Ok(room)
    }

    /// Measures what is used and free, once a transaction.
    pub(super) fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let pragma = |name| {
            connection
                .prepare_cached(name)?
                .query_row([], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
        };
        let pages = pragma("PRAGMA page_count")?.saturating_sub(pragma("PRAGMA freelist_count")?);
        self.used = pages * PAGE + disk::size_of(&self.log_path);
        self.free = disk::free_bytes(&self.path);
        Ok(())
    }

    /// Whether a payload of so many bytes has room; if so, it is taken.
    pub(super) fn take(&mut self, payload: u64) -> bool {
        // Once in the log, once in the database; the log's share is given back.
        let needed = payload + EVENT_BYTES;
        let fits = self.used + needed <= self.limit && self.free >= self.keep_free + 2 * needed;
        if fits {
            self.used += needed;
            self.free -= 2 * needed;
        }
        fits
    }

    /// Bytes of the files.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        disk::size_of(&self.path) + disk::size_of(&self.log_path)
    }

    /// Brings the log into the database when it is long. Readers can hold that up: then it is tried again when the log
    /// has grown by a quarter more, and at its largest it is waited for.
    pub(super) fn shrink_log(&mut self, connection: &Connection, settings: &Settings) -> rusqlite::Result<()> {
        let bytes = self.log_pages.load(Ordering::Relaxed) * FRAME;
        if bytes < self.shrink_at {
            if bytes < settings.wal_target_bytes {
                self.shrink_at = settings.wal_target_bytes;
            }
            return Ok(());
        }
        self.shrink_at = bytes + settings.wal_target_bytes / 4;
        let done = if bytes >= settings.wal_max_bytes {
            self.empty_log(connection)
        } else {
            checkpoint(connection, "PASSIVE")
        };
        match done {
            // Another connection is at it, or the disk has no room for it now.
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if matches!(
                    failure.code,
                    rusqlite::ErrorCode::DatabaseBusy
                        | rusqlite::ErrorCode::DatabaseLocked
                        | rusqlite::ErrorCode::DiskFull
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    /// Waits for readers, brings the log into the database and empties it.
    pub(super) fn empty_log(&self, connection: &Connection) -> rusqlite::Result<()> {
        checkpoint(connection, "TRUNCATE")?;
        self.log_pages.store(0, Ordering::Relaxed);
        Ok(())
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

/// The write-ahead log of a database.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}
