//! Where a run takes place: its directory, the programs, the cores.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::job::TOKEN;

/// What all measurements of a run share.
pub struct Place {
    /// For configuration files, certificates, logs and caches.
    pub directory: PathBuf,
    /// The gateway's binary.
    pub gateway: PathBuf,
    /// Where this program's own companions are.
    companions: PathBuf,
    cores: usize,
}

impl Place {
    /// A directory under `target/`, with a certificate for the upstream; `gateway` is the binary to measure.
    ///
    /// # Errors
    /// If the binary is not there, there is one core only, or `openssl` fails.
    pub fn new(gateway: &Path) -> Result<Self> {
        let directory = std::path::absolute("target/bench")?;
        std::fs::create_dir_all(&directory)?;
        let companions = std::env::current_exe()?;
        let companions = companions.parent().context("a program is in a directory")?.to_owned();
        let gateway = std::path::absolute(gateway)?;
        ensure!(gateway.is_file(), "{} is not built", gateway.display());
        let cores = std::thread::available_parallelism()?.get();
        ensure!(cores >= 2, "one core for what is measured, one for what measures");
        // A certificate that is no authority's and trusted itself: what all of these TLS libraries accept.
        let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
                    -keyout key.pem -out cert.pem";
        run(Command::new("sh").args(["-c", make]).current_dir(&directory))?;
        std::fs::write(directory.join("token"), TOKEN)?;
        std::fs::set_permissions(directory.join("token"), Permissions::from_mode(0o600))?;
        Ok(Self {
            directory,
            gateway,
            companions,
            cores,
        })
    }

    /// One of our own programs.
    #[must_use]
    pub fn companion(&self, name: &str) -> PathBuf {
        self.companions.join(name)
    }

    /// The cores for what is measured, and for what measures, as `taskset` takes them. With too few cores for both to
    /// have their own they share.
    #[must_use]
    pub fn cores(&self, workers: usize) -> (String, String) {
        let list = |from: usize, to: usize| format!("{from}-{}", to - 1);
        match self.cores {
            cores if cores >= 2 * workers => (list(0, workers), list(workers, 2 * workers)),
            cores => (list(0, cores), list(0, cores)),
        }
    }

    /// A file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A port that is free now.
///
/// # Errors
/// If the system has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Runs a command to its end, and gives what it printed.
///
/// # Errors
/// If it cannot be run, or fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is, if it is installed.
#[must_use]
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(Path::new(program)))
        .find(|file| file.is_file())
}
