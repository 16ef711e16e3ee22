//! `deploy/` for containers: rendered and judged by the programs that a hospital uses. `cargo xtask package pod` runs it.

mod configurations;
mod files;
mod manifests;
mod rendered;
mod simulator;
mod values;

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file or directory of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

#[track_caller]
fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// A program of the environment that judges; a panic that says how to get it, where it is missing.
#[track_caller]
pub fn judge(name: &str) -> Command {
    let program = path("target/deploy-tools/bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo xtask test`, or python3 -m venv target/deploy-tools && \
         target/deploy-tools/bin/pip install -r tests/deploy/requirements.txt",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(ROOT);
    command
}

/// Standard output of a judge that has nothing to complain about.
#[track_caller]
fn fine(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
