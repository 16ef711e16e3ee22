//! The files of a trail: `gateway-00000007-20260131.jsonl`, in a directory that several trails share.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use aimis_core::datetime::Date;
use aimis_core::sign::Timestamp;

use super::chain::{self, Seal};
use super::keys::{KeyId, Keys};
use super::line::{self, Stated};
use crate::regular_file;

/// The longest line; a longer one is none of ours.
pub(super) const MAX_LINE: usize = 8 * 1024;

/// Who writes a trail. Each has a chain and files of its own, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trail {
    /// The running gateway.
    Gateway,
    /// Command lines.
    Acts,
}

impl Trail {
    /// Every trail of a directory.
    pub const ALL: &'static [Trail] = &[Trail::Gateway, Trail::Acts];

    /// Its name, with which its files begin.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Acts => "acts",
        }
    }

    /// The file that says where the trail ends.
    pub(super) fn head(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.head", self.as_str()))
    }

    /// The file that a writer locks.
    pub(super) fn lock(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.lock", self.as_str()))
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u32,
    day: String,
}

impl Name {
    pub(super) fn new(number: u32, day: Date) -> Self {
        Self {
            number,
            day: format!("{:04}{:02}{:02}", day.year(), day.month(), day.day()),
        }
    }

    fn parse(trail: Trail, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(trail.as_str())?.strip_prefix('-')?;
        let (number, day) = rest.strip_suffix(".jsonl")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let good = number.len() == 8 && day.len() == 8 && digits(number) && digits(day);
        Some(Self {
            number: number.parse().ok().filter(|number| good && *number > 0)?,
            day: day.to_owned(),
        })
    }

    pub(super) fn path(&self, trail: Trail, directory: &Path) -> PathBuf {
        directory.join(format!("{}-{:08}-{}.jsonl", trail.as_str(), self.number, self.day))
    }
}

/// The files of a trail, in their order; none where there is no such directory.
pub(super) fn list(trail: Trail, directory: &Path) -> io::Result<Vec<Name>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().to_str().and_then(|name| Name::parse(trail, name)));
    }
    names.sort();
    Ok(names)
}

/// The first line of a file: what it is, and what it is chained to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) series: String,
    pub(super) file: u32,
    pub(super) seq: u64,
    pub(super) key: KeyId,
    pub(super) previous: Previous,
    /// As it is written.
    pub(super) time: String,
}

/// The seal before the file, as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Previous(pub(super) String);

/// Why a first line is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// It is something else, or its seal is wrong.
    Damaged,
    /// It was written under a key that is not at hand.
    UnknownKey(KeyId),
}

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("the first line is not one of ours"),
            Self::UnknownKey(id) => write!(
                f,
                "it was written under key {id}, which is neither audit.key_file nor one of audit.previous_key_files"
            ),
        }
    }
}

impl Header {
    /// Reads and checks a first line, without its end.
    pub(super) fn read(text: &[u8], trail: Trail, keys: &Keys) -> Result<Self, NoHeader> {
        let stated =
            Stated::read(text).filter(|stated| stated.kind == line::FILE && stated.trail == Some(trail.as_str()));
        let stated = stated.ok_or(NoHeader::Damaged)?;
        let id = stated.key.and_then(KeyId::parse).ok_or(NoHeader::Damaged)?;
        let key = keys.by_id(id).ok_or(NoHeader::UnknownKey(id))?;
        let previous = stated.previous.ok_or(NoHeader::Damaged)?;
        let before = Seal::parse(previous.as_bytes()).ok_or(NoHeader::Damaged)?;
        let (body, seal) = chain::split(text).ok_or(NoHeader::Damaged)?;
        if Seal::of(key, &before, body) != seal {
            return Err(NoHeader::Damaged);
        }
        Ok(Self {
            series: stated.series.ok_or(NoHeader::Damaged)?.to_owned(),
            file: stated.file.ok_or(NoHeader::Damaged)?,
            seq: stated.seq,
            key: id,
            previous: Previous(previous.to_owned()),
            time: stated.time.to_owned(),
        })
    }

    /// Reads the first line of a file.
    pub(super) fn of(path: &Path, trail: Trail, keys: &Keys) -> io::Result<Result<Self, NoHeader>> {
        let mut lines = Lines::open(path)?;
        Ok(match lines.next()? {
            Some(Piece::Line(text)) => Self::read(text, trail, keys),
            _ => Err(NoHeader::Damaged),
        })
    }
}

/// Reads a file line by line, whatever is in it.
pub(super) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Bytes read so far.
    pub(super) read: u64,
}

/// A part of a file.
pub(super) enum Piece<'p> {
    /// A line, without its end.
    Line(&'p [u8]),
    /// What is behind the last line's end: this many bytes.
    Torn(u64),
    /// A line longer than any of ours.
    TooLong,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(256 * 1024, regular_file::open(path)?),
            line: Vec::with_capacity(1024),
            read: 0,
        })
    }

    /// The next part; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.line.clear();
        let mut too_long = false;
        loop {
            let room = self.reader.fill_buf()?;
            if room.is_empty() {
                return Ok(match self.line.len() {
                    0 if !too_long => None,
                    _ if too_long => Some(Piece::TooLong),
                    bytes => Some(Piece::Torn(bytes as u64)),
                });
            }
            let end = memchr::memchr(b'\n', room);
            let taken = end.map_or(room.len(), |end| end + 1);
            if self.line.len() + taken > MAX_LINE {
                too_long = true;
            } else {
                self.line.extend_from_slice(&room[..taken]);
            }
            self.read += taken as u64;
            self.reader.consume(taken);
            if end.is_some() {
                self.line.pop();
                return Ok(Some(if too_long {
                    Piece::TooLong
                } else {
                    Piece::Line(&self.line)
                }));
            }
        }
    }
}

/// A moment as records have it, in milliseconds since 1970; `None` if it is not written as we write it.
pub fn moment(time: &str) -> Option<Timestamp> {
    let at = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let form = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        23 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if time.len() != 24 || !time.bytes().enumerate().all(form) {
        return None;
    }
    let day = Date::new(at(0..4)? as u16, at(5..7)? as u8, at(8..10)? as u8)?;
    let days = u64::try_from(Date::new(1970, 1, 1)?.days_until(day)).ok()?;
    let seconds = days * 86_400 + at(11..13)? * 3_600 + at(14..16)? * 60 + at(17..19)?;
    Some(Timestamp::from_millis(seconds * 1_000 + at(20..23)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names_and_others_are_not() {
        let name = Name::new(7, Date::new(2026, 1, 31).unwrap());
        let path = name.path(Trail::Gateway, Path::new("d"));
        assert_eq!(path, Path::new("d/gateway-00000007-20260131.jsonl"));
        let parse = |text: &str| Name::parse(Trail::Gateway, text);
        assert_eq!(parse("gateway-00000007-20260131.jsonl"), Some(name));
        for other in [
            "acts-00000007-20260131.jsonl",
            "gateway-00000000-20260131.jsonl",
            "gateway-0000007-20260131.jsonl",
            "gateway-+0000007-20260131.jsonl",
            "gateway-00000007-20260131.jsonl.gz",
            "gateway.head",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        for millis in [0, 1_735_689_600_123, 951_782_399_999] {
            let mut text = Vec::new();
            crate::telemetry::log::write_rfc3339(&mut text, Timestamp::from_millis(millis));
            let text = String::from_utf8(text).unwrap();
            assert_eq!(moment(&text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for wrong in [
            "",
            "2025-01-01",
            "2025-01-01T00:00:00+00:00",
            "2025-02-30T00:00:00.000Z",
        ] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }
}
