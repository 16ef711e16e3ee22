//! The manifests: what each crate depends on, and the habits they all keep.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use anyhow::{Context, Result};

use crate::outline::{self, Entry};
use crate::repository::{read, root};
use crate::steps::{no_complaints, tell};

/// What every crate takes from the workspace.
const INHERITED: &[(&str, &str)] = &[
    ("package", "version"),
    ("package", "edition"),
    ("package", "rust-version"),
    ("package", "license"),
    ("package", "publish"),
];

/// The manifest of one crate.
#[derive(Clone)]
pub(crate) struct Manifest {
    /// Its folder, from the root of the repository; empty for the root itself.
    folder: String,
    entries: Vec<Entry>,
}

/// A dependency as a manifest states it.
pub(crate) struct Dependency<'a> {
    /// The crate's name.
    pub(crate) name: &'a str,
    /// Whether only tests, examples and benches get it.
    pub(crate) for_tests: bool,
    inherits: bool,
}

/// The manifests of the workspace, the root's first.
pub(crate) fn workspace() -> Result<Vec<Manifest>> {
    let root = Manifest::read("")?;
    let is_members = |entry: &&Entry| entry.table == "workspace" && entry.key == "members";
    let members = root
        .entries
        .iter()
        .find(is_members)
        .context("Cargo.toml has no workspace.members")?;
    let members: Result<Vec<Manifest>> = outline::strings(&members.value)
        .into_iter()
        .map(Manifest::read)
        .collect();
    Ok([vec![root], members?].concat())
}

/// Fails with every complaint at once.
pub(crate) fn check() -> Result<()> {
    let manifests = workspace()?;
    let mut complaints: Vec<String> = manifests.iter().flat_map(Manifest::broken_habits).collect();
    for manifest in &manifests {
        complaints.extend(manifest.unused()?);
    }
    complaints.extend(unused_in_workspace(&manifests));
    no_complaints("manifests", &complaints)?;
    tell(&format!(
        "{} manifests inherit lints and versions, and use what they name",
        manifests.len()
    ));
    Ok(())
}

/// Whether any crate has benches.
pub(crate) fn has_benches() -> Result<bool> {
    Ok(workspace()?
        .iter()
        .any(|manifest| manifest.entries.iter().any(|entry| entry.table == "bench")))
}

impl Manifest {
    /// Reads the manifest in a folder of the repository.
    pub(crate) fn read(folder: &str) -> Result<Self> {
        let path = Path::new(folder).join("Cargo.toml");
        Ok(Self::of(folder, &read(&path.to_string_lossy())?))
    }

    fn of(folder: &str, text: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            entries: outline::read(text),
        }
    }

    /// Dependencies of all kinds, those of the workspace's own table left out.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = Dependency<'_>> {
        self.entries.iter().filter_map(|entry| {
            // `[dependencies]`, `[target.'cfg(unix)'.dependencies]`, `[dev-dependencies]`, but no `[dependencies.x]`.
            let kind = entry.table.rsplit('.').next()?;
            if entry.table.starts_with("workspace") || !kind.ends_with("dependencies") {
                return None;
            }
            Some(Dependency {
                name: entry.key.split('.').next()?,
                for_tests: kind == "dev-dependencies",
                inherits: entry.key.ends_with(".workspace") || entry.value.contains("workspace = true"),
            })
        })
    }

    fn path(&self) -> String {
        Path::new(&self.folder)
            .join("Cargo.toml")
            .to_string_lossy()
            .into_owned()
    }

    fn has(&self, table: &str, key: &str, value: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.table == table && entry.key == key && entry.value == value)
    }

    fn broken_habits(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if !self.has("lints", "workspace", "true") {
            complaints.push(format!("{}: [lints] workspace = true is missing", self.path()));
        }
        for (table, key) in INHERITED {
            if !self.has(table, &format!("{key}.workspace"), "true") {
                complaints.push(format!(
                    "{}: {key}.workspace = true is missing in [{table}]",
                    self.path()
                ));
            }
        }
        for dependency in self.dependencies().filter(|dependency| !dependency.inherits) {
            let name = dependency.name;
            complaints.push(format!(
                "{}: {name}: the version belongs into [workspace.dependencies]",
                self.path()
            ));
        }
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.table.contains("dependencies."))
        {
            complaints.push(format!(
                "{}: [{}]: write it as one line of its table",
                self.path(),
                entry.table
            ));
        }
        complaints
    }

    /// Dependencies that no source file of the crate names.
    fn unused(&self) -> Result<Vec<String>> {
        let mut source = String::new();
        for folder in ["src", "tests", "benches", "examples", "build.rs"] {
            collect(&root().join(&self.folder).join(folder), &mut source)
                .with_context(|| format!("cannot read the sources of {}", self.path()))?;
        }
        let unused = |dependency: &Dependency<'_>| !names_crate(&source, &dependency.name.replace('-', "_"));
        let complaint = |dependency: Dependency<'_>| format!("{}: {} is not used", self.path(), dependency.name);
        Ok(self.dependencies().filter(unused).map(complaint).collect())
    }
}

