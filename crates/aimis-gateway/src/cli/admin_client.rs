//! Talks to the operator's listener of a running gateway.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::output::Failure;
use super::sources::ConfigArguments;
use crate::config::ListenAddr;

/// Time for each step of a question.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Where the listener is.
#[derive(clap::Args)]
pub(super) struct AdminArguments {
    /// Address of the admin listener, HOST:PORT or unix:PATH; without it, that of the configuration.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
    #[command(flatten)]
    source: ConfigArguments,
}

#[derive(Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "neither HOST:PORT nor unix:PATH"),
        }
    }
}

impl AdminArguments {
    /// `GET path`.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, "")
    }

    /// `POST path` with a JSON body.
    pub(super) fn post(&self, path: &str, body: &str) -> Result<Value, Failure> {
        self.ask("POST", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let address = self.address()?;
        let (place, answer) = match &address {
            Address::Tcp(at) => (at.to_string(), over_tcp(*at, method, path, body)),
            Address::Unix(at) => (format!("unix:{}", at.display()), over_unix(at, method, path, body)),
        };
        let (status, answer) = answer.map_err(|error| {
            let kind = error.kind();
            Failure::Problem(format!(
                "no answer from {place}: {kind}; does the gateway run, with [admin]?"
            ))
        })?;
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|_| Failure::Problem(format!("{place} is no admin listener of a gateway")))?;
        if status == 200 {
            return Ok(answer);
        }
        let error = answer["error"].as_str().unwrap_or("refused");
        Err(Failure::Problem(format!("{status}: {error}")))
    }

    fn address(&self) -> Result<Address, Failure> {
        if let Some(address) = &self.address {
            return Ok(address.clone());
        }
        if !self.source.is_given() {
            return Err(Failure::Usage(
                "name the gateway's --config, or the --address of its admin listener".to_owned(),
            ));
        }
        let loaded = self.source.load()?;
        let admin = loaded.config.admin.as_ref().ok_or_else(|| {
            Failure::Problem("the configuration has no [admin] table, so the gateway cannot be reached".to_owned())
        })?;
        match admin.listen.first() {
            Some(ListenAddr::Unix(path)) => Some(Address::Unix(path.clone())),
            Some(tcp) => tcp.tcp().map(Address::Tcp),
            None => None,
        }
        .ok_or_else(|| Failure::Problem("admin.listen names no address".to_owned()))
    }
}

fn over_tcp(at: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect_timeout(&at, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    exchange(stream, &at.to_string(), method, path, body)
}

fn over_unix(at: &PathBuf, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let stream = UnixStream::connect(at)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    exchange(stream, "localhost", method, path, body)
}

fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let question = Zeroizing::new(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}
