//! Judges the tree of dependencies by `deny.toml`: licences, banned crates, sources.
//!
//! The same list and verdicts as cargo-deny's for the keys we use. Installing that tool takes longer than the rest of
//! the checks together, and its larger half, advisories, needs a database from the network.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::licence;
use crate::outline::{self, Entry};
use crate::repository::{cargo, read};
use crate::steps::{no_complaints, tell};

/// Fails with every complaint at once.
pub(crate) fn check() -> Result<()> {
    let policy = Policy::read(&read("deny.toml")?)?;
    let mut crates = BTreeSet::new();
    for target in &policy.targets {
        let arguments = [
            "tree",
            "--workspace",
            "--locked",
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
        ];
        let tree = cargo(&arguments)
            .args(&["--format", "{p}|{l}", "--target", target])
            .output()?;
        crates.extend(tree.lines().filter_map(Crate::read));
    }
    if crates.is_empty() {
        bail!("cargo tree named no crates");
    }
    let mut complaints: Vec<String> = crates.iter().flat_map(|one| policy.complaints(one)).collect();
    for file in ["Cargo.lock", "fuzz/Cargo.lock"] {
        complaints.extend(
            Policy::foreign_sources(&read(file)?)
                .into_iter()
                .map(|source| format!("{file}: source {source}")),
        );
    }
    no_complaints("deny.toml", &complaints)?;
    tell(&format!(
        "{} crates: licences, bans and sources are as deny.toml wants them",
        crates.len()
    ));
    Ok(())
}

/// What `deny.toml` says.
struct Policy {
    targets: Vec<String>,
    licences: Vec<String>,
    bans: Vec<Ban>,
}

/// A crate that may not be there: in any version, or in those below one.
struct Ban {
    name: String,
    below: Option<String>,
}

/// A crate of the tree.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    licence: String,
}

impl Policy {
    fn read(text: &str) -> Result<Self> {
        let entries = outline::read(text);
        let value = |table: &str, key: &str| -> Result<&str> {
            let is_it = |entry: &&Entry| entry.table == table && entry.key == key;
            let found = entries
                .iter()
                .find(is_it)
                .with_context(|| format!("deny.toml has no {table}.{key}"))?;
            Ok(&found.value)
        };
        let list = |table, key| -> Result<Vec<String>> {
            Ok(outline::strings(value(table, key)?)
                .into_iter()
                .map(str::to_owned)
                .collect())
        };
        Ok(Self {
            targets: list("graph", "targets")?,
            licences: list("licenses", "allow")?,
            bans: value("bans", "deny")?
                .split("crate = ")
                .skip(1)
                .map(Ban::read)
                .collect::<Result<_>>()?,
        })
    }

    fn complaints(&self, one: &Crate) -> Vec<String> {
        let Crate { name, version, licence } = one;
        let mut complaints = Vec::new();
        if self.bans.iter().any(|ban| ban.holds(one)) {
            complaints.push(format!(
                "{name} {version}: banned; `cargo tree -i {name}@{version}` shows who wants it"
            ));
        }
        let allowed: Vec<&str> = self.licences.iter().map(String::as_str).collect();
        match licence::is_allowed(licence, &allowed) {
            Ok(true) => {}
            Ok(false) => complaints.push(format!("{name} {version}: licence {licence}")),
            Err(error) => complaints.push(format!("{name} {version}: licence {licence:?}: {error}")),
        }
        complaints
    }

    /// Sources in a lock file beside the one registry that everything else comes from: repositories, and further
    /// registries.
    fn foreign_sources(lock: &str) -> Vec<&str> {
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for line in lock.lines() {
            if let Some(source) = line.strip_prefix("source = ") {
                *uses.entry(source.trim_matches('"')).or_default() += 1;
            }
        }
        let registries = uses.iter().filter(|(source, _)| source.starts_with("registry+"));
        let common = registries.max_by_key(|(_, uses)| **uses).map(|(source, _)| *source);
        uses.into_keys().filter(|source| Some(*source) != common).collect()
    }
}

