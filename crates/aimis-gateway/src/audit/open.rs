//! Taking up a trail where its last writer left it, however that ended.
//!
//! | what is found | what becomes of it |
//! |---|---|
//! | nothing | a new trail |
//! | a whole last line with a good seal | the trail goes on behind it |
//! | half a line behind it: the process was killed while it wrote | it is cut off, and the `start` line tells how long it was |
//! | fewer lines than the head says: lines were cut off | it goes on under the next number, with a line that tells |
//! | a last line with a wrong seal, or no head | it goes on in a new file, with a line that tells |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aimis_core::datetime::Date;
use aimis_core::sign::Timestamp;

use super::chain::{self, Seal};
use super::files::{Header, MAX_LINE, Name, NoHeader, Trail, list};
use super::head::{self, HeadFile, NoHead};
use super::journal::{Bounds, Journal, writable};
use super::keys::{Key, KeyId, Keys};
use super::line::{self, Stated};
use crate::disk;
use crate::regular_file;

/// Why a trail cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process writes it.
    #[error("audit.path: {} is written by another process; each gateway needs a directory of its own", .0.display())]
    Locked(PathBuf),
    /// The key that a file was written under is not at hand.
    #[error(
        "audit.path: {}: {reason}; name its file in audit.previous_key_files. If it is lost for good, move this file to where it is kept: what is in it can be read, and not be verified any more",
        path.display()
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Which key.
        reason: String,
    },
    /// A file cannot be read or made.
    #[error("audit.path: {}: {}", .0.display(), .1.kind())]
    File(PathBuf, io::Error),
    /// The keys are not there.
    #[error("audit: {0}")]
    Key(#[from] super::keys::KeyError),
}

/// Something was not as the trail had left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Lines that were durable are not there.
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The end of the last file has been changed.
    Damaged,
    /// The file that says where the trail ends is gone.
    NoHead,
    /// It has been changed.
    BadHead,
}

impl Anomaly {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Damaged => "damaged",
            Self::NoHead => "no-head",
            Self::BadHead => "bad-head",
        }
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Bytes of half a line that were cut off.
    pub torn: u64,
    /// What was not as it had been left.
    pub anomalies: Vec<Anomaly>,
}

/// The end of the last file.
struct End {
    number: u32,
    path: PathBuf,
    key: KeyId,
    series: Option<String>,
    day: Date,
    seq: u64,
    seal: Seal,
    /// Where its last whole line ends.
    at: u64,
    torn: u64,
    good: bool,
}

/// Takes up `trail`, and adds its `start` line.
pub(super) fn open(
    bounds: Bounds,
    trail: Trail,
    keys: Arc<Keys>,
    now: Timestamp,
    lock: File,
) -> Result<(Journal, Found), OpenError> {
    let directory = bounds.directory.clone();
    let failed = |error| OpenError::File(directory.clone(), error);
    let mut found = Found::default();
    let head = head::read(trail, &directory, &keys).map_err(failed)?;
    let mut names = list(trail, &directory).map_err(failed)?;
    let end = loop {
        let Some(last) = names.last() else { break None };
        let path = last.path(trail, &directory);
        match end_of(last, &path, trail, &keys)? {
            Some(end) => break Some(end),
            None => {
                // Not even its first line was written: it never held a record.
                found.torn += disk::size_of(&path);
                std::fs::remove_file(&path).map_err(failed)?;
                names.pop();
            }
        }
    };
    let (seq, file) = end.as_ref().map_or((0, 0), |end| (end.seq, end.number));
    match &head {
        Ok(head) if head.seq > seq => found.anomalies.push(Anomaly::Missing {
            first: seq + 1,
            last: head.seq,
        }),
        Err(NoHead::Missing) if end.is_some() => found.anomalies.push(Anomaly::NoHead),
        Err(NoHead::Damaged) => found.anomalies.push(Anomaly::BadHead),
        _ => {}
    }
    if end.as_ref().is_some_and(|end| !end.good) {
        found.anomalies.push(Anomaly::Damaged);
    }
    let head = head.ok();
    let missing = head.as_ref().is_some_and(|head| head.seq > seq);
    let series = end
        .as_ref()
        .and_then(|end| end.series.clone())
        .or_else(|| head.as_ref().map(|head| head.series.clone()));
    let series = match series {
        Some(series) => series,
        None => new_series().map_err(failed)?,
    };
    let others = |names: &[Name]| {
        names
            .iter()
            .map(|name| disk::size_of(&name.path(trail, &directory)))
            .sum()
    };
    let head_file = HeadFile::open(&trail.head(&directory)).map_err(failed)?;
    // Beyond every number that was ever used, as far as is known.
    let next = file.max(head.as_ref().map_or(0, |head| head.file)) + 1;
    let (start_seq, seal) = match (&head, &end) {
        (Some(head), Some(end)) if missing => (head.seq, end.seal),
        (Some(head), None) => (head.seq, Seal::parse(head.seal.as_bytes()).unwrap_or(Seal::NONE)),
        (_, Some(end)) => (end.seq, end.seal),
        (None, None) => (0, Seal::NONE),
    };
    let go_on = end.filter(|end| end.good);
    let new_file = |journal: &mut Journal| journal.begin(next, now).map_err(failed);
    let mut journal = Journal {
        others: others(if go_on.is_some() {
            &names[..names.len() - 1]
        } else {
            &names
        }),
        trail,
        series,
        file: File::open(&directory).map_err(failed)?,
        number: next - 1,
        key: keys.current().id(),
        keys,
        day: Date::new(1, 1, 1).expect("a day of the calendar"),
        seq: start_seq,
        seal,
        pending: Vec::new(),
        written: 0,
        copied: 0,
        copy: bounds.export.then(Vec::new),
        base: 0,
        head: head_file,
        named: true,
        _lock: lock,
        #[cfg(test)]
        faults: Arc::default(),
        bounds,
    };
    match go_on {
        None => new_file(&mut journal)?,
        Some(end) => {
            found.torn += end.torn;
            journal.file = writable(&end.path).map_err(failed)?;
            // What is behind the last line is half a line, whose answer nobody got under `fsync = "each"`.
            journal.file.set_len(end.at).map_err(failed)?;
            (journal.number, journal.key, journal.day, journal.base) = (end.number, end.key, end.day, end.at);
        }
    }
    for anomaly in &found.anomalies {
        journal.add(now, |line| {
            line.field("kind", line::ANOMALY).field("what", anomaly.as_str());
            if let Anomaly::Missing { first, last } = *anomaly {
                line.field("first", first).field("last", last);
            }
        });
    }
    let torn = found.torn;
    journal.add(now, |line| {
        line.field("kind", line::START)
            .maybe("bytes", (torn > 0).then_some(torn));
    });
    // On a full disk it waits, as every line does; what reads is not kept from starting.
    let _ = journal.sync(now);
    if journal.is_under_old_key() {
        journal.roll_to(next, now).map_err(failed)?;
    } else if journal.number + 1 < next {
        let _ = journal.roll_to(next, now);
    }
    Ok((journal, found))
}

