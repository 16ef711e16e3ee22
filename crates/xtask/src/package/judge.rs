//! Who judges `deploy/` and the `.deb` beside the tests: slow ones, and ones that bring much along.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{deb, empty};
use crate::repository::{program, read, root};
use crate::steps::{AfterFailure, Steps};
use crate::tools;

/// Where the types of Grafana and the compiler come from, each in one version.
const GRAFANA: &str = "tests/deploy/grafana";

pub(super) fn run(binary: &Path) -> Result<()> {
    let checkov = tools::provide_judges()?;
    let python = tools::provide_python()?;
    let mut steps = Steps::new(AfterFailure::GoOn);
    steps.run("manifests, by checkov", || manifests(&python, &checkov));
    steps.run("dashboards, by Grafana's types", dashboards);
    steps.run("the .deb, by lintian", || package(binary));
    steps.finish()
}

/// What is rendered has annotations that say what it does otherwise than checkov asks, and why.
fn manifests(python: &Path, checkov: &Path) -> Result<()> {
    let place = empty("manifests")?.display().to_string();
    program(python).args(&["tests/deploy/render.py", "all", &place]).run()?;
    program(checkov)
        .args(&[
            "-m",
            "checkov.main",
            "--framework",
            "kubernetes",
            "--compact",
            "--quiet",
        ])
        .args(&["--skip-download", "--directory", &place])
        .run()
}

fn dashboards() -> Result<()> {
    let place = root().join("target/grafana-types");
    fs::create_dir_all(&place)?;
    for file in ["package.json", "check.mjs"] {
        fs::write(place.join(file), read(&format!("{GRAFANA}/{file}"))?)?;
    }
    let place = place.display().to_string();
    program("npm")
        .args(&[
            "install",
            "--prefix",
            &place,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ])
        .run()?;
    let dashboards = root().join("deploy/grafana").display().to_string();
    program("node")
        .args(&[&format!("{place}/check.mjs"), &dashboards])
        .run()
}

/// What it has to say otherwise has a reason in `deploy/debian/lintian-overrides`.
fn package(binary: &Path) -> Result<()> {
    let package = deb::build(binary)?.display().to_string();
    program("lintian").args(&["--fail-on=error,warning", &package]).run()
}
