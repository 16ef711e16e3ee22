//! The handshake: a caller on a TLS address comes in here, or is told off, counted and logged.
//!
//! It runs on the worker that has the connection, under a deadline of its own, so that a caller who never
//! finishes it holds up nobody and nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate;
use super::failure::{Failure, HELLO_BYTES};
use crate::clock::Clock;
use crate::edge::peer::PeerCertificate;
use crate::listener;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttles;

/// What plain HTTP is answered with on an address that speaks TLS. Not in the form of our refusals: what reads
/// it is a person in front of a browser or a tool.
const SPEAKS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\ncontent-length: 35\r\n\r\nThis port speaks TLS: use https://\n";

/// How often the clock is looked at while a certificate's end is waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The configuration that handshakes use from now on; the control thread replaces it.
pub type Live = Arc<ArcSwap<ServerConfig>>;

/// Does handshakes.
#[derive(Clone)]
pub struct Door {
    /// The configuration of the moment.
    pub live: Live,
    /// `lan.handshake_timeout_ms`.
    pub timeout: Duration,
    /// For counting failures.
    pub metrics: Arc<Metrics>,
    /// For telling them.
    pub log: Log,
    /// `log.client_address`.
    pub log_client_address: bool,
    /// How often to tell them, by reason; shared by all workers.
    pub throttles: Arc<Throttles>,
    /// For the end of certificates.
    pub clock: Clock,
}

/// A connection behind its handshake.
pub struct Secured {
    /// The caller's bytes.
    pub stream: TlsStream<TcpStream>,
    /// The certificate that it showed, which is verified.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Secured {
    /// The protocol that both agreed on (ALPN, RFC 7301); `None` if the caller named none.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }
}

/// Why nobody came in.
enum Refused {
    /// Connected and left without a word, as probes of load balancers do: nothing to tell.
    Gone,
    /// Spoke HTTP, and can be told so.
    Plaintext(TcpStream),
    /// Anything else.
    Failed(Failure),
}

impl Door {
    /// Lets a caller in, or closes the connection.
    pub async fn admit(&self, stream: TcpStream, address: IpAddr) -> Option<Secured> {
        let refused = match tokio::time::timeout(self.timeout, self.handshake(stream)).await {
            Ok(Ok(secured)) => return Some(secured),
            Ok(Err(refused)) => refused,
            Err(_) => Refused::Failed(Failure::TIMEOUT),
        };
        match refused {
            Refused::Gone => {}
            Refused::Failed(failure) => self.tell(&failure, address),
            Refused::Plaintext(stream) => {
                self.tell(&Failure::PLAINTEXT, address);
                listener::farewell(stream, SPEAKS_TLS).await;
            }
        }
        None
    }

    async fn handshake(&self, stream: TcpStream) -> Result<Secured, Refused> {
        let mut first = [0; HELLO_BYTES];
        let length = stream.peek(&mut first).await.map_err(|_| Refused::Gone)?;
        let first = &first[..length];
        if first.is_empty() {
            return Err(Refused::Gone);
        }
        match Failure::of_first_bytes(first) {
            None => {}
            Some(Failure::PLAINTEXT) => return Err(Refused::Plaintext(stream)),
            Some(failure) => return Err(Refused::Failed(failure)),
        }
        let stream = TlsAcceptor::from(self.live.load_full())
            .accept(stream)
            .await
            .map_err(|error| Refused::Failed(Failure::of_error(&error, first)))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|shown| self.valid(shown)).transpose();
        let certificate = certificate.map_err(Refused::Failed)?.map(Arc::new);
        Ok(Secured { stream, certificate })
    }

    /// Who shows `certificate`, if it still holds: a resumed session brings it along from the handshake before,
    /// which is the last time that rustls looked at it.
    fn valid(&self, certificate: &CertificateDer<'_>) -> Result<PeerCertificate, Failure> {
        let peer = certificate::peer(certificate).ok_or(Failure::UNREADABLE)?;
        if self.until(&peer).is_zero() {
            return Err(Failure::EXPIRED);
        }
        Ok(peer)
    }

    /// How long a certificate still holds.
    pub fn until(&self, certificate: &PeerCertificate) -> Duration {
        let end = certificate.not_after.saturating_mul(1000);
        Duration::from_millis(end.saturating_sub(self.clock.now().as_millis()))
    }

    /// Waits for the end of a certificate.
    pub async fn expiry(&self, certificate: &PeerCertificate) {
        // In steps, because the clock of the wall may be set, and runs on while a machine sleeps.
        loop {
            let left = self.until(certificate);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
    }

    fn tell(&self, failure: &Failure, client: IpAddr) {
        self.metrics.tls_handshake_failures(failure.reason).inc();
        if let Some(left_out) = self.throttles.pass(failure.reason.index()) {
            self.log.write(&Event::TlsHandshakeFailed {
                failure,
                client: Some(client).filter(|_| self.log_client_address),
                left_out,
            });
        }
    }
}
