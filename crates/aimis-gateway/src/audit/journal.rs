//! A trail that is being written: lines are added in memory, written, and made durable, in three steps.
//!
//! # What always holds
//!
//! 1. A line is forgotten only when it is durable (or, where nothing is synced, written). Until then it can be written
//!    again, at the same place, so that neither a full disk nor a failed sync loses one.
//! 2. Nothing durable is ever changed. Behind it may stand what was being written when the process died; the next start
//!    cuts off what is no whole line.
//! 3. The head ([`super::head`]) names durable lines only.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::datetime::Date;
use aimis_core::sign::Timestamp;

use super::chain::{self, Seal};
use super::files::{Header, Name, Trail, list, moment};
use super::head::{Head, HeadFile};
use super::keys::{KeyId, Keys};
use super::line;
use crate::disk;
use crate::telemetry::log::{Line, write_rfc3339};

/// What a journal is bounded by.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) directory: PathBuf,
    /// The size at which a file is closed.
    pub(super) file: u64,
    /// The most that the trail's files may take.
    pub(super) all: u64,
    /// How long files are kept; `None`: for ever.
    pub(super) retention: Option<Duration>,
    /// Whether lines are sent elsewhere as well.
    pub(super) export: bool,
}

/// See the module's text.
pub(super) struct Journal {
    pub(super) bounds: Bounds,
    pub(super) trail: Trail,
    pub(super) keys: Arc<Keys>,
    pub(super) series: String,
    /// The file that is written, under which key, and since which day.
    pub(super) file: File,
    pub(super) number: u32,
    pub(super) key: KeyId,
    pub(super) day: Date,
    /// The last line that was added.
    pub(super) seq: u64,
    pub(super) seal: Seal,
    /// Lines that are not known to be durable, and how many of their bytes are written.
    pub(super) pending: Vec<u8>,
    pub(super) written: usize,
    /// Of these bytes, how many are in `copy` or were taken from it.
    pub(super) copied: usize,
    /// What was written and is still to be sent elsewhere; `None` where nothing is.
    pub(super) copy: Option<Vec<u8>>,
    /// Where in the file they begin.
    pub(super) base: u64,
    /// Bytes of the files before.
    pub(super) others: u64,
    pub(super) head: HeadFile,
    /// The directory has a name that is not durable yet.
    pub(super) named: bool,
    /// Held for as long as this trail is written.
    pub(super) _lock: File,
    #[cfg(test)]
    pub(super) faults: Arc<super::testing::Faults>,
}

impl Journal {
    /// Adds a line; it is only in memory.
    pub(super) fn add(&mut self, at: Timestamp, write: impl FnOnce(&mut Line<'_>)) {
        self.seq += 1;
        let (seq, start) = (self.seq, self.pending.len());
        let out = &mut self.pending;
        out.extend_from_slice(b"{\"seq\":");
        io::Write::write_fmt(out, format_args!("{seq}")).expect("a Vec takes every byte");
        out.extend_from_slice(b",\"time\":\"");
        write_rfc3339(out, at);
        out.push(b'"');
        write(&mut Line(out));
        let key = self.keys.by_id(self.key).expect("a file is opened under a key at hand");
        self.seal = chain::seal(key, &self.seal, &mut self.pending, start);
    }

    /// Whether there are lines that are not durable.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there are lines that are not even written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.written < self.pending.len()
    }

    /// Bytes of all files of the trail, with what is to be written.
    pub(super) fn size(&self) -> u64 {
        self.others + self.base + self.pending.len() as u64
    }

    /// Whether there is a key by now that the file is not written under.
    pub(super) fn is_under_old_key(&self) -> bool {
        self.key != self.keys.current().id()
    }

