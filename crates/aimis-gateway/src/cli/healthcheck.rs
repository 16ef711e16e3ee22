//! `healthcheck`: for images without a shell or curl, as container engines ask it.

use std::net::SocketAddr;

use serde_json::json;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::config::ListenAddr;
use crate::telemetry::ask::{ask, reachable};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Ask whether requests should be sent here, not only whether the process lives.
    #[arg(long)]
    ready: bool,
    /// Address of the telemetry listener; without it, that of the configuration, else 127.0.0.1:9464.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SocketAddr>,
    #[command(flatten)]
    source: ConfigArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = if arguments.ready { "/readyz" } else { "/livez" };
    let address = address(arguments)?;
    let (good, text) = match ask(address, path) {
        Ok((200, body)) => (true, body),
        Ok((status, body)) => (false, format!("{status}: {body}")),
        Err(error) => (false, format!("no answer from {address}: {}", error.kind())),
    };
    let text = text.trim();
    if arguments.json {
        output::json(&json!({ "ok": good, "answer": text }))?;
    } else if good {
        output::line(text)?;
    }
    if good {
        Ok(())
    } else {
        Err(Failure::Problem(text.to_owned()))
    }
}

fn address(arguments: &Arguments) -> Result<SocketAddr, Failure> {
    if let Some(address) = arguments.address {
        return Ok(address);
    }
    let default = SocketAddr::from(([127, 0, 0, 1], 9464));
    if !arguments.source.is_given() {
        return Ok(default);
    }
    let loaded = arguments.source.load()?;
    let listening = loaded.config.telemetry.listen.iter().find_map(ListenAddr::tcp);
    Ok(listening.map_or(default, reachable))
}
