//! Names become addresses.

use tokio::time::timeout;

use super::chart::Chart;

pub(super) async fn examine(chart: &mut Chart) {
    for index in chart.open_ways() {
        let way = &mut chart.ways[index];
        if let Some(address) = way.literal() {
            way.addresses = vec![address];
            let found = format!("{} in {} is an address", way.host, way.key);
            let tenant = way.tenant.clone();
            chart.findings.skipped(tenant.as_deref(), found);
            continue;
        }
        let (host, port, key) = (way.host.clone(), way.port, way.key);
        let patience = chart.patience();
        let answer = timeout(patience, chart.resolver.find(&host, port)).await;
        let (found, fix) = match answer {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
                chart.ways[index].addresses = addresses;
                chart.pass(index, format!("{host} is at {}", shown.join(", ")));
                continue;
            }
            Ok(_) => (
                format!("{host} has no address"),
                format!("Correct the host in {key}, or make it known to DNS or /etc/hosts of this machine"),
            ),
            Err(_) => (
                format!("no answer about {host} within {} ms", patience.as_millis()),
                format!(
                    "Check /etc/resolv.conf and the way to its servers, which have to answer for the host in {key}"
                ),
            ),
        };
        let or = match key {
            "platform.base_url" => ", or set platform.connect_to to an address.",
            _ => ".",
        };
        chart.block(index, "dns", found, fix + or);
    }
}
