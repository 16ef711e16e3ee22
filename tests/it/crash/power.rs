//! The disk as a loss of power leaves it.
//!
//! `power.c` keeps what was synced. What was written since may be on the disk, or not, block by block, in any choice: that
//! is more than most disks and file systems do, and all that a sync promises. The same for names that a directory got or
//! lost since it was synced. A block is as it was synced or as it was last written; what it was in between is not tried.
//! `-shm` is no file of the disk but memory that processes share.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::bed::Bed;
use super::chance::Chance;

/// Names a file's content in what was synced.
type Inode = u64;

/// What syncs have made certain, and what losses made of the rest.
pub struct Power {
    disk: PathBuf,
    synced: PathBuf,
    /// Blocks that were written and not synced when power was lost, and how many of these were dropped.
    pub unsynced: u64,
    pub dropped: u64,
    /// Names that were there and not synced, or the other way round.
    pub names: u64,
}

impl Power {
    /// Watches the syncs of the bed's processes from now on.
    pub fn watch(bed: &mut Bed) -> Self {
        let synced = bed.directory.path().join("synced");
        fs::create_dir(&synced).unwrap();
        bed.preload("tests/it/crash/power.c");
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        bed.variables.push(("SHIM_DISK", text(&bed.disk())));
        bed.variables.push(("SHIM_SYNCED", text(&synced)));
        Self {
            disk: bed.disk(),
            synced,
            unsynced: 0,
            dropped: 0,
            names: 0,
        }
    }

    /// Returns when so many files have been synced, or their directory.
    pub fn after(&self, files: usize) {
        while fs::read_dir(&self.synced).unwrap().count() < files {
            std::thread::yield_now();
        }
    }

    /// The disk is a new one, with nothing on it.
    pub fn renew(&self) {
        for directory in [&self.disk, &self.synced] {
            fs::remove_dir_all(directory).unwrap();
            fs::create_dir(directory).unwrap();
        }
    }

    /// Power is lost: the process is dead already.
    pub fn lose(&mut self, chance: &mut Chance) {
        let left = self.left(chance);
        // From here on this is what the disk has for certain.
        for directory in [&self.disk, &self.synced] {
            for entry in fs::read_dir(directory).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
        let mut names = String::new();
        for (name, content) in left {
            let path = self.disk.join(&name);
            fs::write(&path, &content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let inode = fs::metadata(&path).unwrap().ino();
            fs::write(self.synced.join(inode.to_string()), &content).unwrap();
            names += &format!("{inode} {name}\n");
        }
        fs::write(self.synced.join("names"), names).unwrap();
    }

    /// What is left, by name.
    fn left(&mut self, chance: &mut Chance) -> BTreeMap<String, Vec<u8>> {
        let before = self.synced_names();
        let now: BTreeMap<String, Inode> = fs::read_dir(&self.disk)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.ino()))
            .collect();
        // All names of an inode have one content.
        let mut contents: HashMap<Inode, Vec<u8>> = HashMap::new();
        let mut left = BTreeMap::new();
        let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
        names.sort();
        names.dedup();
        for name in names.into_iter().filter(|name| !name.ends_with("-shm")) {
            let (old, new) = (before.get(name), now.get(name));
            let inode = if old == new {
                new
            } else {
                self.names += 1;
                *chance.one_of(&[old, new])
            };
            let Some(inode) = inode else { continue };
            let content = contents.entry(*inode).or_insert_with(|| {
                let synced = fs::read(self.synced.join(inode.to_string())).unwrap_or_default();
                match now.iter().find(|(_, other)| *other == inode) {
                    Some((name, _)) => {
                        let written = fs::read(self.disk.join(name)).unwrap();
                        let (content, unsynced, dropped) = torn(&synced, &written, chance);
                        self.unsynced += unsynced;
                        self.dropped += dropped;
                        content
                    }
                    None => synced,
                }
            });
            left.insert(name.clone(), content.clone());
        }
        left
    }

    fn synced_names(&self) -> BTreeMap<String, Inode> {
        let text = fs::read_to_string(self.synced.join("names")).unwrap_or_default();
        let name = |line: &str| {
            let (inode, name) = line.split_once(' ').unwrap();
            (name.to_owned(), inode.parse().unwrap())
        };
        text.lines().map(name).collect()
    }
}

/// Each block as it was synced or as it was written, and one of both lengths; how many differed, and how many of these
/// were dropped.
fn torn(synced: &[u8], written: &[u8], chance: &mut Chance) -> (Vec<u8>, u64, u64) {
    let block = *chance.one_of(&[512, 4096]);
    // All, none, or any of them.
    let kept_in_ten = *chance.one_of(&[0, 1, 5, 9, 10]);
    let length = *chance.one_of(&[synced.len(), written.len()]);
    let (mut unsynced, mut dropped) = (0, 0);
    let mut content = synced.to_vec();
    content.resize(length.max(synced.len()).max(written.len()), 0);
    for (at, new) in written.chunks(block).enumerate() {
        let old = &mut content[at * block..at * block + new.len()];
        if old == new {
            continue;
        }
        unsynced += 1;
        if chance.below(10) < kept_in_ten {
            old.copy_from_slice(new);
        } else {
            dropped += 1;
        }
    }
    content.truncate(length);
    (content, unsynced, dropped)
}
