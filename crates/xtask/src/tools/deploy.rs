//! What judges `deploy/`, and servers of other versions than the system's: Python packages in an environment of their
//! own; and what runs containers.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Tool, find, obtain, provide_all};
use crate::repository::{program, read, root};
use crate::steps::tell;

/// What the environment is made of, each in one version.
const REQUIREMENTS: &str = "tests/deploy/requirements.txt";

/// Debian has this part of Python in a package of its own.
const VENV: &Tool = &Tool {
    program: "python3 -m venv",
    needed_for: "keeps the packages that judge deploy/ apart from the system's",
    debian: &["python3-venv"],
    fedora: &["python3"],
    arch: &["python"],
    alpine: &["python3"],
    brew: &["python"],
};

/// What `package pod` starts.
const CONTAINERS: &[Tool] = &[
    Tool {
        program: "podman",
        needed_for: "imitates pods",
        // Named one by one, because recommendations are not installed.
        debian: &["podman", "crun", "netavark", "aardvark-dns", "iptables", "catatonit"],
        fedora: &["podman"],
        arch: &["podman"],
        alpine: &["podman"],
        brew: &[],
    },
    Tool {
        program: "buildah",
        needed_for: "builds the image",
        debian: &["buildah"],
        fedora: &["buildah"],
        arch: &["buildah"],
        alpine: &["buildah"],
        brew: &[],
    },
    Tool {
        program: "busybox",
        needed_for: "stands for the HIS in a pod",
        debian: &["busybox-static"],
        fedora: &["busybox"],
        arch: &["busybox"],
        alpine: &["busybox"],
        brew: &[],
    },
];

/// Sees to it that containers can be run.
pub(crate) fn provide_containers() -> Result<()> {
    provide_all(&CONTAINERS.iter().collect::<Vec<_>>())
}

/// Sees to it that the Python environment `target/deploy-tools` is there, and returns its Python.
pub(crate) fn provide_python() -> Result<PathBuf> {
    let environment = root().join("target/deploy-tools");
    let python = environment.join("bin/python");
    let (installed, wanted) = (environment.join("requirements.txt"), read(REQUIREMENTS)?);
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if find("python3").is_none() || program("python3").args(&["-c", "import ensurepip"]).output().is_err() {
        obtain(&[VENV])?;
    }
    let place = environment.display().to_string();
    tell(&format!("{place} (judges what is in deploy/)"));
    program("python3").args(&["-m", "venv", "--clear", &place]).run()?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries=5",
    ];
    program(&python)
        .args(&pip)
        .args(&["--requirement", REQUIREMENTS])
        .run()
        .context("what judges deploy/ cannot be installed")?;
    // Last, so that what is half installed is not taken for whole.
    fs::write(installed, wanted)?;
    Ok(python)
}
