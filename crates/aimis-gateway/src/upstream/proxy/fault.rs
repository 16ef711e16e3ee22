//! What may go wrong with a proxy, as the log, the metrics and the caller are told.

use std::io::ErrorKind;

use crate::telemetry::labels::AttemptResult;
use crate::upstream::error::CertificateFault;

/// Why a proxy did not let us through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// Its name has no address.
    #[error("the proxy's name could not be resolved")]
    Dns,
    /// None of its addresses took the connection.
    #[error("connecting to the proxy failed: {0}")]
    Connect(ErrorKind),
    /// It did not let us through within `platform.connect_timeout_ms`.
    #[error("the proxy took too long")]
    Timeout,
    /// Its own certificate is not to be trusted (`https://` proxy).
    #[error("the proxy's certificate is not valid: {0}")]
    Certificate(CertificateFault),
    /// TLS with the proxy itself failed otherwise.
    #[error("TLS with the proxy failed")]
    Tls,
    /// 407, or tinyproxy's 401: it wants another user or password than we have.
    #[error("the proxy asks for authentication ({0})")]
    Auth(u16),
    /// It answered CONNECT with another status than 200.
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    /// What came is not the head of an answer to CONNECT.
    #[error("what came from the proxy is not HTTP")]
    NotHttp,
    /// It ended the connection before its answer.
    #[error("the proxy ended the connection without an answer")]
    NoAnswer,
    /// The tunnel ended within the handshake with the platform.
    #[error("the proxy's tunnel was cut")]
    TunnelCut,
}

impl ProxyFault {
    /// Whether another attempt may do better: not where somebody has to change a setting first.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Dns
            | Self::Connect(_)
            | Self::Timeout
            | Self::NoAnswer
            | Self::TunnelCut
            | Self::Refused(502..=504) => true,
            Self::Certificate(_) | Self::Tls | Self::Auth(_) | Self::Refused(_) | Self::NotHttp => false,
        }
    }

    /// Stable name for the log's `error.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "proxy_dns",
            Self::Connect(_) => "proxy_connect",
            Self::Timeout => "proxy_timeout",
            Self::Certificate(_) => "proxy_certificate",
            Self::Tls => "proxy_tls",
            Self::Auth(_) => "proxy_auth",
            Self::Refused(_) => "proxy_refused",
            Self::NotHttp => "proxy_not_http",
            Self::NoAnswer => "proxy_no_answer",
            Self::TunnelCut => "tunnel_cut",
        }
    }

    /// What the operator should look at, for the log's `error.detail`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Dns => "no address for the proxy's host: check DNS and platform.proxy",
            Self::Connect(ErrorKind::ConnectionRefused) => {
                "the proxy's port refused the connection: is it running, and is platform.proxy right?"
            }
            Self::Connect(_) => "no connection to the proxy: check the route, the firewall and platform.proxy",
            Self::Timeout => {
                "no tunnel within platform.connect_timeout_ms: a firewall before the proxy, or the proxy waits for the platform"
            }
            Self::Certificate(CertificateFault::UnknownIssuer) => {
                "the issuer of the proxy's own certificate is unknown: set platform.extra_ca_file"
            }
            Self::Certificate(CertificateFault::WrongName) => {
                "the proxy's own certificate is for another name than the host in platform.proxy"
            }
            Self::Certificate(_) => "the proxy's own certificate is expired, not yet valid or otherwise rejected",
            Self::Tls => "TLS with the proxy itself failed: should platform.proxy begin with http://?",
            Self::Auth(_) => {
                "the proxy does not know us: check platform.proxy_user and platform.proxy_password_file; only Basic is spoken"
            }
            Self::Refused(400) => "the proxy answered CONNECT with 400: does it allow CONNECT to that port?",
            Self::Refused(403) => {
                "the proxy answered CONNECT with 403: its rules must allow the platform's host and port"
            }
            Self::Refused(404 | 405 | 501) => "the proxy answered CONNECT with 404, 405 or 501: is it a forward proxy?",
            Self::Refused(429) => "the proxy answered CONNECT with 429: it limits us",
            Self::Refused(500) => "the proxy answered CONNECT with 500: see the proxy's log",
            Self::Refused(502) => "the proxy answered CONNECT with 502: it cannot reach the platform",
            Self::Refused(503) => "the proxy answered CONNECT with 503: it cannot reach the platform, or is full",
            Self::Refused(504) => "the proxy answered CONNECT with 504: the platform did not answer it in time",
            Self::Refused(_) => "the proxy answered CONNECT with another status than 200: see Proxy-Status",
            Self::NotHttp => "what listens at platform.proxy does not answer CONNECT as HTTP proxies do",
            Self::NoAnswer => "the proxy closed the connection instead of answering CONNECT: see the proxy's log",
            Self::TunnelCut => "the tunnel was closed within the handshake with the platform: see the proxy's log",
        }
    }

    /// Label of the attempt's counter.
    pub fn attempt_result(self) -> AttemptResult {
        match self {
            Self::Certificate(_) | Self::Tls | Self::TunnelCut => AttemptResult::Tls,
            Self::Dns
            | Self::Connect(_)
            | Self::Timeout
            | Self::Auth(_)
            | Self::Refused(_)
            | Self::NotHttp
            | Self::NoAnswer => AttemptResult::Connect,
        }
    }

    /// Error type of RFC 9209, section 2.3.
    pub fn proxy_status(self) -> &'static str {
        match self {
            Self::Dns => "dns_error",
            Self::Connect(ErrorKind::ConnectionRefused) => "connection_refused",
            Self::Connect(_) => "destination_ip_unroutable",
            Self::Timeout => "connection_timeout",
            Self::Certificate(_) => "tls_certificate_error",
            Self::Tls => "tls_protocol_error",
            Self::Auth(_) => "proxy_configuration_error",
            Self::Refused(502..=504) => "destination_unavailable",
            Self::Refused(_) => "http_request_denied",
            Self::NotHttp => "http_protocol_error",
            Self::NoAnswer | Self::TunnelCut => "connection_terminated",
        }
    }

    /// The status that the proxy answered with, if that is what went wrong.
    pub fn received_status(self) -> Option<u16> {
        match self {
            Self::Auth(status) | Self::Refused(status) => Some(status),
            _ => None,
        }
    }
}
