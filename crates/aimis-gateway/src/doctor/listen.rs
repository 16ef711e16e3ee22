//! The addresses that callers use: free for us, or a gateway's already.

use std::net::SocketAddr;

use super::chart::Chart;
use crate::config::ListenAddr;
use crate::listener::{BindFault, try_bind};
use crate::telemetry::ask::{ask, reachable};

pub(super) async fn examine(chart: &mut Chart) {
    let telemetry = chart.config.telemetry.listen.iter().find_map(ListenAddr::tcp);
    let running = match telemetry.filter(|address| address.port() != 0) {
        Some(address) => gateway_at(address).await,
        None => None,
    };
    chart.findings.restart();
    let config = &chart.config;
    let lists = [
        ("lan.listen", Some(&config.lan.listen)),
        (
            "callback.listen",
            config.callback.as_ref().map(|callback| &callback.listen),
        ),
        ("telemetry.listen", Some(&config.telemetry.listen)),
        ("admin.listen", config.admin.as_ref().map(|admin| &admin.listen)),
    ];
    for (key, address) in lists
        .into_iter()
        .flat_map(|(key, list)| list.into_iter().flatten().map(move |at| (key, at)))
    {
        let findings = &mut chart.findings;
        match (try_bind(address), &running) {
            (Ok(()), _) => findings.ok(None, format!("{key} {address} is free")),
            (Err(fault), Some(version)) if is_taken(&fault) => {
                findings.ok(
                    None,
                    format!("{key} {address} is in use, and gateway {version} runs here"),
                );
            }
            (Err(fault), None) if is_taken(&fault) => findings.fail(
                None,
                format!("{key} {address} is in use, and no gateway answers at telemetry.listen"),
                format!("End the program that has this address (ss -ltnp shows it), or set {key} to another one."),
            ),
            (Err(fault), _) => findings.fail(
                None,
                format!("{key} {address}: {fault}"),
                format!("Set {key} to an address that this machine has and the gateway's user may use."),
            ),
        }
    }
}

fn is_taken(fault: &BindFault) -> bool {
    match fault {
        BindFault::System(error) => error.kind() == std::io::ErrorKind::AddrInUse,
        BindFault::Answered => true,
        BindFault::NotSocket => false,
    }
}

/// The version of the gateway that answers there.
async fn gateway_at(address: SocketAddr) -> Option<String> {
    let asked = tokio::task::spawn_blocking(move || ask(reachable(address), "/healthz"));
    let (_, body) = asked.await.ok()?.ok()?;
    let health: serde_json::Value = serde_json::from_str(&body).ok()?;
    health["checks"].is_object().then_some(())?;
    health["version"].as_str().map(str::to_owned)
}
