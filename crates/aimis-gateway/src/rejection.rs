//! The gateway's own refusals: a code, a status, a text that tells the caller what to do.
//!
//! One body in two dialects (design.md, section 3): the members of RFC 9457 and the platform's envelope,
//! so that a HIS which knows only `code` and `message` works as before. Texts name fields and positions,
//! never values. `Display` is for the log; a caller's text is made in `rejection::answer`.

mod answer;
mod head;
mod text;

use std::time::Duration;

use aimis_core::order::FieldProblem;
use http::StatusCode;

use crate::client::SignInFault;
use crate::client::permissions::Rule;
use crate::edge::guard::HeadFault;
use crate::limit::{Limit, Limited};
use crate::telemetry::labels::{CodeClass, RejectReason};
use crate::upstream::error::UpstreamError;

pub use answer::{message, to_response};

/// Why a request was not forwarded, or its answer not relayed.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The body is not of any dialect.
    #[error("body not understood at line {line}, column {column}: {fault:?}")]
    BodyNotUnderstood {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// What is wrong there.
        fault: BodyFault,
    },
    /// No request: its head, or the framing of its body, is not HTTP as we take it.
    #[error("malformed: {0}")]
    Malformed(HeadFault),
    /// A field stands twice.
    #[error("field {field} stands twice, at line {line}, column {column}")]
    FieldTwice {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
        /// Its name, from the contract.
        field: String,
    },
    /// The declared charset is unknown.
    #[error("declared charset unknown")]
    CharsetNotSupported,
    /// Larger than `lan.max_body`.
    #[error("body larger than {limit} bytes")]
    BodyTooLarge {
        /// `lan.max_body`, in bytes.
        limit: usize,
    },
    /// The body did not come whole within `lan.body_timeout_ms`.
    #[error("{received} bytes of the body came")]
    BodyIncomplete {
        /// Bytes that came.
        received: usize,
        /// Bytes that were announced, if they were.
        expected: Option<u64>,
    },
    /// Fields are missing or wrong.
    #[error("{} field(s) not valid", .0.len())]
    FieldInvalid(Vec<FieldProblem>),
    /// The tenant cannot be told.
    #[error("the tenant cannot be told from path or hospitalId")]
    TenantUnclear,
    /// The path names no API.
    #[error("no such API")]
    NoSuchApi,
    /// The path names an appId that no tenant has.
    #[error("no tenant has this appId")]
    NoSuchTenant,
    /// The path names no inbox that this HIS can fetch from.
    #[error("no such inbox")]
    NoSuchInbox,
    /// The inbox did not do what it was asked.
    #[error("inbox unavailable")]
    InboxUnavailable,
    /// Another method than the path has.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// Those it has.
        allow: &'static str,
    },
    /// Several headers name different users behind the request (`audit.operator_header`).
    #[error("several users are named")]
    OperatorUnclear,
    /// A personal field stands in the URL.
    #[error("a field of the request stands in the URL")]
    FieldInUrl,
    /// Who asks is not known.
    #[error("client unknown: {}", fault.name())]
    ClientUnknown {
        /// Why; for the log only.
        fault: SignInFault,
    },
    /// Too many sign-ins of this address have failed.
    #[error("too many failed sign-ins")]
    SignInsLimited {
        /// How long to wait.
        wait: Duration,
    },
    /// The client may not ask this.
    #[error("not permitted by the client's rule {}", rule.as_str())]
    NotPermitted {
        /// Which of its rules forbids it.
        rule: Rule,
    },
    /// A web page asks whose origin is not configured.
    #[error("a web page of another origin")]
    PageNotAllowed,
    /// Too much is asked.
    #[error("over a quota")]
    QuotaExceeded(Limited),
    /// The gateway is full.
    #[error("overloaded")]
    Overloaded,
    /// As many of the tenant's questions wait for their turn as may (`limits.queue`).
    #[error("too many questions wait")]
    QueueFull,
    /// The record of it cannot be written, and `audit.on_failure` says "refuse".
    #[error("the audit trail cannot be written")]
    AuditUnavailable,
    /// The gateway is stopping.
    #[error("draining")]
    Draining,
    /// The request asks for a kept answer only, and none is kept.
    #[error("no answer kept")]
    NotKept,
    /// No answer from the platform.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A defect of the gateway.
    #[error("internal error")]
    Internal,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// There is none.
    Empty,
    /// In no charset: not UTF-8, not the declared one, not GB18030.
    NotUtf8,
    /// Not JSON.
    Syntax,
    /// JSON that ends too early.
    EndsEarly,
    /// JSON, but not an object.
    NotObject,
    /// A member stands twice.
    DuplicateKey,
    /// More than [`crate::forward::MAX_DEPTH`] levels.
    TooDeep,
    /// More than [`crate::forward::MAX_MEMBERS`] members.
    TooManyMembers,
    /// Something follows the object.
    TrailingData,
    /// JSON in a form field of which only a part is percent-encoded.
    HalfEncoded,
    /// Compressed, as its `Content-Encoding` says.
    Compressed,
    /// XML, or a page of HTML.
    Xml,
}

