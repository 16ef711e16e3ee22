//! `simulate`: the platform and a HIS of made-up patients, on this machine.

use std::net::SocketAddr;

use aimis_simulator::{PlatformOptions, RunOptions};
use serde_json::json;

use super::output::{self, Failure};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the platform listens.
    #[arg(long, default_value = "127.0.0.1:9080", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Where its levers are (faults, tokens, records): loopback only.
    #[arg(long, default_value = "127.0.0.1:9081", value_name = "HOST:PORT")]
    control: SocketAddr,
    /// Where the HIS takes deliveries.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "HOST:PORT")]
    his: SocketAddr,
    /// Print the addresses as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(simulate(arguments))
}

async fn simulate(arguments: &Arguments) -> Result<(), Failure> {
    let options = RunOptions {
        platform: PlatformOptions {
            listen: arguments.listen,
            control: Some(arguments.control),
            ..PlatformOptions::default()
        },
        his: Some(arguments.his),
        callback_tls: None,
    };
    let running = aimis_simulator::run(options).await.map_err(|error| Failure::Bind(error.to_string()))?;
    let account = aimis_simulator::Account::demo();
    let control = running.control_addr().map(|address| format!("http://{address}"));
    let his = running.his.as_ref().map(aimis_simulator::His::url);
    if arguments.json {
        output::json(&json!({
            "platform": running.platform.base_url(),
            "control": control,
            "his": his,
            "app_id": account.app_id,
        }))?;
    } else {
        output::line(&format!("platform  {}   appId {}", running.platform.base_url(), account.app_id))?;
        output::line(&format!("control   {}   GET /requests, POST /fault, ...", control.unwrap_or_default()))?;
        output::line(&format!("his       {}", his.unwrap_or_default()))?;
        output::line("All persons, tokens and ids in it are made up. Ctrl-C ends it.")?;
    }
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}
