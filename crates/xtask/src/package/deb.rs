//! The `.deb`: put together here and packed by `dpkg-deb`, so that every file in it is seen in one place.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::tree::Tree;
use super::{commit_time, directory, empty, host, printed, version};
use crate::repository::{program, read, root};
use crate::steps::tell;

const CONFIGURATION: &str = "etc/aimis-gateway/gateway.toml";

/// Builds it around `binary` and returns its path.
pub(super) fn build(binary: &Path) -> Result<PathBuf> {
    let (version, architecture) = (version()?, architecture(&host()?)?);
    let tree = Tree::new(empty("deb")?);
    program_files(&tree, binary)?;
    units(&tree)?;
    documents(&tree, binary)?;
    let profile = read("config/profiles/hospital-single.toml")?;
    let schema = "/usr/share/aimis-gateway/gateway.schema.json";
    tree.write(CONFIGURATION, profile.replace("../gateway.schema.json", schema))?;

    let files = tree.files()?;
    let sums = tree.sums("md5sum", &files)?;
    let size: u64 = files
        .iter()
        .map(|file| fs::metadata(tree.path().join(file)).map_or(0, |file| file.len()))
        .sum();
    tree.write("DEBIAN/md5sums", sums)?;
    tree.write("DEBIAN/conffiles", format!("/{CONFIGURATION}\n"))?;
    tree.write("DEBIAN/control", control(&version, architecture, size / 1024, binary)?)?;
    for script in ["postinst", "prerm", "postrm"] {
        tree.program(&root().join("deploy/debian").join(script), &format!("DEBIAN/{script}"))?;
    }

    // A debug build is large, and only tried.
    let debug = binary.starts_with(root().join("target/debug"));
    let compression = if debug { "-Znone" } else { "-Zxz" };
    let package = directory().join(format!("aimis-gateway_{version}_{architecture}.deb"));
    program("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", &commit_time()?)
        .args(&["--root-owner-group", compression, "--build"])
        .args(&[tree.path().display().to_string(), package.display().to_string()])
        .run()
        .context("dpkg-deb comes with Debian's dpkg")?;
    tell(&format!("{}: {} files", package.display(), files.len()));
    Ok(package)
}

fn program_files(tree: &Tree, binary: &Path) -> Result<()> {
    tree.program(binary, "usr/bin/aimis-gateway")?;
    for file in [
        "gateway.full.toml",
        "gateway.schema.json",
        "codes.toml",
        "metrics.json",
        "log-fields.json",
        "openapi.json",
    ] {
        tree.copy(&format!("config/{file}"), &format!("usr/share/aimis-gateway/{file}"))?;
    }
    let completions = [
        ("bash", "bash-completion/completions/aimis-gateway"),
        ("zsh", "zsh/vendor-completions/_aimis-gateway"),
        ("fish", "fish/vendor_completions.d/aimis-gateway.fish"),
    ];
    for (shell, place) in completions {
        let script = printed(binary, &["gen", "completions", shell])?;
        tree.write(&format!("usr/share/{place}"), script)?;
    }
    Ok(())
}

fn units(tree: &Tree) -> Result<()> {
    let installed = [
        ("aimis-gateway.service", "systemd/system/aimis-gateway.service"),
        ("aimis-gateway.socket", "systemd/system/aimis-gateway.socket"),
        (
            "aimis-gateway.service.d/hardening.conf",
            "systemd/system/aimis-gateway.service.d/hardening.conf",
        ),
        ("sysusers.conf", "sysusers.d/aimis-gateway.conf"),
        ("tmpfiles.conf", "tmpfiles.d/aimis-gateway.conf"),
    ];
    for (file, place) in installed {
        tree.copy(&format!("deploy/systemd/{file}"), &format!("usr/lib/{place}"))?;
    }
    Ok(())
}

fn documents(tree: &Tree, binary: &Path) -> Result<()> {
    let place = "usr/share/doc/aimis-gateway";
    // Alerts name the runbooks by this place.
    for (from, to) in [
        ("docs", place.to_owned()),
        ("deploy/runbooks", format!("{place}/runbooks")),
    ] {
        for entry in fs::read_dir(root().join(from))? {
            let file = entry?.file_name().to_string_lossy().into_owned();
            if file == "SUMMARY.md" {
                continue;
            }
            let text = read(&format!("{from}/{file}"))?;
            tree.write(&format!("{to}/{file}"), as_installed(&text))?;
        }
    }
    let example = "credentials.conf.example";
    tree.copy(
        &format!("deploy/systemd/aimis-gateway.service.d/{example}"),
        &format!("{place}/{example}"),
    )?;
    tree.copy("LICENSE", &format!("{place}/copyright"))?;
    tree.gzip(&format!("{place}/changelog"), read("CHANGELOG.md")?)?;
    tree.gzip("usr/share/man/man1/aimis-gateway.1", printed(binary, &["gen", "man"])?)
}

/// Links to what lies elsewhere in the repository, as they lead where the package puts it.
fn as_installed(text: &str) -> String {
    text.replace("](../deploy/runbooks/", "](runbooks/")
        .replace("](../config/", "](../../aimis-gateway/")
        .replace("](../../docs/", "](../")
}

/// A static binary needs nothing; a dynamic one says which C library, as far as Debian's names go.
fn control(version: &str, architecture: &str, kilobytes: u64, binary: &Path) -> Result<String> {
    let dynamic = fs::read(binary)?
        .windows(b"/lib64/ld-linux".len())
        .any(|window| window == b"/lib64/ld-linux");
    let depends = if dynamic { "Depends: libc6, libgcc-s1\n" } else { "" };
    Ok(format!(
        "Package: aimis-gateway\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The aimis-gateway developers <root@localhost>\n\
         Installed-Size: {kilobytes}\n\
         {depends}\
         Recommends: systemd (>= 219), ca-certificates\n\
         Section: net\n\
         Priority: optional\n\
         Description: gateway between a hospital's information system and an imaging platform\n \
         The information system sends plain JSON to the gateway on its LAN; the gateway\n \
         encrypts the personal fields, signs, forwards to the platform and relays the\n \
         answer. It takes the platform's callbacks and brings them to the hospital.\n"
    ))
}

/// Debian's name of a triple's architecture.
fn architecture(host: &str) -> Result<&'static str> {
    match host.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        _ => anyhow::bail!("no name of Debian's is known for {host}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn scripts_are_executable_and_shell() {
        for script in ["postinst", "prerm", "postrm"] {
            let path = root().join("deploy/debian").join(script);
            assert!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0,
                "{script}"
            );
            program("sh")
                .args(&["-n", &path.display().to_string()])
                .output()
                .unwrap();
        }
    }

    #[test]
    fn a_control_file_has_what_dpkg_asks_for() {
        let text = control("0.1.0", "amd64", 12, Path::new("/bin/sh")).unwrap();
        for line in [
            "Package: aimis-gateway",
            "Version: 0.1.0",
            "Architecture: amd64",
            "Depends: libc6, libgcc-s1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        // A line of the description begins with one space, and nothing else does.
        let description = text.split_once("Description:").unwrap().1;
        assert!(
            description
                .lines()
                .skip(1)
                .all(|line| line.starts_with(' ') && !line.starts_with("  "))
        );
        assert_eq!(architecture("aarch64-unknown-linux-gnu").unwrap(), "arm64");
    }
}