/// What the outside learns of a kind of refusal: the rows of design.md's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// `code` of the envelope.
    pub code: u32,
    /// HTTP status.
    pub status: StatusCode,
    /// Last part of `type`.
    pub kind: &'static str,
}

impl Rejection {
    /// Code, status and type. No wildcard arm: a new variant has to choose.
    pub fn public(&self) -> Public {
        let (code, status, kind) = match self {
            Self::Malformed(fault @ (HeadFault::Slow | HeadFault::Surplus)) => {
                (800_004, fault.status(), "body-incomplete")
            }
            Self::Malformed(fault) => (800_001, fault.status(), "body-not-understood"),
            Self::BodyNotUnderstood { .. } | Self::FieldTwice { .. } | Self::FieldInUrl | Self::OperatorUnclear => {
                (800_001, StatusCode::BAD_REQUEST, "body-not-understood")
            }
            Self::CharsetNotSupported => (800_002, StatusCode::UNSUPPORTED_MEDIA_TYPE, "charset-not-supported"),
            Self::BodyTooLarge { .. } => (800_003, StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
            Self::BodyIncomplete { .. } => (800_004, StatusCode::REQUEST_TIMEOUT, "body-incomplete"),
            Self::FieldInvalid(_) | Self::TenantUnclear => (800_005, StatusCode::UNPROCESSABLE_ENTITY, "field-invalid"),
            Self::NoSuchApi | Self::NoSuchTenant | Self::NoSuchInbox => (800_006, StatusCode::NOT_FOUND, "no-such-api"),
            Self::MethodNotAllowed { .. } => (800_007, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::ClientUnknown { .. } => (800_101, StatusCode::UNAUTHORIZED, "client-unknown"),
            Self::NotPermitted { .. } | Self::PageNotAllowed => (800_102, StatusCode::FORBIDDEN, "not-permitted"),
            Self::SignInsLimited { .. } | Self::QuotaExceeded(_) => {
                (800_201, StatusCode::TOO_MANY_REQUESTS, "quota-exceeded")
            }
            Self::Overloaded | Self::QueueFull | Self::InboxUnavailable | Self::AuditUnavailable => {
                (800_202, StatusCode::SERVICE_UNAVAILABLE, "overloaded")
            }
            Self::Draining => (800_203, StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self::Upstream(error) => return upstream(*error),
            Self::NotKept => (800_305, StatusCode::GATEWAY_TIMEOUT, "answer-not-kept"),
            Self::Internal => (800_900, StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Public { code, status, kind }
    }

    /// Class for the metrics.
    pub fn class(&self) -> CodeClass {
        match self {
            Self::BodyNotUnderstood { .. }
            | Self::FieldTwice { .. }
            | Self::Malformed(_)
            | Self::FieldInUrl
            | Self::OperatorUnclear
            | Self::CharsetNotSupported
            | Self::BodyTooLarge { .. }
            | Self::BodyIncomplete { .. }
            | Self::FieldInvalid(_)
            | Self::TenantUnclear
            | Self::NoSuchApi
            | Self::NoSuchTenant
            | Self::NoSuchInbox
            | Self::MethodNotAllowed { .. }
            // Not `Auth`: that class pages somebody because the platform refuses the hospital.
            | Self::ClientUnknown { .. }
            | Self::NotPermitted { .. }
            | Self::PageNotAllowed
            // Its caller asked for this.
            | Self::NotKept => CodeClass::Data,
            Self::SignInsLimited { .. } | Self::QuotaExceeded(_) => CodeClass::Limit,
            Self::Upstream(UpstreamError::Busy)
            | Self::Overloaded
            | Self::QueueFull
            | Self::InboxUnavailable
            | Self::AuditUnavailable
            | Self::Draining
            | Self::Internal => CodeClass::Gateway,
            Self::Upstream(error) if error.is_too_much() => CodeClass::Limit,
            Self::Upstream(_) => CodeClass::Transport,
        }
    }

    /// How it counts among refusals; `None` once the platform was asked.
    pub fn reason(&self) -> Option<RejectReason> {
        match self {
            Self::Malformed(HeadFault::Slow) => Some(RejectReason::Slow),
            Self::BodyNotUnderstood { .. }
            | Self::FieldTwice { .. }
            | Self::Malformed(_)
            | Self::FieldInUrl
            | Self::OperatorUnclear
            | Self::FieldInvalid(_)
            | Self::TenantUnclear
            | Self::NoSuchApi
            | Self::NoSuchTenant
            | Self::NoSuchInbox
            | Self::MethodNotAllowed { .. } => Some(RejectReason::Malformed),
            Self::ClientUnknown { .. } => Some(RejectReason::Unauthenticated),
            Self::NotPermitted { .. } | Self::PageNotAllowed => Some(RejectReason::Forbidden),
            Self::SignInsLimited { .. } | Self::QuotaExceeded(_) => Some(RejectReason::RateLimited),
            Self::CharsetNotSupported => Some(RejectReason::Charset),
            Self::BodyTooLarge { .. } => Some(RejectReason::TooLarge),
            Self::BodyIncomplete { .. } => Some(RejectReason::Slow),
            Self::Upstream(UpstreamError::Busy)
            | Self::Overloaded
            | Self::QueueFull
            | Self::InboxUnavailable
            | Self::AuditUnavailable => Some(RejectReason::Overloaded),
            Self::Draining => Some(RejectReason::Draining),
            Self::Upstream(_) | Self::NotKept | Self::Internal => None,
        }
    }

    /// Name and explanation for the log.
    pub fn for_log(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Upstream(error) => (error.name(), Some(error.detail())),
            Self::NoSuchTenant => ("no-such-api", Some("no tenant has the appId of the path")),
            Self::NoSuchInbox => ("no-such-api", Some("no tenant of this name is fetched from here")),
            Self::InboxUnavailable => ("overloaded", Some("inbox")),
            Self::AuditUnavailable => (
                "overloaded",
                Some("the audit trail cannot be written: see audit_failing before"),
            ),
            Self::TenantUnclear => ("field-invalid", Some("neither path nor hospitalId names a tenant")),
            Self::FieldInvalid(problems) => ("field-invalid", problems.first().map(|problem| problem.reason.as_str())),
            Self::BodyNotUnderstood { fault, .. } => ("body-not-understood", Some(fault.name())),
            Self::FieldTwice { .. } => ("body-not-understood", Some(BodyFault::DuplicateKey.name())),
            Self::FieldInUrl => ("body-not-understood", Some("field-in-url")),
            Self::OperatorUnclear => ("body-not-understood", Some("operator-twice")),
            Self::Malformed(fault) => (self.public().kind, Some(fault.name())),
            Self::ClientUnknown { fault } => ("client-unknown", Some(fault.name())),
            Self::NotPermitted { rule } => ("not-permitted", Some(rule.as_str())),
            Self::PageNotAllowed => ("not-permitted", Some("origin")),
            Self::SignInsLimited { .. } => ("quota-exceeded", Some("failed-sign-ins")),
            Self::QuotaExceeded(limited) => {
                let detail = match limited.limit {
                    Limit::Client => "the client's quota: limits.client, limits.api, or its own limits",
                    Limit::Tenant => "the tenant's quota at the platform: limits.tenant, or the tenant's own limits",
                    Limit::Platform => "the platform said that the tenant asks too much: see tap_closed before",
                };
                (self.public().kind, Some(detail))
            }
            Self::QueueFull => {
                let detail = "limits.queue questions of the tenant wait: the platform is slow, or limits.tenant.in_flight too low";
                (self.public().kind, Some(detail))
            }
            other => (other.public().kind, None),
        }
    }
}

fn upstream(error: UpstreamError) -> Public {
    let (code, status, kind) = match error {
        UpstreamError::Dns
        | UpstreamError::Connect(_)
        | UpstreamError::ConnectTimeout
        | UpstreamError::Certificate(_)
        | UpstreamError::Tls
        | UpstreamError::Proxy(_) => (800_301, StatusCode::BAD_GATEWAY, "platform-unreachable"),
        UpstreamError::Deadline | UpstreamError::TurnTimeout => {
            (800_302, StatusCode::GATEWAY_TIMEOUT, "platform-timeout")
        }
        _ if error.is_too_much() => (800_201, StatusCode::TOO_MANY_REQUESTS, "quota-exceeded"),
        UpstreamError::NoAnswer
        | UpstreamError::Cut
        | UpstreamError::TooLarge
        | UpstreamError::NotHttp
        | UpstreamError::NotEnvelope(..) => (800_303, StatusCode::BAD_GATEWAY, "platform-reply-invalid"),
        UpstreamError::Suspended(_) => (800_304, StatusCode::SERVICE_UNAVAILABLE, "platform-suspended"),
        UpstreamError::Busy => (800_202, StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
    };
    Public { code, status, kind }
}

impl BodyFault {
    /// Stable name, for the log and for `errors[].reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotUtf8 => "not-utf8",
            Self::Syntax => "syntax",
            Self::EndsEarly => "ends-early",
            Self::NotObject => "not-an-object",
            Self::DuplicateKey => "duplicate-key",
            Self::TooDeep => "too-deep",
            Self::TooManyMembers => "too-many-members",
            Self::TrailingData => "trailing-data",
            Self::HalfEncoded => "half-encoded",
            Self::Compressed => "compressed",
            Self::Xml => "xml",
        }
    }
}
