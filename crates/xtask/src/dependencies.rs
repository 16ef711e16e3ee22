//! `docs/dependencies.md` against the manifests: a row for every crate we chose, and no row for one we left.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::manifest::{self, Manifest};
use crate::repository::read;
use crate::steps::{no_complaints, tell};

const DOCUMENT: &str = "docs/dependencies.md";
/// The heading over crates that are in no binary.
const TESTS_ONLY: &str = "Tests only";

/// Fails with every complaint at once.
pub(crate) fn check() -> Result<()> {
    let mut manifests = manifest::workspace()?;
    manifests.push(Manifest::read("fuzz")?);
    let text = read(DOCUMENT)?;
    let complaints = compare(&uses(&manifests), &rows(&text));
    no_complaints(DOCUMENT, &complaints)?;
    tell(&format!("{DOCUMENT} has a row for every dependency"));
    Ok(())
}

/// Where a crate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    TestsOnly,
    Shipped,
}

/// Dependencies from a registry, by the highest use that a manifest makes of them.
fn uses(manifests: &[Manifest]) -> BTreeMap<&str, Use> {
    let mut uses = BTreeMap::new();
    for one in manifests
        .iter()
        .flat_map(Manifest::dependencies)
        .filter(|one| !one.name.starts_with("aimis-"))
    {
        let this = if one.for_tests { Use::TestsOnly } else { Use::Shipped };
        let known = uses.entry(one.name).or_insert(this);
        *known = this.max(*known);
    }
    uses
}

/// The crates in the first column of the document's tables; several may share a row.
fn rows(document: &str) -> Vec<(&str, Use)> {
    let mut rows = Vec::new();
    let mut section = Use::Shipped;
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = if heading.trim() == TESTS_ONLY {
                Use::TestsOnly
            } else {
                Use::Shipped
            };
        } else if let Some(row) = line.strip_prefix('|') {
            let cell = row.split('|').next().unwrap_or_default();
            rows.extend(cell.split('`').skip(1).step_by(2).map(|name| (name, section)));
        }
    }
    rows
}

fn compare(uses: &BTreeMap<&str, Use>, rows: &[(&str, Use)]) -> Vec<String> {
    let named: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    let mut complaints: Vec<String> = uses
        .keys()
        .filter(|name| !named.contains(*name))
        .map(|name| format!("no row for {name}"))
        .collect();
    for (name, section) in rows {
        match uses.get(name) {
            None => complaints.push(format!("a row for {name}, which no manifest names")),
            Some(Use::Shipped) if *section == Use::TestsOnly => {
                complaints.push(format!(
                    "{name} stands under \"{TESTS_ONLY}\" but is a dependency of a binary"
                ));
            }
            Some(Use::TestsOnly) if *section == Use::Shipped => {
                complaints.push(format!("{name} belongs under \"{TESTS_ONLY}\""));
            }
            Some(_) => {}
        }
    }
    if rows.len() != named.len() {
        complaints.push("a crate has two rows".to_owned());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Dependencies
Text with `code` and | a bar.

## Cryptography
| crate | for |
|---|---|
| `aes`, `cipher` | `fields` |

## Tests only
| crate | for |
|---|---|
| `proptest` | properties |
";

    #[test]
    fn first_cells_name_the_crates() {
        let expected = [
            ("aes", Use::Shipped),
            ("cipher", Use::Shipped),
            ("proptest", Use::TestsOnly),
        ];
        assert_eq!(rows(DOCUMENT), expected);
    }

    #[test]
    fn missing_stale_and_misplaced_rows_are_named() {
        let uses = BTreeMap::from([("aes", Use::Shipped), ("hex", Use::Shipped), ("proptest", Use::Shipped)]);
        let complaints = compare(&uses, &rows(DOCUMENT));
        let expected = [
            "no row for hex",
            "a row for cipher, which no manifest names",
            "proptest stands under \"Tests only\" but is a dependency of a binary",
        ];
        assert_eq!(complaints, expected);
    }
}
