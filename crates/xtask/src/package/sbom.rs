//! What the binary is made of, in CycloneDX 1.5 (JSON): every crate with version, licence and digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};

use super::{host, version};
use crate::repository::{cargo, read};

/// A crate in the binary.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    name: String,
    version: String,
    licence: String,
    repository: String,
    /// SHA-256 of its archive; none for our own.
    digest: Option<String>,
}

/// The document.
pub(super) fn document() -> Result<String> {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package",
        "aimis-gateway",
        "--edges",
        "normal,build",
    ])
    .args(&["--prefix", "none", "--format", "{p}\t{l}\t{r}", "--target", &host()?])
    .output()?;
    let components = components(&tree, &digests(&read("Cargo.lock")?))?;
    Ok(json(&version()?, &components))
}

/// Crates by the lines of `cargo tree`: `name v1.2.3 (place)`, licence, repository.
fn components(tree: &str, digests: &BTreeMap<(String, String), String>) -> Result<BTreeSet<Component>> {
    let one = |line: &str| {
        let mut columns = line.split('\t');
        let mut words = columns.next()?.split(' ');
        let (name, version) = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
        let licence = columns.next()?.to_owned();
        // A line that cargo has shown before ends in (*).
        let repository = columns.next()?.trim_end_matches("(*)").trim().to_owned();
        let digest = digests.get(&(name.clone(), version.clone())).cloned();
        Some(Component {
            name,
            version,
            licence,
            repository,
            digest,
        })
    };
    let lines = tree.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| one(line).with_context(|| format!("cargo tree printed {line:?}")))
        .filter(|component| component.as_ref().map_or(true, |one| one.name != "aimis-gateway"))
        .collect()
}

/// Digest by name and version, of a `Cargo.lock`.
fn digests(lock: &str) -> BTreeMap<(String, String), String> {
    let of = |entry: &str| {
        let value = |key: &str| {
            let line = entry
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.map(|rest| rest.trim_end_matches('"').to_owned())
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    };
    lock.split("[[package]]").filter_map(of).collect()
}

fn json(version: &str, components: &BTreeSet<Component>) -> String {
    let list: Vec<String> = components.iter().map(component).collect();
    format!(
        "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \"metadata\": {{\n    \
         \"component\": {{\"type\": \"application\", \"bom-ref\": \"aimis-gateway\", \"name\": \"aimis-gateway\", \
         \"version\": {}}}\n  }},\n  \"components\": [\n{}\n  ]\n}}\n",
        quoted(version),
        list.join(",\n")
    )
}

fn component(one: &Component) -> String {
    let purl = format!("pkg:cargo/{}@{}", one.name, one.version);
    let mut text = format!(
        "    {{\"type\": \"library\", \"bom-ref\": {}, \"name\": {}, \"version\": {}, \"purl\": {}",
        quoted(&purl),
        quoted(&one.name),
        quoted(&one.version),
        quoted(&purl)
    );
    // Writing to a String cannot fail.
    if !one.licence.is_empty() {
        // Older crates write MIT/Apache-2.0 for what is now MIT OR Apache-2.0.
        let expression = one.licence.replace('/', " OR ");
        let _ = write!(text, ", \"licenses\": [{{\"expression\": {}}}]", quoted(&expression));
    }
    if let Some(digest) = &one.digest {
        let _ = write!(
            text,
            ", \"hashes\": [{{\"alg\": \"SHA-256\", \"content\": {}}}]",
            quoted(digest)
        );
    }
    if one.repository.starts_with("https://") {
        let reference = quoted(&one.repository);
        let _ = write!(
            text,
            ", \"externalReferences\": [{{\"type\": \"vcs\", \"url\": {reference}}}]"
        );
    }
    text + "}"
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"aes\"\nversion = \"0.9.4\"\nsource = \"registry\"\nchecksum = \"ab12\"\n\n\
                        [[package]]\nname = \"aimis-core\"\nversion = \"0.1.0\"\n";

    #[test]
    fn a_crate_is_told_once_with_licence_and_digest() {
        let tree = "aimis-gateway v0.1.0 (/src)\tApache-2.0\t\n\
                    aes v0.9.4\tMIT/Apache-2.0\thttps://example.org/aes\n\
                    aimis-core v0.1.0 (/src/core)\tApache-2.0\t\n\
                    aes v0.9.4\tMIT/Apache-2.0\thttps://example.org/aes (*)\n\n";
        let found = components(tree, &digests(LOCK)).unwrap();
        assert_eq!(found.len(), 2);
        let text = json("0.1.0", &found);
        assert!(text.contains(
            "{\"type\": \"library\", \"bom-ref\": \"pkg:cargo/aes@0.9.4\", \"name\": \"aes\", \"version\": \"0.9.4\", \
             \"purl\": \"pkg:cargo/aes@0.9.4\", \"licenses\": [{\"expression\": \"MIT OR Apache-2.0\"}], \"hashes\": \
             [{\"alg\": \"SHA-256\", \"content\": \"ab12\"}], \"externalReferences\": [{\"type\": \"vcs\", \"url\": \
             \"https://example.org/aes\"}]}"
        ), "{text}");
        assert!(!text.contains("/src"), "no path of the building machine: {text}");
        assert!(components("what is this", &BTreeMap::new()).is_err());
    }

    #[test]
    fn text_is_quoted_for_json() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
