//! What judges `deploy/`, and servers of other versions than the system's: Python packages in an environment of their
//! own; and what runs containers.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Tool, find, obtain, provide_all};
use crate::repository::{program, read, root};
use crate::steps::tell;

/// Packages of Python, apart from those of the system.
struct Environment {
    /// Where it is made.
    place: &'static str,
    /// What it is made of, each in one version.
    requirements: &'static str,
}

/// What tests ask.
const TESTS: &Environment = &Environment {
    place: "target/deploy-tools",
    requirements: "tests/deploy/requirements.txt",
};

/// What `package judge` asks beside: 300 MB.
const CHECKOV: &Environment = &Environment {
    place: "target/checkov",
    requirements: "tests/deploy/checkov.txt",
};

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

/// What `package compose` starts beside, in place of images that cannot be had.
const COMPOSED: &[Tool] = &[Tool {
    program: "redis-server",
    needed_for: "stands for the image of Redis",
    debian: &["redis-server", "redis-tools"],
    fedora: &["redis"],
    arch: &["redis"],
    alpine: &["redis"],
    brew: &[],
}];

/// What `package judge` asks beside Python's.
const JUDGES: &[Tool] = &[
    Tool {
        program: "npm",
        needed_for: "brings Grafana's types, which the dashboards are compiled against",
        debian: &["npm"],
        fedora: &["npm"],
        arch: &["npm"],
        alpine: &["npm"],
        brew: &["node"],
    },
    Tool {
        program: "lintian",
        needed_for: "judges the .deb",
        debian: &["lintian"],
        fedora: &[],
        arch: &[],
        alpine: &[],
        brew: &[],
    },
];

/// Sees to it that the compose files can be started.
pub(crate) fn provide_compose() -> Result<()> {
    provide_all(&CONTAINERS.iter().chain(COMPOSED).collect::<Vec<_>>())
}

/// Sees to it that there is who judges packages, and returns the Python of checkov.
pub(crate) fn provide_judges() -> Result<PathBuf> {
    provide_all(&JUDGES.iter().collect::<Vec<_>>())?;
    provide_environment(CHECKOV)
}

/// Sees to it that containers can be run.
pub(crate) fn provide_containers() -> Result<()> {
    provide_all(&CONTAINERS.iter().collect::<Vec<_>>())
}

/// Sees to it that the Python environment `target/deploy-tools` is there, and returns its Python.
pub(crate) fn provide_python() -> Result<PathBuf> {
    provide_environment(TESTS)
}

fn provide_environment(wanted: &Environment) -> Result<PathBuf> {
    let Environment { place, requirements } = *wanted;
    let environment = root().join(place);
    let python = environment.join("bin/python");
    let (installed, wanted) = (environment.join("requirements.txt"), read(requirements)?);
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
        .args(&["--requirement", requirements])
        .run()
        .context("what judges deploy/ cannot be installed")?;
    // Last, so that what is half installed is not taken for whole.
    fs::write(installed, wanted)?;
    Ok(python)
}
