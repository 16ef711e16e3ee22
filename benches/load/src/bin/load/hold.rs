//! Many connections that do nothing: each asks once, so that it is a real one, and stays.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{Arguments, closed, expected, take_answer, tell};

/// Opens them one after the other, tells when all are open, and keeps them until standard input ends.
///
/// # Errors
/// Also if one is no longer open then: nothing that was measured beside it counts.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let expected = expected(arguments);
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let mut part = vec![0; 128 << 10];
    let mut open = Vec::new();
    for number in 0..arguments.connections {
        let mut stream =
            TcpStream::connect(("127.0.0.1", arguments.port)).with_context(|| format!("connection {number}"))?;
        arguments.questions(number).write(&mut request);
        stream.write_all(&request)?;
        while !take_answer(&mut answer, &expected)? {
            let read = stream.read(&mut part)?;
            if read == 0 {
                closed()?;
            }
            answer.extend_from_slice(&part[..read]);
        }
        open.push(stream);
    }
    tell(&json!({"connections": open.len()}));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for (number, stream) in open.iter().enumerate() {
        is_open(stream).with_context(|| format!("connection {number}"))?;
    }
    Ok(())
}

fn is_open(mut stream: &TcpStream) -> Result<()> {
    stream.set_nonblocking(true)?;
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
        Ok(0) => closed().map(drop),
        Ok(_) => bail!("bytes that nobody asked for"),
    }
}
