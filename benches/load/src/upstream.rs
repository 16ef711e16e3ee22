//! The platform of a part, and what it says about what it was asked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::place::{Place, free_port};
use crate::processes::Program;
use crate::{clock, wire};

/// The upstream of one part; dropping it ends it.
pub struct Upstream {
    /// Where it listens.
    pub port: u16,
    /// Where it tells its counts.
    control: u16,
    _program: Program,
}

/// What became of the questions.
#[derive(Clone, Copy, Deserialize)]
pub struct Counts {
    /// With a success.
    pub answered: u64,
    /// Because a signature, a time or a ciphertext was wrong.
    pub refused: u64,
}

impl Upstream {
    /// Starts it, for answers of so many bytes.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn start(answer: usize, tls: bool, workers: usize, place: &Place) -> Result<Self> {
        let (port, control) = (free_port()?, free_port()?);
        let mut command = vec![place.companion("upstream").display().to_string()];
        let numbers = [
            ("--port", usize::from(port)),
            ("--control", usize::from(control)),
            ("--answer", answer),
        ];
        for (name, number) in numbers {
            command.extend([name.to_owned(), number.to_string()]);
        }
        if tls {
            command.extend(["--tls".to_owned(), place.directory.display().to_string()]);
        }
        let (_, cores) = place.cores(workers);
        let upstream = Self {
            port,
            control,
            _program: Program::start(&cores, &command, &place.file("upstream.log"))?,
        };
        for _ in 0..500 {
            if upstream.counts().is_ok() {
                return Ok(upstream);
            }
            clock::wait(Duration::from_millis(10));
        }
        upstream.counts().context("the upstream does not answer")?;
        Ok(upstream)
    }

    /// What it was asked so far.
    ///
    /// # Errors
    /// If it does not tell.
    pub fn counts(&self) -> Result<Counts> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.control))?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut part)?;
            anyhow::ensure!(read > 0, "closed");
            answer.extend_from_slice(&part[..read]);
            if let Some(message) = wire::message(&answer).map_err(anyhow::Error::msg)? {
                return Ok(serde_json::from_slice(message.body)?);
            }
        }
    }
}
