//! Files that must last: private, durable with their directory, and on a disk that can be trusted.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Read and written by the gateway's user alone.
const PRIVATE: u32 = 0o600;

/// The directory that a file is, or will be, in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory, with those above it, for the gateway's user alone, and makes them durable.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    create_directory(directory_of(directory))?;
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_directory(directory_of(directory))
}

/// A new file for the gateway's user alone, whatever the umask.
///
/// What root makes in a directory of another user is given to that user, as SQLite does it: root runs a command beside
/// a gateway, and the gateway has to read what that leaves.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    let place = std::fs::metadata(directory_of(path))?;
    if file.metadata()?.uid() == 0 && place.uid() != 0 {
        // A gateway that root started has given up the right to; then it reads the file itself.
        let _ = fchown(&file, Some(place.uid()), Some(place.gid()));
    }
    Ok(file)
}

/// Makes the file if it is not there, durable with its name, and takes from others what rights they have on it.
/// SQLite gives its `-wal` and `-shm` the same mode.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    match create_private(path) {
        Ok(file) => {
            file.sync_all()?;
            sync_directory(directory_of(path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(PRIVATE))
        }
        Err(error) => Err(error),
    }
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Bytes of a file; 0 when there is none.
pub(crate) fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Bytes that this process can still write to the disk of `path`; `u64::MAX` where the system does not tell.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of the disk of `path`; `u64::MAX` where the system does not tell.
pub(crate) fn total_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// The network file system that `path` is on, if it is one that Linux itself mounts.
#[cfg(target_os = "linux")]
pub(crate) fn network_disk(path: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    // linux/magic.h, and the documents of those that are not in it. The type of the number differs by platform.
    let known = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9P"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x0bd0_0bd0, "Lustre"),
        (0x0116_1970, "GFS2"),
        (0x7461_636f, "OCFS2"),
    ];
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is 32 bits of a word whose width and sign differ by platform"
    )]
    let kind = kind as u32;
    known.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(crate) fn network_disk(_path: &Path) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_beside_a_gateway_belongs_to_the_gateways_user() {
        let directory = std::env::temp_dir().join(format!("aimis-disk-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let mut owner = std::fs::metadata(&directory).unwrap().uid();
        if owner == 0 {
            owner = 65_534;
            std::os::unix::fs::chown(&directory, Some(owner), None).unwrap();
        }

        let file = create_private(&directory.join("acts.jsonl")).unwrap();

        let found = file.metadata().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o777), (owner, PRIVATE));
    }
}
