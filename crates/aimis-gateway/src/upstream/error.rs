//! Why the platform gave no answer that can be relayed.
//!
//! Three readers: the caller gets a code of ours and a hint, a monitoring proxy gets `Proxy-Status`
//! (RFC 9209), the operator gets the log's `error.type` and `error.detail`. None sees text from the peer.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::proxy::ProxyFault;
use crate::telemetry::labels::AttemptResult;

/// One failed attempt, or the end of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The name of the platform has no address.
    #[error("the platform's name could not be resolved")]
    Dns,
    /// No address of the platform took the connection.
    #[error("connecting to the platform failed: {0}")]
    Connect(std::io::ErrorKind),
    /// `platform.connect_timeout_ms` passed before TCP and TLS were through.
    #[error("connecting to the platform took too long")]
    ConnectTimeout,
    /// The platform's certificate is not to be trusted.
    #[error("the platform's certificate is not valid: {0}")]
    Certificate(CertificateFault),
    /// TLS failed otherwise.
    #[error("TLS with the platform failed")]
    Tls,
    /// The proxy on the way did not let us through (`platform.proxy`).
    #[error("{0}")]
    Proxy(ProxyFault),
    /// `platform.deadline_ms` passed.
    #[error("the platform did not answer within the deadline")]
    Deadline,
    /// `platform.deadline_ms` passed before the question's turn came, so the platform was not asked.
    #[error("the question waited for its turn until the deadline")]
    TurnTimeout,
    /// The connection ended before the answer began.
    #[error("the platform ended the connection without an answer")]
    NoAnswer,
    /// The answer stopped half way.
    #[error("the platform's answer was cut")]
    Cut,
    /// The answer is larger than `platform.max_body`.
    #[error("the platform's answer is too large")]
    TooLarge,
    /// What came is not HTTP.
    #[error("what came from the platform's address is not HTTP")]
    NotHttp,
    /// HTTP, but no answer of the platform's API: something in between answered, or a door of its own.
    #[error("the answer is not the platform's: {0}, with status {1}")]
    NotEnvelope(Foreign, Head),
    /// As many connections as allowed are in use by this worker.
    #[error("all connections to the platform are in use")]
    Busy,
    /// The breaker is open: the platform failed so often that it is not asked for this time.
    #[error("the platform is not asked for a while, since it failed too often")]
    Suspended(Duration),
}

/// What is wrong with the platform's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Past its end, by our clock.
    #[error("expired")]
    Expired,
    /// Before its beginning, by our clock.
    #[error("not yet valid")]
    NotYetValid,
    /// For another name.
    #[error("issued for another name")]
    WrongName,
    /// From an issuer that is not trusted; often a proxy that inspects TLS.
    #[error("unknown issuer")]
    UnknownIssuer,
    /// Anything else.
    #[error("rejected")]
    Rejected,
}

/// What came instead of the platform's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A web page, as proxies, portals and load balancers send.
    #[error("a web page")]
    Html,
    /// A redirect; none is ever followed.
    #[error("a redirect")]
    Redirect,
    /// Nothing.
    #[error("an empty body")]
    Empty,
    /// A compressed body, which we asked not to get.
    #[error("a compressed body")]
    Encoded,
    /// Anything else that is not a JSON object.
    #[error("not a JSON object")]
    NotJson,
    /// An envelope whose `data` is no list, where one is needed to merge it.
    #[error("an envelope without a list")]
    NotList,
}

/// A failed attempt, and whether it went over a connection that had been used before.
#[derive(Clone, Copy, Debug)]
pub struct AttemptError {
    /// What failed.
    pub error: UpstreamError,
    /// The connection came from the pool: the platform may have closed it meanwhile.
    pub reused: bool,
    /// The platform has not taken up the question, and said so: it tells nothing about the platform.
    pub unprocessed: bool,
    /// What was said by an answer that came and cannot be relayed.
    pub head: Option<Head>,
}

/// The head of an answer that cannot be relayed, as far as it matters to who may ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its `Retry-After`.
    pub wait: Option<Duration>,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status.as_u16())
    }
}

impl AttemptError {
    /// A failure without an answer.
    pub fn new(error: UpstreamError, reused: bool) -> Self {
        Self {
            error,
            reused,
            unprocessed: false,
            head: None,
        }
    }

    /// A question that was not taken up: the connection was about to end in order.
    pub fn unprocessed() -> Self {
        Self {
            unprocessed: true,
            ..Self::new(UpstreamError::NoAnswer, true)
        }
    }
}

