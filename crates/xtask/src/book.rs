//! `book`: the documents as an mdBook, in the order of `docs/SUMMARY.md`.
//!
//! Chapters lie in `docs/`, `deploy/runbooks/` and the root, and link to each other and to configuration. So the book's
//! source is a part of the repository, laid out as it is there: what the summary names, and what that links to.
//! The same links lead somewhere in the repository and in the book.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::repository::{cargo, program, read, root};
use crate::steps::{no_complaints, tell};

const VERSION: &str = "0.5.4";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Builds it, and returns the directory with its pages.
pub(crate) fn build() -> Result<PathBuf> {
    let mdbook = mdbook()?;
    let book = root().join("target/book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot empty {}", book.display()))?;
    }
    let chapters = lay_out(&book.join("src"))?;
    fs::write(book.join("book.toml"), read("deploy/book/book.toml")?)?;
    program(mdbook).args(&["build", &book.display().to_string()]).run()?;
    let html = book.join("html");
    offline(&html)?;
    tell(&format!("{}: {chapters} chapters", html.join("index.html").display()));
    Ok(html)
}

/// The program, in `target/tools`; installed there if it is not, which takes some minutes.
fn mdbook() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let place = tools.join("bin/mdbook");
    let is_it = |version: String| version.trim().trim_start_matches("mdbook v") == VERSION;
    if place.exists() && program(&place).args(&["--version"]).output().is_ok_and(is_it) {
        return Ok(place);
    }
    // `serve` and `watch` are left out: half of what would be compiled.
    cargo(&["install", "mdbook", "--version", VERSION, "--locked", "--force"])
        .args(&["--no-default-features", "--features", "search"])
        .args(&["--root", &tools.display().to_string()])
        .run()?;
    ensure!(
        place.exists(),
        "mdbook was installed, and is not at {}",
        place.display()
    );
    Ok(place)
}

/// Copies chapters and what they link to, and returns how many chapters there are.
fn lay_out(source: &Path) -> Result<usize> {
    let summary = read(SUMMARY)?;
    let chapters: BTreeSet<PathBuf> = links(&summary).map(|link| beside(SUMMARY, link)).collect();
    let mut files = chapters.clone();
    for chapter in &chapters {
        let chapter = chapter.display().to_string();
        files.extend(links(&read(&chapter)?).map(|link| beside(&chapter, link)));
    }
    for file in &files {
        let (from, to) = (root().join(file), source.join(file));
        // A link to a directory leads nowhere in the book, and shows what to look for.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(source))?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    fs::write(source.join("SUMMARY.md"), from_root(&summary))?;
    Ok(chapters.len())
}

/// Where links of a text lead that lead to files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.contains(' '))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty())
}

/// The path in the repository of what `file` links to.
fn beside(file: &str, link: &str) -> PathBuf {
    let mut path = PathBuf::from(file);
    path.pop();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// The summary, as it reads where the root of the repository is.
fn from_root(summary: &str) -> String {
    let mut parts = summary.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (link, rest) = part.split_once(')').unwrap_or((part, ""));
        text += &format!("]({}){rest}", beside(SUMMARY, link).display());
    }
    text
}

/// A hospital reads it without Internet: no page may load a script, a style, a font or a picture from elsewhere.
fn offline(html: &Path) -> Result<()> {
    let mut complaints = Vec::new();
    let mut left = vec![html.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "html" || ending == "css")
            {
                let text = fs::read_to_string(&path)?;
                complaints.extend(loaded(&text).map(|what| format!("{}: {what}", path.display())));
            }
        }
    }
    no_complaints("the book loads from elsewhere", &complaints)
}

/// What a page or a style sheet loads from another host.
fn loaded(text: &str) -> impl Iterator<Item = &str> {
    let away = |rest: &&str| ["http:", "https:", "//"].iter().any(|scheme| rest.starts_with(scheme));
    let after = |mark: &'static str| text.split(mark).skip(1).filter(away);
    let styles = text
        .split("<link ")
        .skip(1)
        .filter_map(|tag| tag.split('>').next()?.split("href=\"").nth(1))
        .filter(away);
    after("src=\"")
        .chain(after("url(\""))
        .chain(after("url("))
        .chain(styles)
        .map(|rest| rest.split(['"', ')', '\'']).next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let text = "[a](../deploy/x.md#part) [b](c.md) [d](https://e.example/f.md) [g](#here)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["../deploy/x.md", "c.md"]);
        assert_eq!(beside("docs/a.md", "../deploy/x.md"), Path::new("deploy/x.md"));
        assert_eq!(
            from_root("- [A](a.md)\n- [B](../B.md)\n"),
            "- [A](docs/a.md)\n- [B](B.md)\n"
        );
    }

    #[test]
    fn what_is_loaded_from_elsewhere_is_found() {
        let page = "<a href=\"https://fine.example\"><link rel=x href=\"https://a.example/b.css\"><script src=\"//c.example\">\
                    <script src=\"book.js\">";
        assert_eq!(
            loaded(page).collect::<Vec<_>>(),
            ["//c.example", "https://a.example/b.css"]
        );
    }
}
