//! What editors and linters say of the files that an operator reads and changes, and of the scripts that root runs.

use std::path::{Path, PathBuf};

use super::{fine, judge, path, read};
use crate::support::directory::Directory;

const SCHEMA: &str = "config/gateway.schema.json";

/// Files below a directory of the repository whose names end like this.
fn files(directory: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![path(directory)];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                left.push(entry);
            } else if endings.iter().any(|ending| entry.to_str().unwrap().ends_with(ending)) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// Configurations of the gateway: `codes.toml` is a table of its own.
fn configurations() -> Vec<PathBuf> {
    let mut files = files("config", &[".toml"]);
    files.retain(|file| !file.ends_with("codes.toml"));
    files.push(path("deploy/docker/gateway.toml"));
    assert!(files.len() >= 7, "{files:?}");
    files
}

#[test]
fn an_editor_that_knows_the_schema_takes_every_configuration() {
    fine(
        judge("taplo")
            .args(["check", "--colors", "never"])
            .args(files("config", &[".toml"])),
    );
    let schema = ["--schemafile", SCHEMA];
    fine(judge("check-jsonschema").args(schema).args(configurations()));
    fine(judge("check-jsonschema").args(["--check-metaschema", SCHEMA, "config/log-fields.json"]));

    let directory = Directory::new();
    let typo = read("config/gateway.toml").replace("[lan]", "[lan]\nlisten_adress = \"127.0.0.1:1\"");
    let typo = directory.file("typo.toml", typo);
    let output = judge("check-jsonschema").args(schema).arg(&typo).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("listen_adress"));
    assert!(!output.status.success());
}

#[test]
fn scripts_are_in_order() {
    let mut scripts = [files("deploy", &[".sh"]), files("tests", &[".sh"])].concat();
    scripts.extend(["postinst", "prerm", "postrm"].map(|name| path("deploy/debian").join(name)));
    let beginning = |script: &Path| std::fs::read_to_string(script).unwrap().starts_with("#!/");
    assert!(
        scripts.len() >= 7 && scripts.iter().all(|script| beginning(script)),
        "{scripts:?}"
    );
    fine(judge("shellcheck").args(scripts));
}
