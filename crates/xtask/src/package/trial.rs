//! The `.deb`, tried by the real `dpkg`: installed into an empty root, used, upgraded, removed, purged.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{documents, empty, is_root};
use crate::repository::{Run, program};
use crate::steps::tell;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn run(package: &Path) -> Result<()> {
    if !is_root()? {
        tell("this needs root, for dpkg gives files to users; going on with sudo");
        let this = std::env::current_exe()?;
        return program("sudo")
            .args(&[
                "-n",
                "env",
                &format!("CARGO={}", cargo_path()),
                &this.display().to_string(),
            ])
            .args(&["package", "try-deb", &package.display().to_string()])
            .run();
    }
    let root = empty("root")?;
    let dpkg_data = root.join("var/lib/dpkg");
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(dpkg_data.join(directory))?;
    }
    fs::write(dpkg_data.join("status"), "")?;
    fs::create_dir_all(root.join("etc"))?;
    let package = package.display().to_string();

    dpkg(&root, &["--install", &package]).run()?;
    installed(&root)?;
    used(&root)?;

    let configuration = root.join("etc/aimis-gateway/gateway.toml");
    let changed = fs::read_to_string(&configuration)?.replace("first-hospital", "our-hospital");
    fs::write(&configuration, &changed)?;
    dpkg(&root, &["--install", &package]).run()?;
    ensure!(
        fs::read_to_string(&configuration)? == changed,
        "an upgrade changed the configuration"
    );

    let data = root.join("var/lib/aimis-gateway/inbox.db");
    fs::write(&data, "callbacks")?;
    dpkg(&root, &["--remove", "aimis-gateway"]).run()?;
    ensure!(
        !root.join("usr/bin/aimis-gateway").exists(),
        "a removal leaves the program"
    );
    ensure!(
        configuration.exists() && data.exists(),
        "a removal takes configuration or data"
    );
    dpkg(&root, &["--purge", "aimis-gateway"]).run()?;
    for left in ["etc/aimis-gateway", "var/lib/aimis-gateway"] {
        ensure!(!root.join(left).exists(), "a purge leaves /{left}");
    }
    tell("installed, used, installed again, removed and purged");
    Ok(())
}

fn cargo_path() -> String {
    std::env::var_os("CARGO").map_or_else(|| "cargo".to_owned(), |path| path.to_string_lossy().into_owned())
}

/// `dpkg` below `root`. Scripts run outside of it and are told where it is (`DPKG_ROOT`): there is no shell inside.
fn dpkg(root: &Path, arguments: &[&str]) -> Run {
    program("dpkg")
        .args(&[format!("--root={}", root.display())])
        .args(&["--force-script-chrootless", "--force-depends", "--force-confold"])
        .args(arguments)
}

/// Users, rights, links between files.
fn installed(root: &Path) -> Result<()> {
    let users = fs::read_to_string(root.join("etc/passwd")).context("no user was made")?;
    let user = users.lines().find_map(|line| line.strip_prefix("aimis-gateway:x:"));
    let mut ids = user.context("the user was not made")?.split(':');
    let mut id = || ids.next().and_then(|id| id.parse::<u32>().ok());
    let (user, group) = (id().context("no user id")?, id().context("no group id")?);
    for (place, mode, owner) in [
        ("etc/aimis-gateway", 0o750, (0, group)),
        ("etc/aimis-gateway/secrets", 0o750, (0, group)),
        ("etc/aimis-gateway/gateway.toml", 0o644, (0, 0)),
        ("var/lib/aimis-gateway", 0o700, (user, group)),
        ("usr/bin/aimis-gateway", 0o755, (0, 0)),
    ] {
        let found = fs::metadata(root.join(place)).with_context(|| format!("/{place} is missing"))?;
        let (found_mode, found_owner) = (found.mode() & 0o7777, (found.uid(), found.gid()));
        if (found_mode, found_owner) != (mode, owner) {
            bail!("/{place} has mode {found_mode:o} and owner {found_owner:?}, not {mode:o} and {owner:?}");
        }
    }
    let links = documents::check_links(root)?;
    ensure!(links > 20, "the documents have {links} links only");
    let rules = fs::read_to_string(root.join(documents::PLACE).join("examples/prometheus/rules.yaml"))?;
    for url in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: file:///"))
    {
        ensure!(root.join(url).exists(), "there is no /{url}");
    }
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/aimis-gateway.service"))?;
    let wanted = "ExecStart=/usr/bin/aimis-gateway serve --config /etc/aimis-gateway/gateway.toml";
    ensure!(unit.contains(wanted), "the unit starts something else");
    program("gzip")
        .args(&[
            "-t",
            &root.join("usr/share/man/man1/aimis-gateway.1.gz").display().to_string(),
        ])
        .run()
}

/// What an administrator does next: put the token there, and check.
fn used(root: &Path) -> Result<()> {
    let secrets = root.join("etc/aimis-gateway/secrets");
    let token = secrets.join("first-hospital.token");
    fs::write(&token, TOKEN)?;
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640))?;
    let configuration = root.join("etc/aimis-gateway/gateway.toml").display().to_string();
    let check = |arguments: &[&str]| {
        program(root.join("usr/bin/aimis-gateway"))
            .args(&["check", "--config", &configuration])
            .args(arguments)
            .output()
    };
    ensure!(
        check(&[])?.ends_with("configuration is fine\n"),
        "check says something else"
    );
    // Ends with status 1, which is an error here, if something is serious.
    tell(check(&["--security"])?.trim_end());
    Ok(())
}
