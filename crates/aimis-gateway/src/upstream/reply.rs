//! The platform's answer, read whole and checked to be the platform's; its bytes are never touched.
//!
//! Whole, because half an answer must become a refusal and not a short list of studies.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::envelope::Envelope;
use super::error::{Foreign, UpstreamError};

/// Room made at once for an answer whose announced length is larger: a wrong announcement costs no more.
const FIRST_RESERVE: usize = 256 * 1024;

/// An answer of the platform. Cheap to clone: the body is shared.
#[derive(Clone)]
pub struct Reply {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    retry_after: Option<HeaderValue>,
    body: Bytes,
    envelope: Envelope,
}

impl Reply {
    /// A reply of this body, for tests of what is made from replies.
    #[cfg(test)]
    pub(crate) fn made_up(status: StatusCode, body: &str) -> Self {
        Self {
            status,
            content_type: None,
            retry_after: None,
            envelope: Envelope::inspect(body.as_bytes()).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its `Content-Type`, as sent.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.content_type.as_ref()
    }

    /// Its `Retry-After`, as sent.
    pub fn retry_after(&self) -> Option<&HeaderValue> {
        self.retry_after.as_ref()
    }

    /// Its body, as sent.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What its envelope says.
    pub fn envelope(&self) -> Envelope {
        self.envelope
    }
}

/// Reads an answer to its end.
///
/// The outer result tells of the connection: an error ends it. The flag beside the inner result is true
/// when the body was read to its end, so that the connection may carry another request, whatever the
/// answer was.
pub(super) async fn read(
    response: Response<Incoming>,
    max_body: usize,
) -> Result<(Result<Reply, UpstreamError>, bool), UpstreamError> {
    let (head, mut incoming) = response.into_parts();
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > max_body {
        return Ok((Err(UpstreamError::TooLarge), false));
    }

    // Without a length and without chunks only the close tells the end, and a cut looks just like it.
    let ends_by_close = !head.headers.contains_key(CONTENT_LENGTH) && !head.headers.contains_key(TRANSFER_ENCODING);
    let mut body = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| classify(&error, true))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + rest.len() + data.len() > max_body {
            return Ok((Err(UpstreamError::TooLarge), false));
        }
        if body.is_empty() && rest.is_empty() {
            // Most answers come in one piece, which is kept as it is.
            body = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(announced.min(FIRST_RESERVE).max(body.len() + data.len()));
            rest.extend_from_slice(&std::mem::take(&mut body));
        }
        rest.extend_from_slice(&data);
    }
    if !rest.is_empty() {
        body = rest.freeze();
    }

    if ends_by_close && !body.is_empty() && !Envelope::is_whole(&body) {
        return Err(UpstreamError::Cut);
    }
    Ok((check(&head, body), true))
}

fn check(head: &http::response::Parts, body: Bytes) -> Result<Reply, UpstreamError> {
    let encoded = head
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let foreign = if encoded {
        Err(Foreign::Encoded)
    } else if head.status.is_redirection() {
        Err(Foreign::Redirect)
    } else {
        Envelope::inspect(&body)
    };
    Ok(Reply {
        status: head.status,
        content_type: head.headers.get(CONTENT_TYPE).cloned(),
        retry_after: head.headers.get(RETRY_AFTER).cloned(),
        envelope: foreign.map_err(UpstreamError::NotEnvelope)?,
        body,
    })
}

/// What an error of hyper's client means; `answering` once the head of an answer has come.
pub(super) fn classify(error: &hyper::Error, answering: bool) -> UpstreamError {
    if error.is_parse() {
        UpstreamError::NotHttp
    } else if answering {
        UpstreamError::Cut
    } else {
        UpstreamError::NoAnswer
    }
}
