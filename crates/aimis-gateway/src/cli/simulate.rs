//! `simulate`: the platform and a HIS of made-up patients, on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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
    /// File with the token of the made-up hospital, 32 characters and nothing else, so that a gateway in another
    /// container can be given the same one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the addresses as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.control.ip().to_canonical().is_loopback() {
        return Err(Failure::Usage(format!(
            "--control {}: loopback addresses only, it has no password",
            arguments.control
        )));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(simulate(arguments))
}

async fn simulate(arguments: &Arguments) -> Result<(), Failure> {
    // Before anything is announced, so that whoever stops it then is heard.
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut account = aimis_simulator::Account::demo();
    if let Some(file) = &arguments.token_file {
        account.token = token(file)?;
    }
    let options = RunOptions {
        platform: PlatformOptions {
            listen: arguments.listen,
            control: Some(arguments.control),
            accounts: vec![account.clone()],
            ..PlatformOptions::default()
        },
        his: Some(arguments.his),
        callback_tls: None,
    };
    let running = aimis_simulator::run(options)
        .await
        .map_err(|error| not_bound(arguments, &error))?;
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
        output::line(&format!(
            "platform  {}   appId {}",
            running.platform.base_url(),
            account.app_id
        ))?;
        output::line(&format!(
            "control   {}   GET /requests, POST /fault, ...",
            control.as_deref().unwrap_or_default()
        ))?;
        output::line(&format!("his       {}", his.unwrap_or_default()))?;
        output::print(&gateway_configuration(
            &running.platform.base_url(),
            control.as_deref().unwrap_or_default(),
            &account,
        ))?;
        output::line("All persons, tokens and ids in it are made up. Ctrl-C ends it.")?;
    }
    // A container engine sends TERM, and the first process of a container does not die of it by itself.
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    running.stop().await;
    Ok(())
}

fn token(file: &Path) -> Result<String, Failure> {
    let problem = |reason: String| Failure::Problem(format!("--token-file {}: {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| problem(error.to_string()))?;
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem("is not 32 characters and nothing else".to_owned()));
    }
    Ok(text)
}

/// The simulator does not say which of its addresses it could not have; binding them again does.
fn not_bound(arguments: &Arguments, error: &std::io::Error) -> Failure {
    let taken = [
        ("--listen", arguments.listen),
        ("--control", arguments.control),
        ("--his", arguments.his),
    ]
    .into_iter()
    .find(|(_, address)| std::net::TcpListener::bind(address).is_err());
    let place = taken.map_or_else(String::new, |(option, address)| format!(" on {address} ({option})"));
    Failure::Bind(format!("cannot listen{place}: {}", error.kind()))
}

/// Commands that point a gateway at this simulator. The token is a new one, which the simulator is told: no
/// output of ours shows a token, a made-up one neither, since nobody who searches a log can tell the two apart.
fn gateway_configuration(base_url: &str, control: &str, account: &aimis_simulator::Account) -> String {
    let app_id = &account.app_id;
    format!(
        "\nA gateway for it:\n\n\
         od -An -N16 -tx1 /dev/urandom | tr -d ' \\n' > simulator.token\n\
         printf '{{\"appId\":\"{app_id}\",\"token\":\"%s\"}}' \"$(cat simulator.token)\" | curl -s {control}/token -d @-\n\
         cat > simulator.toml <<'END'\n\
         [platform]\nbase_url = \"{base_url}\"\n\n\
         [[tenants]]\nname = \"simulated-hospital\"\napp_id = \"{app_id}\"\ntoken_file = \"simulator.token\"\n\
         hospital_id = \"{}\"\nunion_id = \"{}\"\nEND\n\
         aimis-gateway serve --config simulator.toml\n\n",
        account.hospital_id, account.union_id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Sources};

    fn arguments(listen: SocketAddr, control: &str) -> Arguments {
        let free = "127.0.0.1:0".parse().unwrap();
        Arguments {
            listen,
            control: control.parse().unwrap(),
            his: free,
            token_file: None,
            json: false,
        }
    }

    #[test]
    fn the_configuration_that_is_shown_is_one_that_works() {
        let account = aimis_simulator::Account::demo();
        let shown = gateway_configuration("http://127.0.0.1:9080", "http://127.0.0.1:9081", &account);
        let file = shown.split("<<'END'\n").nth(1).unwrap().split("END\n").next().unwrap();

        let loaded = config::load(&Sources::text("simulator.toml", file.to_owned())).unwrap();

        assert_eq!(loaded.config.platform.base_url.authority(), "127.0.0.1:9080");
        assert!(!shown.contains(&account.token));
    }

    #[test]
    fn levers_beyond_this_machine_are_wrong_usage() {
        let failure = run(&arguments("127.0.0.1:0".parse().unwrap(), "0.0.0.0:0"))
            .err()
            .unwrap();
        assert!(matches!(failure, Failure::Usage(_)), "{failure}");
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();

        let failure = run(&arguments(address, "127.0.0.1:0")).err().unwrap();

        assert!(matches!(failure, Failure::Bind(_)));
        assert!(failure.to_string().contains(&address.to_string()), "{failure}");
    }
}
