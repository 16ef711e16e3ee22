//! Links between documents, and from them to files of the repository. What lies elsewhere is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{file, pages, root};

/// Targets of a text's links, code blocks and code spans left out.
fn links(text: &str) -> Vec<String> {
    let plain = prose(text);
    let targets = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
        .collect()
}

/// The lines outside of fenced blocks, without code spans.
fn prose(text: &str) -> String {
    let mut within = false;
    let mut plain = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        within ^= fence;
        if within || fence {
            continue;
        }
        // A link's text may be a code span: only what is in the span goes.
        plain.extend(line.split('`').step_by(2));
        plain.push('\n');
    }
    plain
}

/// The path in the repository of what `page` links to.
fn beside(page: &str, link: &str) -> PathBuf {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: {link} leads out of the repository"),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// The names that a page's headings can be linked by, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut within = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        within ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        if within || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        let name: String = kept.collect();
        let count = seen.entry(name.clone()).or_default();
        anchors.insert(if *count == 0 { name } else { format!("{name}-{count}") });
        *count += 1;
    }
    anchors
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut lost = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = file(&page);
        for link in links(&text) {
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                PathBuf::from(&page)
            } else {
                beside(&page, path)
            };
            if !root().join(&target).exists() {
                lost.push(format!("{page}: {link}: no such file"));
            } else if !anchor.is_empty() && !anchors(&file(&target.display().to_string())).contains(anchor) {
                lost.push(format!("{page}: {link}: no such heading"));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(followed > 150, "only {followed} links were found");
}

#[test]
fn the_book_has_every_page_once() {
    let summary = "docs/SUMMARY.md";
    let mut chapters: Vec<String> = links(&file(summary))
        .iter()
        .map(|link| beside(summary, link).display().to_string())
        .collect();
    chapters.sort();

    let wanted: Vec<String> = pages().into_iter().filter(|page| page != summary).collect();

    assert_eq!(chapters, wanted);
}

#[test]
fn headings_are_named_as_browsers_find_them() {
    let text = "# A `b_c` (d)\n```\n# no\n```\n## A `b_c` (d)\n## 中文 摘要\n";
    let wanted = ["a-b_c-d", "a-b_c-d-1", "中文-摘要"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(wanted));
    assert_eq!(
        links("[`a`](b.md) `[c](d.md)` [e](https://f.example)"),
        ["b.md".to_owned()]
    );
}
