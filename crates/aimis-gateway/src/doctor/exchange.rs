//! One question over a connection of its own: what the later steps look at.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::chart::Chart;
use super::proxy;
use crate::config::Config;
use crate::forward::apis::Apis;
use crate::forward::protect::{ProtectedRequest, protect};
use crate::nobody::{self, Ids};
use crate::tenant::Tenant;
use crate::upstream::clock_offset::Reading;
use crate::upstream::connect::{self, Connector, Http1};
use crate::upstream::error::{CertificateFault, UpstreamError};
use crate::upstream::proxy::{ProxyFault, Tunnel, open};
use crate::upstream::reply::{self, Reply};
use crate::upstream::{sign, tls};

/// What was heard of the platform.
pub(super) struct Heard {
    /// Its answer, or why there is none.
    pub(super) result: Result<Reply, UpstreamError>,
    /// How long it took.
    pub(super) took: Duration,
    /// Our clock, with `clock.offset_ms`, when it was there.
    pub(super) read: Reading,
    /// Which ids it was asked with.
    pub(super) ids: Ids,
}

/// Asks the platform for a tenant, once. `None` without a token, a way or a question.
pub(super) async fn ask(chart: &Chart, hospital: usize) -> Option<Heard> {
    let hospital = &chart.hospitals[hospital];
    let way = &chart.ways[hospital.way];
    let tenant = hospital.tenant.as_ref().filter(|_| way.blocked.is_none())?;
    let (request, ids) = question(&chart.config, tenant)?;
    let clock = chart.findings.clock.shifted(chart.config.clock.offset_ms);
    let start = clock.moment();
    let exchange = async {
        let opening = timeout(chart.patience(), sender(chart, hospital.way));
        let mut sender = opening.await.unwrap_or(Err(UpstreamError::ConnectTimeout))?;
        // Signed when the connection is there: its opening must not age the signature.
        let signed = sign::signed(&request, clock.shifted(chart.correction).now());
        let asked = clock.moment();
        let answer = sender.send_request(signed).await;
        let response = answer.map_err(|error| reply::classify(&error, false))?;
        let read = reply::read(response, (asked, clock.moment()), chart.config.platform.max_body);
        read.await?.0.map_err(|(error, _)| error)
    };
    let result = timeout(chart.config.platform.deadline, exchange).await;
    Some(Heard {
        result: result.unwrap_or(Err(UpstreamError::Deadline)),
        took: clock.moment().since(start),
        read: Reading {
            wall_ms: clock.now().as_millis(),
            moment: clock.moment(),
        },
        ids,
    })
}

/// The way as far as the platform's door: TCP, and a proxy's tunnel.
pub(super) async fn tunnel(chart: &Chart, way: usize) -> Result<Tunnel, UpstreamError> {
    let way = &chart.ways[way];
    let address = way.reached.ok_or(UpstreamError::ConnectTimeout)?;
    let proxy = chart.connector.proxy(way.number);
    let late = match proxy {
        Some(_) => UpstreamError::Proxy(ProxyFault::Timeout),
        None => UpstreamError::ConnectTimeout,
    };
    let opening = async {
        let tcp = TcpStream::connect(address).await;
        let Some(proxy) = proxy else {
            return tcp
                .map(Tunnel::Plain)
                .map_err(|error| UpstreamError::Connect(error.kind()));
        };
        let tcp = tcp.map_err(|error| UpstreamError::Proxy(ProxyFault::Connect(error.kind())))?;
        let tunnel = open(proxy, tcp, &chart.connector.target()).await;
        tunnel.map_err(UpstreamError::Proxy)
    };
    timeout(chart.patience(), opening).await.unwrap_or(Err(late))
}

async fn sender(chart: &Chart, way: usize) -> Result<Http1, UpstreamError> {
    let max_head = chart.config.platform.max_head_bytes;
    match tunnel(chart, way).await? {
        Tunnel::Plain(stream) => speak(&chart.connector, stream, max_head).await,
        Tunnel::Secured(stream) => speak(&chart.connector, stream, max_head).await,
    }
}

async fn speak<S>(connector: &Connector, stream: S, max_head: usize) -> Result<Http1, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let Some(tls) = connector.tls() else {
        return connect::handshake(stream, max_head).await;
    };
    let secured = tls::secure(tls, stream).await;
    connect::handshake(secured.map_err(|error| connect::tls_fault(&error))?, max_head).await
}

/// The question about nobody, in this tenant's name.
fn question(config: &Config, tenant: &Arc<Tenant>) -> Option<(ProtectedRequest, Ids)> {
    let (api, order, ids) = nobody::question(config, tenant, &Apis::builtin())?;
    Some((protect(&order, api, tenant, tenant.keyring.current()), ids))
}

/// What to do about an exchange that failed.
pub(super) fn fix(error: UpstreamError) -> String {
    let fix = match error {
        UpstreamError::Proxy(fault) => return proxy::fix(fault),
        UpstreamError::Dns => "Make the platform's host known to DNS, or set platform.connect_to.",
        UpstreamError::Connect(_) | UpstreamError::ConnectTimeout => {
            "Open the firewall towards the platform, or raise platform.connect_timeout_ms on a slow line."
        }
        UpstreamError::Certificate(CertificateFault::UnknownIssuer) => {
            "Exempt the platform from TLS inspection, or put the inspecting authority into platform.extra_ca_file."
        }
        UpstreamError::Certificate(_) | UpstreamError::Tls => {
            "Check platform.base_url and platform.connect_to: something else than the platform answers there."
        }
        UpstreamError::Deadline => {
            "Run doctor again in a minute; if it stays so, report it to the platform's support, or raise \
             platform.deadline_ms."
        }
        UpstreamError::NoAnswer | UpstreamError::Cut => {
            "Look for a firewall or proxy that cuts connections on the way; if there is none, report it to the \
             platform's support."
        }
        UpstreamError::TooLarge => "Raise platform.max_body.",
        UpstreamError::NotEnvelope(_, head) if head.status.is_client_error() || head.status.is_server_error() => {
            "Look up the status at the platform's, or a proxy's on the way; if it is 404, check platform.base_url."
        }
        UpstreamError::NotHttp | UpstreamError::NotEnvelope(..) => {
            "Check platform.base_url, and look for a proxy or portal that answers in the platform's place."
        }
        UpstreamError::Busy | UpstreamError::Suspended(_) | UpstreamError::TurnTimeout => "Run doctor again.",
    };
    fix.to_owned()
}
