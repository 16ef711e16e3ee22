//! What is read on the machine, by hand, with links that lead somewhere there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::tree::Tree;
use crate::repository::{read, root};

/// Where they are installed.
pub(super) const PLACE: &str = "usr/share/doc/aimis-gateway";
/// What programs read.
pub(super) const SHARED: &str = "usr/share/aimis-gateway";

/// What Prometheus and Grafana are given, below `deploy/`.
const EXAMPLES: &[&str] = &[
    "prometheus/rules.yaml",
    "prometheus/scrape.yaml",
    "prometheus/alertmanager.yaml",
    "grafana/overview.json",
    "grafana/callbacks.json",
];
/// Of `config/`, beside the profile that becomes the configuration.
const TABLES: &[&str] = &[
    "gateway.full.toml",
    "gateway.schema.json",
    "codes.toml",
    "metrics.json",
    "log-fields.json",
    "openapi.json",
];

/// Installs them.
pub(super) fn install(tree: &Tree) -> Result<()> {
    for table in TABLES {
        tree.copy(&format!("config/{table}"), &format!("{SHARED}/{table}"))?;
    }
    for example in EXAMPLES {
        tree.copy(&format!("deploy/{example}"), &format!("{PLACE}/examples/{example}"))?;
    }
    for (from, to) in [
        ("docs", PLACE.to_owned()),
        ("deploy/runbooks", format!("{PLACE}/runbooks")),
    ] {
        for entry in fs::read_dir(root().join(from))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // The book's table of contents.
            if name != "SUMMARY.md" {
                let text = with_links(&read(&format!("{from}/{name}"))?, from);
                tree.write(&format!("{to}/{name}"), text)?;
            }
        }
    }
    Ok(())
}

/// Where a file of the repository is installed; `None` if it is not.
fn installed(file: &str) -> Option<String> {
    let (above, name) = file.split_once('/')?;
    match above {
        "docs" if name != "SUMMARY.md" => Some(format!("/{PLACE}/{name}")),
        "config" if TABLES.contains(&name) => Some(format!("/{SHARED}/{name}")),
        "deploy" if name.starts_with("runbooks/") => Some(format!("/{PLACE}/{name}")),
        "deploy" if EXAMPLES.contains(&name) => Some(format!("/{PLACE}/examples/{name}")),
        _ => None,
    }
}

/// A text of the directory `from`, whose links to files lead to where these are installed. Of those that are not, the
/// words stay.
fn with_links(text: &str, from: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((link, behind)) = next_link(rest) {
        let Link { before, words, target } = link;
        out.push_str(before);
        let (file, anchor) = match target.find('#') {
            Some(at) => target.split_at(at),
            None => (target, ""),
        };
        let elsewhere = target.contains("://") || target.starts_with("mailto:") || file.is_empty();
        match installed(&below(from, file)) {
            _ if elsewhere => out.push_str(&format!("[{words}]({target})")),
            Some(place) => out.push_str(&format!("[{words}]({place}{anchor})")),
            None => out.push_str(words),
        }
        rest = behind;
    }
    out + rest
}

struct Link<'t> {
    before: &'t str,
    words: &'t str,
    target: &'t str,
}

/// The next `[words](target)`, and what is behind it.
fn next_link(text: &str) -> Option<(Link<'_>, &str)> {
    let middle = text.find("](")?;
    let end = middle + text[middle..].find(')')?;
    let start = text[..middle].rfind('[')?;
    let link = Link {
        before: &text[..start],
        words: &text[start + 1..middle],
        target: &text[middle + 2..end],
    };
    Some((link, &text[end + 1..]))
}

/// A path that is relative to a directory of the repository, from its root.
fn below(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Sees to it that every link of an installed document leads to a file below `root`.
///
/// # Errors
/// For the first that does not.
pub(super) fn check_links(root: &Path) -> Result<usize> {
    let place = root.join(PLACE);
    let mut links = 0;
    for directory in [place.join("runbooks"), place] {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "md") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let mut rest = text.as_str();
            while let Some((link, behind)) = next_link(rest) {
                rest = behind;
                if let Some(file) = link.target.strip_prefix('/') {
                    let file = root.join(file.split('#').next().unwrap_or(file));
                    let told = || format!("{} leads to {}, which is not there", path.display(), file.display());
                    fs::metadata(&file).with_context(told)?;
                    links += 1;
                }
            }
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_where_files_are_installed_or_become_words() {
        let text = "See [the log](operations.md#log), [fields](../config/log-fields.json), [a pod](../deploy/kustomize/base),\n\
                    [Down](../deploy/runbooks/Down.md), [here](#below), [them](https://example.com/a).";
        assert_eq!(
            with_links(text, "docs"),
            "See [the log](/usr/share/doc/aimis-gateway/operations.md#log), \
             [fields](/usr/share/aimis-gateway/log-fields.json), a pod,\n\
             [Down](/usr/share/doc/aimis-gateway/runbooks/Down.md), [here](#below), [them](https://example.com/a)."
        );
        let runbook = "[rules](../prometheus/rules.yaml), [Clock](ClockSkew.md)";
        assert_eq!(
            with_links(runbook, "deploy/runbooks"),
            "[rules](/usr/share/doc/aimis-gateway/examples/prometheus/rules.yaml), \
             [Clock](/usr/share/doc/aimis-gateway/runbooks/ClockSkew.md)"
        );
    }
}