impl Ban {
    /// From the text behind `crate = `: `"name"` or `"name:<version"`.
    fn read(text: &str) -> Result<Self> {
        let spec = text.split('"').nth(1).context("deny.toml: a ban names no crate")?;
        match spec.split_once(':') {
            None => Ok(Self {
                name: spec.to_owned(),
                below: None,
            }),
            Some((name, range)) => {
                let below = range.strip_prefix('<').filter(|bound| !bound.starts_with('='));
                let below = below.with_context(|| format!("deny.toml: {spec}: only `<version` is understood here"))?;
                Ok(Self {
                    name: name.to_owned(),
                    below: Some(below.to_owned()),
                })
            }
        }
    }

    fn holds(&self, one: &Crate) -> bool {
        let old_enough = |below: &String| numbers(&one.version) < numbers(below);
        self.name == one.name && self.below.as_ref().is_none_or(old_enough)
    }
}

/// Major, minor and patch; what follows (pre-release, build) does not count.
fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = [0; 3];
    for (number, text) in numbers.iter_mut().zip(core.split('.')) {
        *number = text.parse().unwrap_or(0);
    }
    numbers
}

impl Crate {
    /// From a line `name v1.2.3 (where, or what kind)|licence (*)` of `cargo tree`.
    fn read(line: &str) -> Option<Self> {
        let (package, licence) = line.rsplit_once('|')?;
        let mut words = package.split_whitespace();
        Some(Self {
            name: words.next()?.to_owned(),
            version: words.next()?.strip_prefix('v')?.to_owned(),
            licence: licence.trim_end_matches("(*)").trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
[graph]
targets = ["x86_64-unknown-linux-gnu"]
[licenses]
allow = [
  "MIT", # and no other
]
[bans]
deny = [
  { crate = "ring", reason = "one provider" },
  { crate = "sha2:<0.11", reason = "one generation" },
]
"#;

    fn complaints(line: &str) -> Vec<String> {
        Policy::read(POLICY).unwrap().complaints(&Crate::read(line).unwrap())
    }

    #[test]
    fn banned_crates_and_versions_are_refused() {
        assert_eq!(complaints("ring v0.17.14|MIT").len(), 1);
        assert_eq!(complaints("sha2 v0.10.9|MIT OR Apache-2.0 (*)").len(), 1);
        assert_eq!(complaints("sha2 v0.11.0-rc.1|MIT"), [""; 0]);
        assert_eq!(complaints("sha2 v0.11.1|MIT"), [""; 0]);
        assert_eq!(complaints("ring-compat v0.8.0 (proc-macro)|MIT"), [""; 0]);
    }

    #[test]
    fn a_licence_must_be_listed() {
        assert_eq!(complaints("a v1.0.0|GPL-3.0-only"), ["a 1.0.0: licence GPL-3.0-only"]);
        assert_eq!(complaints("a v1.0.0|").len(), 1);
    }

    #[test]
    fn everything_comes_from_one_registry() {
        let line = |source: &str| format!("source = \"{source}\"\n");
        let usual = line("registry+https://example.com/usual").repeat(3);
        assert_eq!(Policy::foreign_sources(&usual), [""; 0]);
        let lock = usual + &line("git+https://example.com/a#0123") + &line("registry+https://example.com/other");
        assert_eq!(
            Policy::foreign_sources(&lock),
            ["git+https://example.com/a#0123", "registry+https://example.com/other"]
        );
    }

    #[test]
    fn the_real_policy_is_understood() {
        let policy = Policy::read(&read("deny.toml").unwrap()).unwrap();
        for name in ["openssl", "native-tls", "reqwest", "ring", "sha2"] {
            assert!(policy.bans.iter().any(|ban| ban.name == name), "{name}");
        }
        assert!(policy.licences.iter().any(|name| name == "Apache-2.0"));
    }
}
