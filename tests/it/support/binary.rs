//! The built binary `aimis-gateway`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Path of the binary, built from this source.
pub fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let built = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--package",
                "aimis-gateway",
                "--bin",
                "aimis-gateway",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "cargo build --package aimis-gateway failed");
        // Test binaries lie in target/debug/deps, the binary two levels up from there.
        let mut directory = std::env::current_exe().unwrap();
        directory.pop();
        directory.pop();
        directory.join("aimis-gateway")
    })
}

/// A command of the binary, without any `AIMIS_` variable of this process.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIMIS_") {
            command.env_remove(name);
        }
    }
    command
}
