//! The files of `config/` and `docs/configuration.md`: accepted, and what the tables say.
//!
//! After a change of the tables: `cargo xtask docs`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{complaints, config};
use crate::config::{Config, Sources, full_toml, load, markdown, schema};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn generated() -> [(&'static str, String); 3] {
    [
        ("config/gateway.full.toml", full_toml()),
        ("config/gateway.schema.json", format!("{:#}\n", schema())),
        ("docs/configuration.md", markdown()),
    ]
}

#[test]
fn generated_files_are_what_the_tables_say() {
    for (path, expected) in generated() {
        let found = fs::read_to_string(repository().join(path)).unwrap_or_default();
        assert!(
            found == expected,
            "{path} is out of date; write it anew: cargo xtask docs"
        );
    }
}

#[test]
fn every_example_is_accepted() {
    let directory = repository().join("config");
    for name in [
        "gateway.toml",
        "gateway.full.toml",
        "profiles/hospital-single.toml",
        "profiles/dev-simulator.toml",
        "profiles/replicas.toml",
    ] {
        load(&Sources::path(directory.join(name))).unwrap_or_else(|refused| panic!("{refused}"));
    }
    // The sidecar's tenant comes from the environment.
    let tenant = [("AIMIS_APP_ID", "900001"), ("AIMIS_TOKEN_FILE", "/run/secrets/token")];
    load(&Sources::path(directory.join("profiles/sidecar.toml")).with_env(tenant))
        .unwrap_or_else(|refused| panic!("{refused}"));
}

#[test]
fn no_example_is_left_out_of_the_tests() {
    let mut names: Vec<_> = ["config", "config/profiles"]
        .iter()
        .flat_map(|directory| fs::read_dir(repository().join(directory)).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml") && name != "codes.toml")
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "dev-simulator.toml",
            "gateway.full.toml",
            "gateway.toml",
            "hospital-single.toml",
            "replicas.toml",
            "sidecar.toml"
        ]
    );
}

#[test]
fn the_full_file_has_the_defaults() {
    let full = load(&Sources::text("gateway.full.toml", full_toml())).unwrap().config;
    let defaults = config("");
    assert_eq!(
        Config {
            tenants: Vec::new(),
            ..full.clone()
        },
        Config {
            tenants: Vec::new(),
            ..defaults.clone()
        }
    );
    assert_eq!(full.tenants[0].crypto, defaults.crypto);
    assert_eq!(full.tenants[0].dates, defaults.dates);
}

#[test]
fn the_full_file_uncommented_is_accepted_too() {
    let key =
        |line: &&str| line.starts_with("# ") && line[2..].split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let lines: Vec<String> = full_toml()
        .lines()
        .map(|line| {
            if key(&line) || line.starts_with("# [") {
                line[2..].to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    let loaded =
        load(&Sources::text("gateway.full.toml", lines.join("\n"))).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(loaded.config.platform.connect_to.is_some() && loaded.config.log.patient_tag_key_file.is_some());
}

#[test]
fn the_complaints_in_the_documentation_are_real() {
    let text = "[lan]\nlanguage = \"en\"\n[platform]\nbase_ur = \"x\"\ndeadline_ms = 50\n\n\n\n\
                [[tenants]]\nname = \"a\"\ntoken_file = \"t\"\n";
    let env = [("AIMIS_LAN__MAX_BODY", "64KB")];
    let refused = complaints(&Sources::text("gateway.toml", text).with_env(env));
    assert!(markdown().contains(&format!("```text\n{refused}\n```")), "{refused}");
}
