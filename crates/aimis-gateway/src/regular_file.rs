//! Opening what a configuration names, without waiting for anybody.
//!
//! A named pipe in the place of a file would hold up the start, and every reload after it, until somebody writes to it;
//! a device may never end. So only a regular file is opened, behind whatever links (a secret of Kubernetes is one). What
//! the caller's own descriptors lead to (`/dev/stdin`, `<(…)` of a shell) is his choice, and has its writer already.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// What is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {0}, and a regular file is needed")]
pub struct NoFile(&'static str);

impl NoFile {
    /// What stands behind an error of [`open`], if it is this.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    fn what(kind: FileType) -> Option<Self> {
        let what = if kind.is_file() {
            return None;
        } else if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a named pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        Some(Self(what))
    }
}

/// Opens a file to read it. Never waits, but for what this process was started with.
///
/// # Errors
/// What the system says; [`NoFile`] within for what is no regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if is_own_descriptor(path) {
        return File::open(path);
    }
    let refuse = |no: NoFile| io::Error::new(io::ErrorKind::InvalidInput, no);
    // A socket cannot be opened at all, and a device may do something when it is.
    if let Some(no) = NoFile::what(std::fs::metadata(path)?.file_type()) {
        return Err(refuse(no));
    }
    let file = OpenOptions::new()
        .read(true)
        // Means nothing for a file; a pipe that came in between is not waited for.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    match NoFile::what(file.metadata()?.file_type()) {
        Some(no) => Err(refuse(no)),
        None => Ok(file),
    }
}

/// Whether the path names a descriptor that this process was started with.
pub(crate) fn is_own_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let directory = std::env::temp_dir().join(format!("aimis-regular-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let at = |name: &str| directory.join(name);
        std::fs::write(at("file"), "content").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink(at("pipe"), at("link-to-pipe")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let opened = |name: &str| {
            let mut text = String::new();
            let read = open(&at(name)).and_then(|mut file| file.read_to_string(&mut text));
            read.map(|_| text).map_err(|error| error.to_string())
        };

        assert_eq!(opened("file").unwrap(), "content");
        assert_eq!(opened("link").unwrap(), "content");
        for (name, what) in [
            ("pipe", "a named pipe"),
            ("link-to-pipe", "a named pipe"),
            ("socket", "a socket"),
            (".", "a directory"),
        ] {
            let refused = opened(name).unwrap_err();
            assert_eq!(refused, format!("is {what}, and a regular file is needed"), "{name}");
        }
        let refused = open(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(NoFile::of(&refused), Some(NoFile("a device")));
        assert!(NoFile::of(&open(&at("none")).unwrap_err()).is_none());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