/// Finds the end of a file; `None` if it has not one whole line.
fn end_of(name: &Name, path: &Path, trail: Trail, keys: &Keys) -> Result<Option<End>, OpenError> {
    let failed = |error| OpenError::File(path.to_owned(), error);
    let header = Header::of(path, trail, keys).map_err(failed)?;
    if let Err(unknown @ NoHeader::UnknownKey(_)) = &header {
        return Err(OpenError::UnknownKey {
            path: path.to_owned(),
            reason: unknown.to_string(),
        });
    }
    let file = regular_file::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    // Room for several of the longest lines, and so for the last whole one and the one before.
    let from = length.saturating_sub(8 * MAX_LINE as u64);
    let mut text = vec![0; (length - from) as usize];
    file.read_exact_at(&mut text, from).map_err(failed)?;
    let Some(last) = text.iter().rposition(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let torn = (text.len() - last - 1) as u64;
    let mut lines = text[..last].rsplit(|byte| *byte == b'\n');
    let (line, before) = (lines.next().unwrap_or_default(), lines.next());
    let header = header.ok();
    let key = header.as_ref().and_then(|header| keys.by_id(header.key));
    let stated = Stated::read(line);
    let split = chain::split(line);
    let previous = match before {
        Some(before) => chain::split(before).map(|(_, seal)| seal),
        None => header
            .as_ref()
            .and_then(|header| Seal::parse(header.previous.0.as_bytes())),
    };
    let good = match (key, split, previous, &stated) {
        (Some(key), Some((body, seal)), Some(previous), Some(_)) => Seal::of(key, &previous, body) == seal,
        _ => false,
    };
    let time = header.as_ref().and_then(|header| super::files::moment(&header.time));
    Ok(Some(End {
        number: name.number,
        path: path.to_owned(),
        key: key.map_or_else(|| keys.current().id(), Key::id),
        series: header.map(|header| header.series),
        day: Date::in_china(time.unwrap_or(Timestamp::from_millis(0))),
        seq: stated.map_or(0, |stated| stated.seq),
        seal: split.map_or(Seal::NONE, |(_, seal)| seal),
        at: from + last as u64 + 1,
        torn,
        good,
    }))
}

fn new_series() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex::encode(bytes))
}

/// Locks a trail for its one writer; waits for another to end if `wait` says so.
pub(super) fn lock(trail: Trail, directory: &Path, wait: bool) -> Result<File, OpenError> {
    let failed = |error| OpenError::File(directory.to_owned(), error);
    disk::create_directory(directory).map_err(failed)?;
    let path = trail.lock(directory);
    disk::make_private(&path).map_err(failed)?;
    let file = writable(&path).map_err(failed)?;
    if wait {
        file.lock().map_err(failed)?;
    } else {
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => OpenError::Locked(directory.to_owned()),
            std::fs::TryLockError::Error(error) => OpenError::File(path, error),
        })?;
    }
    Ok(file)
}
