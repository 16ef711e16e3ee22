//! The built binary `aimis-gateway`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Path of the binary, built from this source; `AIMIS_TEST_BINARY` names another build of it, for figures.
pub fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("AIMIS_TEST_BINARY") {
            return path.into();
        }
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

/// The same command under a limit of open files, soft and hard.
pub fn with_descriptors(command: &Command, most: u32) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// The same command by a shell that runs `before` first, as `exec 3<&0` or `ulimit -c unlimited`.
pub fn after(command: &Command, before: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}
