//! The documents hold together: links lead somewhere, the book has every page, and what troubleshooting quotes is what
//! the program says.

mod commands;
mod links;
mod symptoms;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
#[track_caller]
fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document that people read, by its path in the repository.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "deploy/runbooks"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = PathBuf::from(directory).join(entry.unwrap().file_name());
            if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path.display().to_string());
            }
        }
    }
    pages.sort();
    pages
}
