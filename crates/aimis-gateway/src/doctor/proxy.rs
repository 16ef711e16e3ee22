//! The hospital's proxy opens a tunnel.

use std::io::ErrorKind;

use super::chart::Chart;
use super::exchange;
use crate::upstream::error::{CertificateFault, UpstreamError};
use crate::upstream::proxy::ProxyFault;

pub(super) async fn examine(chart: &mut Chart) {
    for index in chart.open_ways() {
        let way = &chart.ways[index];
        if chart.connector.proxy(way.number).is_none() {
            let tenant = way.tenant.clone();
            let found = match (&chart.config.platform.proxy, &chart.config.platform.no_proxy) {
                (Some(_), Some(_)) => "not used: platform.no_proxy, or the tenant's proxy = \"direct\"",
                _ => "no proxy is configured",
            };
            chart.findings.skipped(tenant.as_deref(), found);
            continue;
        }
        let at = format!("{}:{}", way.host, way.port);
        match exchange::tunnel(chart, index).await {
            Ok(_) => {
                let target = chart.connector.target();
                chart.pass(index, format!("{at} opens a tunnel to {target}"));
            }
            Err(UpstreamError::Proxy(fault)) => chart.block(index, "proxy", format!("{at}: {fault}"), fix(fault)),
            Err(other) => chart.block(index, "proxy", format!("{at}: {other}"), exchange::fix(other)),
        }
    }
}

/// What to do about a proxy.
pub(super) fn fix(fault: ProxyFault) -> String {
    let fix = match fault {
        ProxyFault::Dns => "Correct the host in platform.proxy, or make it known to DNS.",
        ProxyFault::Connect(ErrorKind::ConnectionRefused) => "Start the proxy, or correct the port in platform.proxy.",
        ProxyFault::Connect(_) => "Open the firewall towards the proxy, or correct platform.proxy.",
        ProxyFault::Timeout => {
            "Look into the proxy's log whether it waits for the platform; open its way there, or raise \
             platform.connect_timeout_ms."
        }
        ProxyFault::Certificate(CertificateFault::UnknownIssuer) => {
            "Put the authority of the proxy's own certificate into platform.extra_ca_file."
        }
        ProxyFault::Certificate(CertificateFault::WrongName) => {
            "Write the proxy's name as its certificate has it into platform.proxy."
        }
        ProxyFault::Certificate(_) => "Renew the proxy's own certificate.",
        ProxyFault::Tls => "Write http:// instead of https:// in platform.proxy, if the proxy itself speaks no TLS.",
        ProxyFault::Auth(_) => {
            "Set platform.proxy_user and platform.proxy_password_file to a user that the proxy knows; it has to take \
             Basic, not NTLM or Kerberos."
        }
        ProxyFault::Refused(502..=504) => "Open the proxy's own way to the platform; its log says why it has none.",
        ProxyFault::Refused(404 | 405 | 501) => "Correct platform.proxy: what listens there is no forward proxy.",
        ProxyFault::Refused(_) => "Allow CONNECT to the platform's host and port in the proxy's rules.",
        ProxyFault::NotHttp => "Correct platform.proxy: what listens there does not answer as an HTTP proxy.",
        ProxyFault::NoAnswer => "Look into the proxy's log why it closes the connection instead of answering CONNECT.",
        ProxyFault::TunnelCut => {
            "Look into the proxy's log why it closes tunnels: its rules may allow the host, but not the handshake."
        }
    };
    fix.to_owned()
}
