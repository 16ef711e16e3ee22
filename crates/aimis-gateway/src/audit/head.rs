//! Where a trail ends: its last durable line, sealed under the key, in a file of its own.
//!
//! Lines that were cut off the end leave a chain that is whole. This file is what still tells: it is written after
//! lines are durable, and lies if it says more than there is. It has one size and is written in place, so that a full
//! disk cannot keep it from being written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use aimis_core::sign::Timestamp;

use super::chain::{self, Seal};
use super::files::Trail;
use super::keys::{Key, KeyId, Keys};
use super::line::Stated;
use crate::disk;
use crate::telemetry::log::{Line, write_rfc3339};

/// Bytes of the file: within one sector, which a disk writes whole or not at all.
const SIZE: usize = 512;

/// The end of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) series: String,
    /// Number of the file.
    pub(super) file: u32,
    /// Number of the line.
    pub(super) seq: u64,
    /// The line's seal, as 64 hex digits.
    pub(super) seal: String,
}

/// Why a head is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    /// There is no file.
    Missing,
    /// It holds something else, or its seal is wrong.
    Damaged,
}

/// Writes heads.
pub(super) struct HeadFile(File);

impl HeadFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        disk::make_private(path)?;
        Ok(Self(OpenOptions::new().write(true).open(path)?))
    }

    /// Writes a head; durable only behind [`Self::sync`].
    pub(super) fn write(&self, trail: Trail, head: &Head, key: &Key, at: Timestamp) -> io::Result<()> {
        let mut text = Vec::with_capacity(SIZE);
        text.extend_from_slice(b"{\"seq\":");
        text.extend_from_slice(head.seq.to_string().as_bytes());
        text.extend_from_slice(b",\"time\":\"");
        write_rfc3339(&mut text, at);
        text.push(b'"');
        let mut line = Line(&mut text);
        line.field("kind", "head").field("trail", trail.as_str());
        for (name, value) in [(",\"series\":\"", &head.series), (",\"previous\":\"", &head.seal)] {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.push(b'"');
        }
        Line(&mut text).field("file", head.file).field("key", key.id());
        let seal = Seal::keyed(&key.head, &Seal::NONE, &text);
        text.extend_from_slice(format!(",\"mac\":\"{}\"}}", seal.digits()).as_bytes());
        text.resize(SIZE - 1, b' ');
        text.push(b'\n');
        self.0.write_all_at(&text, 0)
    }

    /// Makes it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Reads the head of a trail.
pub(super) fn read(trail: Trail, directory: &Path, keys: &Keys) -> io::Result<Result<Head, NoHead>> {
    let text = match std::fs::read(trail.head(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(NoHead::Missing)),
        text => text?,
    };
    Ok(parse(trail, text.trim_ascii_end(), keys).ok_or(NoHead::Damaged))
}

fn parse(trail: Trail, text: &[u8], keys: &Keys) -> Option<Head> {
    let stated = Stated::read(text).filter(|stated| stated.trail == Some(trail.as_str()))?;
    let key = keys.by_id(KeyId::parse(stated.key?)?)?;
    let (body, seal) = chain::split(text)?;
    (Seal::keyed(&key.head, &Seal::NONE, body) == seal).then_some(())?;
    Some(Head {
        series: stated.series?.to_owned(),
        file: stated.file?,
        seq: stated.seq,
        seal: stated.previous?.to_owned(),
    })
}
