//! `ci`: all that is judged beside the tests. The quick steps come first; each stands for itself.

use anyhow::Result;

use crate::repository::{cargo, fuzz_cargo};
use crate::steps::{AfterFailure, Steps, tell};
use crate::{bench, deny, dependencies, generated, manifest, package};

/// Enough runs to see that a target works; looking for faults is for `cargo xtask fuzz`.
const FUZZ_RUNS: &str = "20000";

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new(AfterFailure::GoOn);
    steps.run("format", || cargo(&["fmt", "--all", "--", "--check", "-l"]).run());
    steps.run("format of fuzz", || fuzz_cargo(&["fmt", "--check"]).run());
    steps.run("manifests", manifest::check);
    steps.run("docs/dependencies.md", dependencies::check);
    steps.run("licences, bans, sources", deny::check);
    steps.run("lints", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
        .run()
    });
    steps.run("documentation", || {
        cargo(&["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    });
    steps.run("generated files", generated::check);
    steps.run("the .deb installs", package::check);
    steps.run("lints of fuzz", || {
        fuzz_cargo(&["clippy", "--all-targets", "--locked", "--", "-D", "warnings"]).run()
    });
    steps.run("fuzz targets", || {
        fuzz_cargo(&["run", "--quiet", "--locked", "--", "all", "--runs", FUZZ_RUNS]).run()
    });
    steps.run("benches build", benches);
    steps.run("budgets of a request", bench::budgets);
    steps.finish()
}

fn benches() -> Result<()> {
    cargo(&["build", "--package", "aimis-bench", "--locked"]).run()?;
    if !manifest::has_benches()? {
        tell("there are none yet");
        return Ok(());
    }
    // That they build; optimised as a whole, as they are measured, each takes minutes, and the next step has one of them.
    cargo(&["bench", "--workspace", "--no-run", "--locked", "--profile", "dev"]).run()
}
