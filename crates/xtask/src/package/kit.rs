//! The kit for machines without network: one archive with everything, and what to check it by.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::tree::Tree;
use super::{commit_time, deb, directory, empty, host, printed, sbom, version};
use crate::book;
use crate::repository::{program, root};
use crate::steps::tell;

const CONFIGURATION: &[&str] = &[
    "gateway.toml",
    "gateway.full.toml",
    "gateway.schema.json",
    "codes.toml",
    "log-fields.json",
    "metrics.json",
    "openapi.json",
    "profiles/hospital-single.toml",
    "profiles/replicas.toml",
    "profiles/sidecar.toml",
    "profiles/dev-simulator.toml",
];
const UNITS: &[&str] = &[
    "aimis-gateway.service",
    "aimis-gateway.socket",
    "aimis-gateway.service.d/hardening.conf",
    "aimis-gateway.service.d/credentials.conf.example",
    "sysusers.conf",
    "tmpfiles.conf",
];

/// Builds it around a static binary.
pub(super) fn build(binary: &Path) -> Result<()> {
    let name = format!("aimis-gateway-{}-{}", version()?, host()?);
    let deb = deb::build(binary)?;
    let above = empty("kit")?;
    let tree = Tree::new(above.join(&name));
    tree.program(binary, "aimis-gateway")?;
    tree.program(&root().join("deploy/offline/install.sh"), "install.sh")?;
    tree.write("aimis-gateway.1", printed(binary, &["gen", "man"])?)?;
    for file in CONFIGURATION {
        tree.copy(&format!("config/{file}"), &format!("config/{file}"))?;
    }
    for file in UNITS {
        tree.copy(&format!("deploy/systemd/{file}"), &format!("systemd/{file}"))?;
    }
    for entry in fs::read_dir(root().join("docs"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&file).extension().is_some_and(|ending| ending == "md") {
            tree.copy(&format!("docs/{file}"), &format!("docs/{file}"))?;
        }
    }
    for file in ["LICENSE", "CHANGELOG.md", "README.md", "README.zh-CN.md", "Cargo.lock"] {
        tree.copy(file, file)?;
    }
    for entry in fs::read_dir(root().join("deploy/runbooks"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        tree.copy(&format!("deploy/runbooks/{file}"), &format!("deploy/runbooks/{file}"))?;
    }
    let book = Tree::new(book::build()?);
    for file in book.files()? {
        tree.write(&format!("book/{file}"), fs::read(book.path().join(&file))?)?;
    }
    tree.write("sbom.cdx.json", sbom::document()?)?;
    if let Some(file) = deb.file_name() {
        tree.write(&file.to_string_lossy(), fs::read(&deb)?)?;
    }
    let files = tree.files()?;
    tree.write("SHA256SUMS", tree.sums("sha256sum", &files)?)?;

    let archive = directory().join(format!("{name}.tar.gz"));
    let (time, output) = (format!("--mtime=@{}", commit_time()?), archive.display().to_string());
    program("tar")
        .args(&["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time])
        .args(&["-C", &above.display().to_string(), "-czf", &output, &name])
        .run()?;
    tried(&archive, &name)?;
    tell(&format!("{output}: {} files", files.len() + 1));
    Ok(())
}

/// Unpacks it and installs from it below a directory, as somebody would who got nothing else.
fn tried(archive: &Path, name: &str) -> Result<()> {
    let (away, below) = (empty("kit-unpacked")?, empty("kit-installed")?);
    program("tar")
        .args(&[
            "-C",
            &away.display().to_string(),
            "-xzf",
            &archive.display().to_string(),
        ])
        .run()?;
    program(away.join(name).join("install.sh"))
        .env("DESTDIR", &below.display().to_string())
        .run()
}
