//! TCP to every address of the next machine on the way.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chart::Chart;

/// Addresses that are tried; no name has more that matter.
const MOST_ADDRESSES: usize = 16;

/// What became of one address: how long it took, or why it was not reached.
type Tried = (SocketAddr, Result<Duration, ErrorKind>);

pub(super) async fn examine(chart: &mut Chart) {
    for index in chart.open_ways() {
        let tried = try_all(chart, index).await;
        let reached = tried
            .iter()
            .filter_map(|(address, result)| Some((*address, (*result).ok()?)));
        chart.ways[index].reached = reached.min_by_key(|(_, took)| *took).map(|(address, _)| address);
        let found = tried.iter().map(told).collect::<Vec<_>>().join("; ");
        let key = chart.ways[index].key;
        match chart.ways[index].reached {
            None => {
                let fix = fix(&tried, key, &chart.ways[index].host);
                chart.block(index, "connect", found, fix);
            }
            Some(_) if tried.iter().all(|tried| tried.1.is_ok() || has_no_route(tried)) => chart.pass(index, found),
            Some(_) => {
                let tenant = chart.ways[index].tenant.clone();
                let fix = "Open the firewall to all of these addresses, or tell the platform's support which one is down: \
                           each question that meets it first waits platform.connect_head_start_ms.";
                chart.findings.warn(tenant.as_deref(), found, fix);
            }
        }
    }
}

async fn try_all(chart: &Chart, way: usize) -> Vec<Tried> {
    let (clock, patience) = (&chart.findings.clock, chart.patience());
    let addresses = chart.ways[way].addresses.iter().take(MOST_ADDRESSES);
    let tries = addresses.map(|address| async move {
        let start = clock.moment();
        let result = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(clock.moment().since(start)),
            Ok(Err(error)) => Err(error.kind()),
            Err(_) => Err(ErrorKind::TimedOut),
        };
        (*address, result)
    });
    join_all(tries).await
}

fn told((address, result): &Tried) -> String {
    match result {
        Ok(took) => format!("{address} in {:.1} ms", took.as_secs_f64() * 1000.0),
        Err(ErrorKind::TimedOut) => format!("{address} does not answer"),
        Err(kind) => format!("{address}: {kind}"),
    }
}

/// A machine without IPv6 has no way to an address of that family; that costs no time and is no fault.
fn has_no_route((_, result): &Tried) -> bool {
    matches!(
        result,
        Err(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable)
    )
}

fn fix(tried: &[Tried], key: &str, host: &str) -> String {
    if tried
        .iter()
        .any(|(_, result)| *result == Err(ErrorKind::ConnectionRefused))
    {
        return format!("Check host and port in {key}: the machine answers, but nothing listens there.");
    }
    if tried.iter().all(has_no_route) {
        return format!("Ask the network's administrators for a route to {host}, or set platform.proxy.");
    }
    format!(
        "Ask the network's administrators to open the firewall towards {host}, the host in {key}, or set platform.proxy."
    )
}
