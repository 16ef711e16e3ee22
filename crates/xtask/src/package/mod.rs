//! `package`: what a hospital installs. A static binary, a `.deb`, and a kit for machines without network.

mod deb;
mod documents;
mod image;
mod judge;
mod kit;
mod sbom;
mod tree;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::repository::{cargo, program, read, root};
use crate::steps::tell;

const HELP: &str = "\
which package?

  cargo xtask package static              a binary that needs no library of the system
  cargo xtask package deb [--binary FILE] a .deb with that binary, or with this one
  cargo xtask package image [--binary FILE] a directory from which `docker build` makes the image without network
  cargo xtask package pod [--binary FILE] the image, built and run as Kubernetes would, by podman (as root)
  cargo xtask package compose [--binary FILE] the compose files of deploy/docker, started with podman (as root)
  cargo xtask package judge [--binary FILE] what else judges deploy/ and the .deb: checkov, Grafana's types, lintian
  cargo xtask package kit                 an archive for machines without network: all of these, checksums, SBOM
  cargo xtask package boot [--binary FILE] systemd booted in namespaces of its own, with the units and the binary (as root)
  cargo xtask package try [--binary FILE] the .deb, installed into an empty directory, used, removed (as root)

All go to target/package/.";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let binary = |rest: &[&str]| match rest {
        [] => static_binary(),
        ["--binary", file] => Ok(root().join(file)),
        _ => bail!(HELP),
    };
    match arguments.split_first() {
        Some((&"static", [])) => static_binary().map(drop),
        Some((&"deb", rest)) => deb::build(&binary(rest)?).map(drop),
        Some((&"image", rest)) => image::context(&binary(rest)?),
        Some((&"pod", rest)) => image::tried(&binary(rest)?),
        Some((&"compose", rest)) => image::composed(&binary(rest)?),
        Some((&"judge", rest)) => judge::run(&binary(rest)?),
        Some((&"kit", [])) => kit::build(&static_binary()?),
        Some((&"boot", rest)) => program("tests/systemd/boot.sh")
            .args(&[binary(rest)?.display().to_string()])
            .run(),
        Some((&"try", rest)) => trial::run(&deb::build(&binary(rest)?)?),
        // `try` itself, where it has to become root.
        Some((&"try-deb", [package])) => trial::run(Path::new(package)),
        _ => bail!(HELP),
    }
}

/// The `.deb` of the debug build, tried: whether files, scripts and units fit is the same as in a release.
pub(crate) fn check() -> Result<()> {
    cargo(&["build", "--package", "aimis-gateway", "--locked"]).run()?;
    trial::run(&deb::build(&root().join("target/debug/aimis-gateway"))?)
}

/// Where packages are put.
fn directory() -> PathBuf {
    root().join("target/package")
}

/// An empty directory in there.
fn empty(name: &str) -> Result<PathBuf> {
    let path = directory().join(name);
    if path.exists() {
        fs::remove_dir_all(&path).with_context(|| format!("cannot empty {}", path.display()))?;
    }
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Builds the static binary and runs it where there is nothing else.
///
/// The C library is linked in (glibc 2.34 or newer on the building machine, for names over DNS), so it runs on every
/// distribution of its architecture, whatever the age of its libraries.
fn static_binary() -> Result<PathBuf> {
    let target = host()?;
    cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "aimis-gateway",
        "--target",
        &target,
    ])
    .env("RUSTFLAGS", "-C target-feature=+crt-static")
    .run()?;
    let binary = root().join("target").join(&target).join("release/aimis-gateway");

    let bare = empty("bare")?;
    fs::copy(&binary, bare.join("aimis-gateway"))?;
    // A dynamic binary ends here already: its loader is not there.
    let shown = chroot(&bare, &["/aimis-gateway", "selftest"])?;
    tell(shown.trim_end());
    tell(&format!("{}: runs in an empty root", binary.display()));
    Ok(binary)
}

/// The triple of this machine.
fn host() -> Result<String> {
    let version = program("rustc").args(&["-vV"]).output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Version of the workspace.
fn version() -> Result<String> {
    let text = read("Cargo.toml")?;
    let version = text.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"'));
    Ok(version.context("Cargo.toml has no version")?.to_owned())
}

/// Seconds of the last commit: the same source makes the same package.
fn commit_time() -> Result<String> {
    let time = program("git").args(&["log", "-1", "--format=%ct"]).output()?;
    Ok(time.trim().to_owned())
}

/// Runs a program inside `root`, with the rights of root there, and returns what it prints.
fn chroot(root: &Path, command: &[&str]) -> Result<String> {
    let root = root.display().to_string();
    let run = if is_root()? {
        program("chroot").args(&[root.as_str()])
    } else {
        program("unshare").args(&["-r", "chroot", root.as_str()])
    };
    run.args(command).output()
}

fn is_root() -> Result<bool> {
    Ok(program("id").args(&["-u"]).output()?.trim() == "0")
}

/// A program that the binary prints: a manual page, completions.
fn printed(binary: &Path, arguments: &[&str]) -> Result<String> {
    program(binary).args(arguments).output()
}
