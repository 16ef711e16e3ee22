//! The HIS that events are delivered to: whether it takes a connection, and who it is. No event is sent.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chart::Chart;
use crate::callback::deliver::Target;
use crate::upstream::addresses::Resolver;
use crate::upstream::connect::tls_fault;
use crate::upstream::error::UpstreamError;
use crate::upstream::tls::secure;

/// Why a target cannot be reached, and what to do.
type Trouble = (String, &'static str);

pub(super) async fn examine(chart: &mut Chart) {
    if chart.config.callback.is_none() {
        return chart
            .findings
            .skipped(None, "there is no section callback: none are taken");
    }
    let looked_at: Vec<(usize, String)> = chart
        .hospitals
        .iter()
        .map(|hospital| (hospital.index, hospital.name.clone()))
        .collect();
    for (index, name) in looked_at {
        chart.findings.restart();
        let patience = chart.config.delivery.timeout;
        let outcome = match Target::read(&chart.config.tenants[index]) {
            Ok(None) => {
                chart
                    .findings
                    .skipped(Some(&name), "no callback.target: its events are fetched");
                continue;
            }
            Ok(Some(target)) => reach(&target, &chart.resolver, patience).await,
            Err(error) => Err((error.to_string(), "Correct this file or the key that names it.")),
        };
        match outcome {
            Ok(found) => chart.findings.ok(Some(&name), found),
            Err((found, fix)) => {
                let fix = format!("{fix} The key is tenants[{index}].callback.target.");
                chart.findings.fail(Some(&name), found, fix);
            }
        }
    }
}

async fn reach(target: &Target, resolver: &Resolver, patience: Duration) -> Result<String, Trouble> {
    let (host, port) = target.place();
    let place = format!("{host}:{port}");
    let addresses = match timeout(patience, resolver.find(host, port)).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
        _ => {
            return Err((
                format!("{host} has no address"),
                "Correct the name, or see to the DNS of this machine.",
            ));
        }
    };
    let mut last = None;
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return greet(target, &place, stream, patience).await,
            Ok(Err(error)) => last = Some(error.kind().to_string()),
            Err(_) => last = Some("no answer".to_owned()),
        }
    }
    let why = last.unwrap_or_default();
    Err((
        format!("{place} takes no connection: {why}"),
        "Start the program of the HIS that takes events, or open the firewall to it; what comes meanwhile is kept.",
    ))
}

async fn greet(target: &Target, place: &str, stream: TcpStream, patience: Duration) -> Result<String, Trouble> {
    let Some(tls) = target.tls() else {
        return Ok(format!("{place} takes connections; no event was sent"));
    };
    match timeout(patience, secure(tls, stream)).await {
        Ok(Ok(_)) => Ok(format!(
            "{place} takes connections, and its certificate is trusted; no event was sent"
        )),
        Ok(Err(error)) => Err((
            match tls_fault(&error) {
                UpstreamError::Certificate(fault) => format!("{place}: its certificate is not valid: {fault}"),
                _ => format!("{place}: TLS failed"),
            },
            "Correct the certificate of the HIS, or name its authority in callback.target_ca_file.",
        )),
        Err(_) => Err((
            format!("{place} takes connections and speaks no TLS"),
            "Write http:// if the HIS speaks no TLS (with callback.target_allow_plaintext), or see to its certificate.",
        )),
    }
}