    /// Whether the next line belongs into the next file.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.base + self.pending.len() as u64 >= self.bounds.file || Date::in_china(now) > self.day
    }

    /// Writes what is pending to the file.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if !self.is_unwritten() {
            return Ok(());
        }
        if self.size() > self.bounds.all {
            return Err(io::ErrorKind::StorageFull.into());
        }
        #[cfg(test)]
        self.faults.writing()?;
        let at = self.base + self.written as u64;
        self.file.write_all_at(&self.pending[self.written..], at)?;
        self.written = self.pending.len();
        if let Some(copy) = &mut self.copy
            && self.copied < self.written
        {
            // Once, however often it has to be written.
            copy.extend_from_slice(&self.pending[self.copied..]);
            self.copied = self.written;
        }
        Ok(())
    }

    /// What was written since the last time this was asked, where it is to be sent elsewhere.
    pub(super) fn fresh(&mut self) -> Vec<u8> {
        self.copy.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Makes durable what is pending.
    pub(super) fn sync(&mut self, now: Timestamp) -> io::Result<()> {
        self.write()?;
        let synced = self.sync_file();
        if synced.is_err() {
            // What the disk holds of it is not known: all of it is written anew.
            self.written = 0;
        }
        synced?;
        self.settle();
        let head = self.end();
        let key = self.keys.by_id(self.key).expect("a file is opened under a key at hand");
        self.head.write(self.trail, &head, key, now)
    }

    fn sync_file(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.syncing()?;
        self.file.sync_data()?;
        if self.named {
            disk::sync_directory(&self.bounds.directory)?;
            self.named = false;
        }
        Ok(())
    }

    /// Forgets what is written, where it is not to be made durable at once.
    pub(super) fn settle(&mut self) {
        self.base += self.written as u64;
        self.pending.drain(..self.written);
        self.copied = self.copied.saturating_sub(self.written);
        self.written = 0;
        self.pending.shrink_to(1 << 20);
    }

    /// The last line that was added.
    pub(super) fn end(&self) -> Head {
        Head {
            series: self.series.clone(),
            file: self.number,
            seq: self.seq,
            seal: self.seal.digits(),
        }
    }

    /// Makes all durable and begins the next file, under the current key.
    pub(super) fn roll(&mut self, now: Timestamp) -> io::Result<()> {
        self.roll_to(self.number + 1, now)
    }

    /// The same, with a number that leaves some out.
    pub(super) fn roll_to(&mut self, number: u32, now: Timestamp) -> io::Result<()> {
        self.sync(now)?;
        self.begin(number, now)?;
        self.sync(now)?;
        self.head.sync()
    }

    /// Begins the file `number`; its first line is only in memory.
    pub(super) fn begin(&mut self, number: u32, now: Timestamp) -> io::Result<()> {
        let day = Date::in_china(now).max(self.day);
        let path = Name::new(number, day).path(self.trail, &self.bounds.directory);
        let file = disk::create_private(&path)?;
        self.others += self.base;
        (self.file, self.number, self.day) = (file, number, day);
        (self.base, self.named) = (0, true);
        self.key = self.keys.current().id();
        let first = FirstLine {
            trail: self.trail,
            series: &self.series.clone(),
            number,
            key: self.key,
            previous: self.seal,
        };
        self.add(now, |line| first.write(line));
        Ok(())
    }

    /// Removes the oldest file, if its last record is older than records are kept. Tells which it was.
    ///
    /// One file at a time, since a clock that is wrong must not take all of them. What is removed is told in the trail
    /// first: a file that is missing without that was taken.
    pub(super) fn prune(&mut self, now: Timestamp) -> io::Result<Option<u32>> {
        let Some(retention) = self.bounds.retention else {
            return Ok(None);
        };
        let names = list(self.trail, &self.bounds.directory)?;
        let [oldest, next, ..] = &names[..] else {
            return Ok(None);
        };
        let header = |name: &Name| Header::of(&name.path(self.trail, &self.bounds.directory), self.trail, &self.keys);
        // Only what a good seal says counts; what is damaged is left for whoever looks into it.
        let (Ok(first), Ok(then)) = (header(oldest)?, header(next)?) else {
            return Ok(None);
        };
        // All its lines are older than the first of the next file.
        let kept_since = now
            .as_millis()
            .saturating_sub(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX));
        if moment(&then.time).is_none_or(|time| time.as_millis() >= kept_since) {
            return Ok(None);
        }
        let number = oldest.number;
        self.add(now, |line| {
            line.field("kind", line::PRUNED)
                .field("file", number)
                .field("first", first.seq)
                .field("last", then.seq - 1);
        });
        self.sync(now)?;
        let path = oldest.path(self.trail, &self.bounds.directory);
        let bytes = disk::size_of(&path);
        std::fs::remove_file(&path)?;
        self.others = self.others.saturating_sub(bytes);
        disk::sync_directory(&self.bounds.directory)?;
        Ok(Some(number))
    }

    /// Ends the trail well.
    pub(super) fn close(&mut self, now: Timestamp) -> io::Result<()> {
        self.add(now, |line| {
            line.field("kind", line::STOP);
        });
        self.sync(now)?;
        self.head.sync()
    }
}

/// The first line of a file.
pub(super) struct FirstLine<'s> {
    pub(super) trail: Trail,
    pub(super) series: &'s str,
    pub(super) number: u32,
    pub(super) key: KeyId,
    pub(super) previous: Seal,
}

impl FirstLine<'_> {
    pub(super) fn write(&self, line: &mut Line<'_>) {
        line.field("kind", line::FILE)
            .field("version", 1_u32)
            .field("trail", self.trail.as_str())
            .field("series", Digits(self.series))
            .field("file", self.number)
            .field("key", self.key)
            .field("previous", Digits(&self.previous.digits()));
    }
}

/// Hex digits of our own making.
struct Digits<'d>(&'d str);

impl crate::telemetry::log::Loggable for Digits<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, self.0);
    }
}

/// Opens a file of a trail to be written on.
pub(super) fn writable(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}
