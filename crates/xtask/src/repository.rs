//! Where the repository is, and commands run in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The text of a file of the repository.
pub(crate) fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

/// A command with its text for messages.
pub(crate) struct Run {
    command: Command,
    text: String,
}

/// Cargo in the repository: the one that runs this, so that `+toolchain` and the like hold for all.
pub(crate) fn cargo(arguments: &[&str]) -> Run {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut run = program(&cargo);
    run.text = "cargo".to_owned();
    run.args(arguments)
}

/// Cargo in `fuzz/`, which is a workspace of its own.
pub(crate) fn fuzz_cargo(arguments: &[&str]) -> Run {
    let mut run = cargo(arguments);
    run.command.current_dir(root().join("fuzz"));
    run
}

/// Any program, in the root of the repository.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Run {
    let text = name.as_ref().to_string_lossy().into_owned();
    let mut command = Command::new(name);
    command.current_dir(root());
    Run { command, text }
}

impl Run {
    pub(crate) fn args<S: AsRef<str>>(mut self, arguments: &[S]) -> Self {
        for argument in arguments {
            self.text.push(' ');
            self.text.push_str(argument.as_ref());
            self.command.arg(argument.as_ref());
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.text = format!("{name}='{value}' {}", self.text);
        self.command.env(name, value);
        self
    }

    /// Runs it before the eyes of the caller.
    pub(crate) fn run(mut self) -> Result<()> {
        crate::steps::tell(&format!("$ {}", self.text));
        let status = self
            .command
            .status()
            .with_context(|| format!("cannot run {}", self.text))?;
        if !status.success() {
            bail!("{} ended with {status}", self.text);
        }
        Ok(())
    }

    /// Runs it and hands each line of its standard output to `line`.
    pub(crate) fn lines(mut self, mut line: impl FnMut(&str)) -> Result<()> {
        use std::io::{BufRead, BufReader};

        crate::steps::tell(&format!("$ {}", self.text));
        let context = || format!("cannot run {}", self.text);
        let mut child = self.command.stdout(Stdio::piped()).spawn().with_context(context)?;
        let mut output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        // Tests may print any bytes, so the lines are not taken for UTF-8.
        let mut bytes = Vec::new();
        while output.read_until(b'\n', &mut bytes)? > 0 {
            line(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
            bytes.clear();
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.text);
        }
        Ok(())
    }

    /// Runs it quietly and returns its standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self
            .command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.text))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}\n{}", self.text, output.status, complaint.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("{} did not print UTF-8", self.text))
    }
}
