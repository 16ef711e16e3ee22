//! The files for systemd, judged by systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::binary;
use crate::support::directory::Directory;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");

/// The units in a directory of their own, with the binary of this build in place of the installed one.
fn copied(directory: &Directory) -> PathBuf {
    let root = directory.path().join("systemd");
    let drop_in = "aimis-gateway.service.d/hardening.conf";
    for name in ["aimis-gateway.service", "aimis-gateway.socket", drop_in] {
        let text = read(name).replace("/usr/bin/aimis-gateway", binary::path().to_str().unwrap());
        directory.file(&format!("systemd/{name}"), text);
    }
    root
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(UNITS).join(name)).unwrap()
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    // Found in /usr/bin everywhere; `cargo xtask test` installs it.
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    output.expect("systemd-analyze is missing: install systemd, or run cargo xtask test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn systemd_has_nothing_to_complain_about() {
    let directory = Directory::new();
    let root = copied(&directory);
    directory.file(
        "systemd/aimis-gateway.service.d/credentials.conf",
        read("aimis-gateway.service.d/credentials.conf.example"),
    );
    let verify = |unit: &str| {
        let output = analyze(&["verify", "--man=no"], &root.join(unit));
        (output.status.success(), text(&output.stderr))
    };

    for unit in ["aimis-gateway.service", "aimis-gateway.socket"] {
        assert_eq!(verify(unit), (true, String::new()), "{unit}");
    }

    // It does complain where there is something: it exits 0 for a key that it does not know.
    let mistyped = read("aimis-gateway.service").replace("WatchdogSec=", "WatchdogSecs=");
    directory.file(
        "systemd/aimis-gateway.service",
        mistyped.replace("/usr/bin/aimis-gateway", binary::path().to_str().unwrap()),
    );
    assert!(verify("aimis-gateway.service").1.contains("WatchdogSecs"));
}

#[test]
fn the_service_may_do_next_to_nothing() {
    let directory = Directory::new();
    let unit = copied(&directory).join("aimis-gateway.service");
    let judge = || analyze(&["security", "--offline=true", "--threshold=15"], &unit);

    let output = judge();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );

    // Without the drop-in it would be 9.
    std::fs::remove_dir_all(directory.path().join("systemd/aimis-gateway.service.d")).unwrap();
    assert!(!judge().status.success());
}

/// systemd 219 (CentOS 7) passes over what it does not know, with a line in the log at each start: the base unit has
/// nothing of that kind.
#[test]
fn the_base_units_are_understood_by_systemd_219() {
    let known = [
        "Description",
        "Documentation",
        "Wants",
        "After",
        "Type",
        "User",
        "Group",
        "ExecStart",
        "ExecReload",
        "WatchdogSec",
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "TimeoutStopSec",
        "KillMode",
        "LimitNOFILE",
        "LimitCORE",
        "UMask",
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
        "WantedBy",
        "ListenStream",
        "Backlog",
    ];
    for name in ["aimis-gateway.service", "aimis-gateway.socket"] {
        let text = read(name);
        let keys = text
            .lines()
            .filter(|line| !line.starts_with(['#', '[']))
            .filter_map(|line| line.split_once('='));
        for (key, _) in keys {
            assert!(known.contains(&key), "{name}: is {key} known to systemd 219?");
        }
    }
    // `notify-reload` needs 253, and 78 is our status for a configuration that will not get better by trying again.
    let service = read("aimis-gateway.service");
    assert!(service.contains("\nType=notify\n") && service.contains("\nRestartPreventExitStatus=2 78\n"));
}