impl UpstreamError {
    /// Stable name for the log's `error.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Certificate(_) => "certificate",
            Self::Tls => "tls",
            Self::Proxy(fault) => fault.name(),
            Self::Deadline => "deadline",
            Self::TurnTimeout => "turn_timeout",
            Self::NoAnswer => "no_answer",
            Self::Cut => "cut",
            Self::TooLarge => "too_large",
            Self::NotHttp => "not_http",
            Self::NotEnvelope(..) => "not_envelope",
            Self::Busy => "busy",
            Self::Suspended(_) => "suspended",
        }
    }

    /// What the operator should look at, for the log's `error.detail`.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Dns => "no address for the platform's host: check DNS, or set platform.connect_to",
            Self::Connect(std::io::ErrorKind::ConnectionRefused) => {
                "connection refused: check platform.base_url, platform.connect_to and the firewall"
            }
            Self::Connect(_) => "no connection: check the route and the firewall towards the platform",
            Self::ConnectTimeout => {
                "no connection within platform.connect_timeout_ms: a firewall that drops packets, or TLS unanswered"
            }
            Self::Certificate(CertificateFault::Expired) => {
                "the platform's certificate has expired, or this machine's clock is ahead"
            }
            Self::Certificate(CertificateFault::NotYetValid) => {
                "the platform's certificate is not valid yet: this machine's clock is behind"
            }
            Self::Certificate(CertificateFault::WrongName) => {
                "the certificate is for another name: check platform.base_url and platform.connect_to"
            }
            Self::Certificate(CertificateFault::UnknownIssuer) => {
                "the certificate's issuer is unknown: a proxy inspects TLS? then set platform.extra_ca_file"
            }
            Self::Certificate(CertificateFault::Rejected) => "the platform's certificate was rejected",
            Self::Tls => "TLS failed: is it the platform that listens there, with TLS 1.2 or newer?",
            Self::Proxy(fault) => fault.detail(),
            Self::Deadline => "no complete answer within platform.deadline_ms",
            Self::TurnTimeout => {
                "not asked: it waited for its turn until platform.deadline_ms, since the platform is slow or limits.tenant is too low"
            }
            Self::NoAnswer => "the connection was closed or reset before an answer",
            Self::Cut => "the connection ended within the answer",
            Self::TooLarge => "the answer is larger than platform.max_body",
            Self::NotHttp => "the peer does not speak HTTP/1.1: check platform.base_url",
            Self::NotEnvelope(_, head) if head.status == StatusCode::TOO_MANY_REQUESTS => {
                "the platform, or what is in between, said that too much is asked: see tap_closed"
            }
            Self::NotEnvelope(_, head) if head.status.is_client_error() || head.status.is_server_error() => {
                "the platform, or what is in between, answered with an error's status and no answer: see upstream.status_code"
            }
            Self::NotEnvelope(Foreign::Html, _) => "a web page came instead: a proxy or portal in between?",
            Self::NotEnvelope(Foreign::Redirect, _) => "a redirect came instead: check platform.base_url",
            Self::NotEnvelope(Foreign::Empty, _) => "an empty answer came",
            Self::NotEnvelope(Foreign::Encoded, _) => "a compressed answer came though none was asked for",
            Self::NotEnvelope(Foreign::NotJson, _) => "an answer came that is not a JSON object",
            Self::NotEnvelope(Foreign::NotList, _) => "an answer came that has no list of studies",
            Self::Busy => "platform.max_connections_per_worker connections are in use",
            Self::Suspended(_) => {
                "the breaker is open: look for the failures before, and at aimis_breaker_state; one question in breaker.open_ms tries whether it is over"
            }
        }
    }

    /// The status that came instead of an answer, where it says more than the rest: none if it is 200.
    pub fn received_status(self) -> Option<u16> {
        match self {
            Self::Proxy(fault) => fault.received_status(),
            Self::NotEnvelope(_, head) => (!head.status.is_success()).then(|| head.status.as_u16()),
            _ => None,
        }
    }

    /// How long it was asked to wait, by an answer that cannot be relayed.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::NotEnvelope(_, head) => head.wait,
            _ => None,
        }
    }

    /// Whether it is the word that too much is asked.
    pub fn is_too_much(self) -> bool {
        matches!(self, Self::NotEnvelope(_, head) if head.status == StatusCode::TOO_MANY_REQUESTS)
    }

    /// Label of the attempt's counter.
    pub fn attempt_result(self) -> AttemptResult {
        match self {
            // The last two are no attempts: they end before the pool, which counts.
            Self::Dns
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Busy
            | Self::Suspended(_)
            | Self::TurnTimeout => AttemptResult::Connect,
            Self::Certificate(_) | Self::Tls => AttemptResult::Tls,
            Self::Proxy(fault) => fault.attempt_result(),
            Self::Deadline => AttemptResult::Timeout,
            Self::NoAnswer | Self::Cut => AttemptResult::Reset,
            Self::NotHttp => AttemptResult::Http,
            Self::NotEnvelope(_, head) if !head.status.is_success() => AttemptResult::Http,
            Self::TooLarge | Self::NotEnvelope(..) => AttemptResult::Decode,
        }
    }

    /// Error type of RFC 9209, section 2.3.
    pub fn proxy_status(self) -> &'static str {
        match self {
            Self::Dns => "dns_error",
            Self::Connect(std::io::ErrorKind::ConnectionRefused) => "connection_refused",
            Self::Connect(_) => "destination_ip_unroutable",
            Self::ConnectTimeout => "connection_timeout",
            Self::Certificate(_) => "tls_certificate_error",
            Self::Tls => "tls_protocol_error",
            Self::Proxy(fault) => fault.proxy_status(),
            Self::Deadline => "http_response_timeout",
            Self::NoAnswer => "connection_terminated",
            Self::Cut => "http_response_incomplete",
            Self::TooLarge => "http_response_body_size",
            Self::NotHttp | Self::NotEnvelope(..) => "http_protocol_error",
            // Ours, of what may be on its way at a time.
            Self::Busy | Self::TurnTimeout => "connection_limit_reached",
            Self::Suspended(_) => "destination_unavailable",
        }
    }
}
