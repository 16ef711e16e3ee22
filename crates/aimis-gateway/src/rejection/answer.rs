//! A refusal as HTTP: the body of design.md section 3 and the headers that belong to it.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response};
use serde::Serialize;

use super::text;
use super::{Public, Rejection};
use crate::config::Language;
use crate::edge::connection::Body;
use crate::edge::request_id::RequestId;
use crate::limit::headers::whole_seconds;
use crate::upstream::error::UpstreamError;

/// RFC 9209: what failed on the way to the next hop.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// How a client signs in (RFC 6750).
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"aimis-gateway\"");

/// Seconds after which a caller may try again when the gateway is full, and when it stops.
const RETRY_OVERLOADED: HeaderValue = HeaderValue::from_static("1");
const RETRY_DRAINING: HeaderValue = HeaderValue::from_static("5");

/// The body, its members in the order in which a reader wants them.
#[derive(Serialize)]
struct Problem<'a> {
    code: u32,
    message: &'a str,
    data: Option<()>,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

/// A field and a reason, never a value.
#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    reason: &'a str,
    hint: String,
}

/// What a refusal says, in one sentence.
pub fn message(rejection: &Rejection, language: Language) -> String {
    let title = text::title(rejection.public().kind, language);
    text::message(title, &text::detail(rejection, language), language)
}

/// Makes the answer to a refused request.
pub fn to_response(rejection: &Rejection, language: Language, id: &RequestId) -> Response<Body> {
    let Public { code, status, kind } = rejection.public();
    let title = text::title(kind, language);
    let detail = text::detail(rejection, language);
    let message = text::message(title, &detail, language);
    let body = serde_json::to_vec(&Problem {
        code,
        message: &message,
        data: None,
        request_id: id.as_str(),
        // Relative, as RFC 9457 allows: docs/errors.md explains each of them.
        kind: &format!("/errors/{kind}"),
        title,
        status: status.as_u16(),
        detail: &detail,
        errors: errors(rejection, language),
    })
    .expect("a struct of strings and numbers is always JSON");

    let mut response = Response::new(Body::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(text::tag(language)));
    match rejection {
        Rejection::MethodNotAllowed { allow } => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        Rejection::ClientUnknown { .. } => {
            headers.insert(WWW_AUTHENTICATE, BEARER);
        }
        Rejection::SignInsLimited { wait } => {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Rejection::QuotaExceeded(limited) => {
            // How it stands with the quota is told with every answer, in the road's own headers.
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(limited.wait).max(1)));
        }
        Rejection::Overloaded | Rejection::QueueFull | Rejection::InboxUnavailable | Rejection::AuditUnavailable => {
            headers.insert(RETRY_AFTER, RETRY_OVERLOADED);
        }
        Rejection::Draining => {
            headers.insert(RETRY_AFTER, RETRY_DRAINING);
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Rejection::Upstream(error) => {
            let mut value = format!("aimis; error={}", error.proxy_status());
            if let Some(status) = error.received_status() {
                value.push_str(&format!("; received-status={status}"));
            }
            headers.insert(
                PROXY_STATUS,
                HeaderValue::from_str(&value).expect("error types are plain ASCII"),
            );
            if let UpstreamError::Suspended(wait) = error {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            } else if let Some(wait) = error.wait() {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait).max(1)));
            } else if error.is_too_much() || status == http::StatusCode::SERVICE_UNAVAILABLE {
                headers.insert(RETRY_AFTER, RETRY_OVERLOADED);
            }
        }
        // The rest of the body may still be on its way and is not to be taken for the next request.
        Rejection::BodyTooLarge { .. } | Rejection::BodyIncomplete { .. } | Rejection::Malformed(_) => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Rejection::BodyNotUnderstood { .. }
        | Rejection::FieldTwice { .. }
        | Rejection::FieldInvalid(_)
        | Rejection::TenantUnclear
        | Rejection::NoSuchApi
        | Rejection::NoSuchTenant
        | Rejection::NoSuchInbox
        | Rejection::FieldInUrl
        | Rejection::OperatorUnclear
        | Rejection::NotPermitted { .. }
        | Rejection::PageNotAllowed
        | Rejection::CharsetNotSupported
        | Rejection::NotKept
        | Rejection::Internal => {}
    }
    response
}

fn errors<'a>(rejection: &'a Rejection, language: Language) -> Vec<FieldError<'a>> {
    match rejection {
        Rejection::FieldInvalid(problems) => problems
            .iter()
            .map(|problem| FieldError {
                field: &problem.field,
                reason: problem.reason.as_str(),
                hint: match language {
                    Language::En => problem.hint_en(),
                    Language::Zh => problem.hint_zh(),
                },
            })
            .collect(),
        Rejection::FieldTwice { field, .. } => vec![FieldError {
            field,
            reason: super::BodyFault::DuplicateKey.name(),
            hint: text::twice_hint(language).into(),
        }],
        Rejection::TenantUnclear => vec![FieldError {
            field: aimis_core::contract::HOSPITAL_ID,
            reason: "tenant-unclear",
            hint: text::tenant_hint(language).into(),
        }],
        Rejection::NotPermitted { rule } => rule
            .field()
            .map(|field| FieldError {
                field,
                reason: "not-permitted",
                hint: text::detail(rejection, language),
            })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::edge::request_id::RequestIds;
    use crate::upstream::error::UpstreamError;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use serde_json::Value;

    /// What cannot be provoked from outside; the others are tested over sockets, in tests/it/refusals.rs.
    #[test]
    fn a_defect_and_a_slow_connect_are_told_in_both_languages() {
        let id = RequestIds::new(Clock::manual(0)).unwrap().make();
        for (rejection, status, code, kind, en, zh) in [
            (
                Rejection::Internal,
                500,
                800_900,
                "/errors/internal",
                "requestId",
                "requestId",
            ),
            (
                Rejection::Upstream(UpstreamError::ConnectTimeout),
                502,
                800_301,
                "/errors/platform-unreachable",
                "took too long",
                "超时",
            ),
        ] {
            for (language, text) in [(Language::En, en), (Language::Zh, zh)] {
                let response = to_response(&rejection, language, &id);
                assert_eq!(response.status().as_u16(), status);
                assert_eq!(response.headers()[CONTENT_LANGUAGE], text::tag(language));
                let body = response
                    .into_body()
                    .collect()
                    .now_or_never()
                    .unwrap()
                    .unwrap()
                    .to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!((&body["code"], &body["type"]), (&code.into(), &kind.into()));
                assert_eq!(body["requestId"], id.as_str());
                assert!(body["message"].as_str().unwrap().contains(text), "{body}");
                assert!(body["detail"].as_str().unwrap().contains(text), "{body}");
            }
        }
    }
}
