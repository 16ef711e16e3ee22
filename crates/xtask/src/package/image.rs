//! The container image: what it is built from, and a trial of it in pods.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::tree::Tree;
use super::{empty, version};
use crate::repository::program;
use crate::steps::tell;
use crate::tools;

/// A directory with a static binary and `Dockerfile.binary`, which needs no network.
pub(super) fn context(binary: &Path) -> Result<()> {
    let directory = empty("image")?;
    let tree = Tree::new(directory.clone());
    tree.program(binary, "aimis-gateway")?;
    tree.copy("deploy/docker/Dockerfile.binary", "Dockerfile")?;
    fs::create_dir(directory.join("data"))?;
    tell(&format!(
        "docker build -t aimis-gateway:{} {}",
        version()?,
        directory.display()
    ));
    Ok(())
}

/// Builds the image and runs the pods of `deploy/kustomize` with it; `tests/deploy/pod.py` says what they show.
pub(super) fn tried(binary: &Path) -> Result<()> {
    tools::provide_containers()?;
    let python = tools::provide_python()?;
    program(python)
        .args(&["tests/deploy/pod.py", &binary.display().to_string()])
        .run()
}

/// Starts what `deploy/docker/compose*.yaml` name; `tests/deploy/compose.py` says what that shows.
pub(super) fn composed(binary: &Path) -> Result<()> {
    tools::provide_compose()?;
    let python = tools::provide_python()?;
    program(python)
        .args(&["tests/deploy/compose.py", &binary.display().to_string()])
        .run()
}
