//! A tree of files that is being put together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::repository::{program, root};

/// Below a directory of its own.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that everybody may read.
    pub(super) fn write(&self, place: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.place(place)?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        mode(&path, 0o644)
    }

    /// Copies a file of the repository.
    pub(super) fn copy(&self, from: &str, place: &str) -> Result<()> {
        let content = fs::read(root().join(from)).with_context(|| format!("cannot read {from}"))?;
        self.write(place, content)
    }

    /// Copies a program.
    pub(super) fn program(&self, from: &Path, place: &str) -> Result<()> {
        let path = self.place(place)?;
        fs::copy(from, &path).with_context(|| format!("cannot copy {}", from.display()))?;
        mode(&path, 0o755)
    }

    /// Writes a file compressed.
    pub(super) fn gzip(&self, place: &str, content: impl AsRef<[u8]>) -> Result<()> {
        self.write(place, content)?;
        let path = self.place(place)?;
        program("gzip")
            .args(&["-9", "--no-name", "--force", &path.display().to_string()])
            .run()
    }

    /// Every file, relative to the tree, sorted.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut left = vec![self.0.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    files.push(path.strip_prefix(&self.0)?.display().to_string());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The digest lines of `program` (`md5sum`, `sha256sum`) for these files.
    pub(super) fn sums(&self, sum: &str, files: &[String]) -> Result<String> {
        let here = self.0.display().to_string();
        let script = format!("cd \"$1\" && shift && {sum} -- \"$@\"");
        program("sh")
            .args(&["-c", script.as_str(), "sh", here.as_str()])
            .args(files)
            .output()
    }

    fn place(&self, place: &str) -> Result<PathBuf> {
        let path = self.0.join(place);
        let parent = path.parent().unwrap_or(&self.0);
        // A umask of the builder must not decide who can read what is installed.
        for directory in parent
            .ancestors()
            .take_while(|directory| directory.starts_with(&self.0))
        {
            if !directory.exists() {
                fs::create_dir_all(directory)?;
            }
        }
        for directory in parent
            .ancestors()
            .take_while(|directory| directory.starts_with(&self.0))
        {
            mode(directory, 0o755)?;
        }
        Ok(path)
    }
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot change {}", path.display()))
}
