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
    /// Bytes that are free on the disk, without those that the database grows by once the log is brought into it.
    free: u64,
    /// Those bytes.
    growth: u64,
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
            growth: 0,
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
        let (pages, unused) = (pragma("PRAGMA page_count")?, pragma("PRAGMA freelist_count")?);
        self.used = pages.saturating_sub(unused) * PAGE + disk::size_of(&self.log_path);
        self.growth = (pages * PAGE).saturating_sub(disk::size_of(&self.path));
        self.free = disk::free_bytes(&self.path).saturating_sub(self.growth);
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
        // On a disk that is about to be full the log must not take the room that the database needs to take it in.
        let grows_short = self.growth > 0 && self.is_short();
        if bytes < self.shrink_at && !grows_short {
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

    /// Whether the disk is about to be full: then pages that are free are worth the work of giving them back.
    pub(super) fn is_short(&self) -> bool {
        self.free < 2 * self.keep_free
    }

    /// Waits for readers, brings the log into the database and empties it.
    pub(super) fn empty_log(&self, connection: &Connection) -> rusqlite::Result<()> {
        checkpoint(connection, "TRUNCATE")?;
        self.log_pages.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Brings the log into the database as far as readers let it, so that it is written from its beginning again.
pub(super) fn reuse_log(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "PASSIVE")
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