/// Entries of `[workspace.dependencies]` that no crate takes.
fn unused_in_workspace(manifests: &[Manifest]) -> Vec<String> {
    let used: BTreeSet<&str> = manifests
        .iter()
        .flat_map(Manifest::dependencies)
        .map(|one| one.name)
        .collect();
    let offered = manifests.iter().flat_map(|manifest| &manifest.entries);
    offered
        .filter(|entry| entry.table == "workspace.dependencies" && !used.contains(entry.key.as_str()))
        .map(|entry| format!("Cargo.toml: no crate uses {} of [workspace.dependencies]", entry.key))
        .collect()
}

/// Whether a path in the source begins with the crate: `hex::…`, `::hex::…`, `use hex;`, but no `crate::hex::…`.
fn names_crate(source: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(name).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + name.len()..]);
        let head = before.strip_suffix("::").unwrap_or(before);
        let begins = !head.ends_with(is_word) && !before.ends_with(is_word);
        let imported = head.ends_with("use ") && [";", " as "].iter().any(|end| after.starts_with(end));
        begins && (after.starts_with("::") || imported)
    })
}

/// Appends the Rust files under a path; what is not there has none.
fn collect(path: &Path, source: &mut String) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), source)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") && path.is_file() {
        source.push_str(&fs::read_to_string(path)?);
        source.push('\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
name = \"a\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true
[lints]
workspace = true
[dependencies]
tokio.workspace = true
[dev-dependencies]
hyper = { workspace = true, features = [\"server\"] }
";

    #[test]
    fn a_manifest_with_all_habits_passes() {
        assert_eq!(Manifest::of("crates/a", GOOD).broken_habits(), [""; 0]);
    }

    #[test]
    fn broken_habits_are_named() {
        let text = GOOD
            .replace("[lints]\nworkspace = true\n", "")
            .replace("tokio.workspace = true", "tokio = \"1\"");
        let complaints = Manifest::of("crates/a", &text).broken_habits();
        assert_eq!(complaints.len(), 2);
        assert!(
            complaints[0].starts_with("crates/a/Cargo.toml: [lints]"),
            "{complaints:?}"
        );
        assert!(complaints[1].contains("tokio"), "{complaints:?}");
    }

    #[test]
    fn dependencies_and_their_kinds_are_seen() {
        let manifest = Manifest::of("", GOOD);
        let found: Vec<(&str, bool)> = manifest.dependencies().map(|one| (one.name, one.for_tests)).collect();
        assert_eq!(found, [("tokio", false), ("hyper", true)]);
    }

    #[test]
    fn a_crate_is_named_by_a_path_that_begins_with_it() {
        for source in [
            "use hex;",
            "use hex as h;",
            "hex::encode(x)",
            "use ::hex::encode;",
            "#[derive(hex::Hex)]",
        ] {
            assert!(names_crate(source, "hex"), "{source}");
        }
        for source in [
            "crate::hex::encode(x)",
            "use super::hex;",
            "x.hex()",
            "hexagon::new()",
            "to_hex::<u8>()",
        ] {
            assert!(!names_crate(source, "hex"), "{source}");
        }
    }

    #[test]
    fn what_the_workspace_offers_in_vain_is_named() {
        let root = Manifest::of(
            "",
            "[workspace.dependencies]\ntokio = \"1\"\nhyper = \"1\"\nhex = \"0.4\"\n",
        );
        let complaints = unused_in_workspace(&[root, Manifest::of("crates/a", GOOD)]);
        assert_eq!(
            complaints,
            ["Cargo.toml: no crate uses hex of [workspace.dependencies]"]
        );
    }
}
