//! TLS with the platform: version, whose certificate, until when, and by whom it is trusted.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::chart::Chart;
use super::exchange;
use super::witness::{Shown, Witness};
use crate::edge::tls::certificate::{About, about};
use crate::upstream::connect::tls_fault;
use crate::upstream::error::{CertificateFault, UpstreamError};
use crate::upstream::proxy::Tunnel;
use crate::upstream::tls;

/// From here on a certificate's end is worth a word.
const WARN_DAYS: i64 = 30;

const DAY_MS: i64 = 86_400_000;

pub(super) async fn examine(chart: &mut Chart) {
    for index in chart.open_ways() {
        let Some((name, config)) = chart.connector.tls() else {
            let tenant = chart.ways[index].tenant.clone();
            chart.findings.skipped(
                tenant.as_deref(),
                "platform.base_url is http: nothing on the way is encrypted or verified",
            );
            continue;
        };
        let witness = Arc::new(Witness::new(&chart.roots));
        let mut config = ClientConfig::clone(config);
        // As strict as the one it replaces.
        config.dangerous().set_certificate_verifier(Arc::clone(&witness) as _);
        // A session that is resumed would show no certificate.
        config.resumption = Resumption::disabled();
        let greeting = greet(chart, index, (name.clone(), Arc::new(config)));
        let greeted = timeout(chart.patience(), greeting).await;
        let greeted = greeted.unwrap_or(Err(UpstreamError::ConnectTimeout));
        let shown = witness.shown();
        match greeted {
            Ok(version) => judge(chart, index, version, &shown),
            Err(error) => {
                let about = shown.chain.first().and_then(about);
                let (found, fix) = refused(chart, error, about.as_ref());
                chart.block(index, "tls", found, fix);
            }
        }
    }
}

async fn greet(
    chart: &Chart,
    way: usize,
    tls: (ServerName<'static>, Arc<ClientConfig>),
) -> Result<Option<ProtocolVersion>, UpstreamError> {
    match exchange::tunnel(chart, way).await? {
        Tunnel::Plain(stream) => version(&tls, stream).await,
        Tunnel::Secured(stream) => version(&tls, stream).await,
    }
}

async fn version<S>(
    tls: &(ServerName<'static>, Arc<ClientConfig>),
    stream: S,
) -> Result<Option<ProtocolVersion>, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let secured = tls::secure(tls, stream).await.map_err(|error| tls_fault(&error))?;
    Ok(secured.get_ref().1.protocol_version())
}

fn judge(chart: &mut Chart, way: usize, version: Option<ProtocolVersion>, shown: &Shown) {
    let version = match version {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let by = if shown.public {
        "trusted by a public authority"
    } else {
        "trusted by platform.extra_ca_file"
    };
    let Some(about) = shown.chain.first().and_then(about) else {
        chart.pass(way, format!("{version}, {by}"));
        return;
    };
    let days = days_left(chart, &about);
    let found = format!("{version}, {}, {by}, {days} days left", whose(&about));
    if days < WARN_DAYS {
        let tenant = chart.ways[way].tenant.clone();
        let host = &chart.config.platform.base_url.host;
        let fix = format!("Ask who runs {host} (the platform's support, or the owner of the gap device) to renew it.");
        chart.findings.warn(tenant.as_deref(), found, fix);
    } else {
        chart.pass(way, found);
    }
}

/// Below 0 when it is over.
fn days_left(chart: &Chart, about: &About) -> i64 {
    let now = i64::try_from(chart.findings.clock.now().as_millis()).unwrap_or(i64::MAX);
    let end = i64::try_from(about.not_after)
        .unwrap_or(i64::MAX / DAY_MS)
        .saturating_mul(1000);
    end.saturating_sub(now).div_euclid(DAY_MS)
}

fn whose(about: &About) -> String {
    format!("certificate of {} by {}", about.subject, about.issuer)
}

/// What happened, and what to do about it.
fn refused(chart: &Chart, error: UpstreamError, about: Option<&About>) -> (String, String) {
    let host = &chart.config.platform.base_url.host;
    let shown = about.map_or_else(String::new, |about| format!("; {}", whose(about)));
    let found = format!("{error}{shown}");
    let UpstreamError::Certificate(fault) = error else {
        let fix = match error {
            UpstreamError::ConnectTimeout | UpstreamError::NoAnswer => format!(
                "Check that platform.base_url and platform.connect_to lead to a TLS port, and ask the network's \
                 administrators whether a firewall drops TLS to {host}."
            ),
            other => exchange::fix(other),
        };
        return (found, fix);
    };
    match fault {
        CertificateFault::Expired => {
            let days = about.map_or(0, |about| -days_left(chart, about));
            let fix = format!(
                "Check this machine's date first; if it is right, ask who runs {host} to renew the certificate."
            );
            (format!("{found}, over for {days} days"), fix)
        }
        CertificateFault::NotYetValid => (found, "Set this machine's clock by NTP: it is behind.".to_owned()),
        CertificateFault::WrongName => {
            let names = about.map(|about| about.names.join(", ")).unwrap_or_default();
            let fix = format!(
                "Correct platform.base_url, or platform.connect_to if that leads to another machine: what answers is \
                 for {names}, not for {host}."
            );
            (format!("{found} for {names}"), fix)
        }
        CertificateFault::UnknownIssuer => {
            let issuer = about.map_or_else(|| "the issuer".to_owned(), |about| about.issuer.clone());
            let fix = format!(
                "Ask the network's administrators to exempt {host} from TLS inspection, or put the authority {issuer} \
                 into platform.extra_ca_file if it is the hospital's own."
            );
            (format!("{found}; most likely a proxy that inspects TLS"), fix)
        }
        CertificateFault::Rejected => {
            let fix = format!("Ask who runs {host} for a certificate with modern algorithms and the name in it.");
            (found, fix)
        }
    }
}
