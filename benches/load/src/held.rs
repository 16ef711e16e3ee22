//! Connections that are open beside what is measured, and idle.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A `load --hold` that runs; dropping it lets go of its connections.
pub struct Held(Child);

impl Held {
    /// Starts the load, and waits until all of its connections are open and each had an answer.
    ///
    /// # Errors
    /// If one was refused; standard error tells why.
    pub fn start(load: &mut Command) -> Result<Self> {
        let mut child = load.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        ensure!(!line.is_empty(), "connections were refused: {}", child.wait()?);
        Ok(Self(child))
    }

    /// Lets go of them.
    ///
    /// # Errors
    /// If one had been closed at the other end; standard error tells which.
    pub fn end(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        ensure!(self.0.wait()?.success(), "connections did not stay open");
        Ok(())
    }
}
