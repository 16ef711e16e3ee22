//! The platform's answer, read whole and checked to be the platform's; its bytes are never touched.
//!
//! Whole, because half an answer must become a refusal and not a short list of studies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::clock_offset::Dated;
use super::envelope::Envelope;
use super::error::{Foreign, Head, UpstreamError};
use super::http_date;
use crate::clock::Moment;

/// Room made at once for an answer whose announced length is larger: a wrong announcement costs no more.
const FIRST_RESERVE: usize = 256 * 1024;

/// Types of answers that need no memory of their own.
const USUAL_TYPES: [&str; 3] = [
    "application/json",
    "application/json;charset=UTF-8",
    "application/json; charset=utf-8",
];

/// An answer of the platform. Cheap to clone: the body is shared.
#[derive(Clone)]
pub struct Reply {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    retry_after: Option<HeaderValue>,
    /// `Retry-After`, understood.
    wait: Option<Duration>,
    dated: Option<Dated>,
    /// It came with an `Age`.
    was_cached: bool,
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
            wait: None,
            dated: None,
            was_cached: false,
            envelope: Envelope::inspect(body.as_bytes()).unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// The same with headers that are slices of `read`, as those that hyper reads are.
    #[cfg(test)]
    pub(crate) fn with_headers_of(self, read: &Bytes) -> Self {
        let slice = || HeaderValue::from_maybe_shared(read.slice(..4)).ok();
        Self {
            content_type: slice(),
            retry_after: slice(),
            ..self
        }
    }

    /// One that was kept outside of this process, with what matters of it.
    pub(crate) fn kept(status: StatusCode, content_type: Option<HeaderValue>, body: Bytes, envelope: Envelope) -> Self {
        Self {
            status,
            content_type,
            retry_after: None,
            wait: None,
            dated: None,
            was_cached: false,
            body,
            envelope,
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

    /// How long the platform asks to wait.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// What it tells about the platform's clock; nothing if a cache in between gave it.
    pub fn dated(&self) -> Option<Dated> {
        self.dated
    }

    /// What matters of its head if it cannot be used.
    pub fn head(&self) -> Head {
        Head {
            status: self.status,
            wait: self.wait,
        }
    }

    /// Its body, as sent.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same with its body in another buffer, and nothing that holds on to the one it came in: hyper's headers are
    /// slices of what was read, with whatever stood beside them.
    pub(crate) fn with_body(&self, body: Bytes) -> Self {
        let own = |value: &HeaderValue| match USUAL_TYPES.iter().find(|usual| value == *usual) {
            Some(usual) => HeaderValue::from_static(usual),
            None => HeaderValue::from_bytes(value.as_bytes()).expect("it was one"),
        };
        Self {
            body,
            content_type: self.content_type.as_ref().map(own),
            retry_after: self.retry_after.as_ref().map(own),
            ..*self
        }
    }

    /// Whether a cache between us and the platform gave it, perhaps long after it was made.
    pub fn was_cached(&self) -> bool {
        self.was_cached
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
/// answer was. `span` is when the question was written and when the head of the answer was there.
pub(crate) async fn read(
    response: Response<Incoming>,
    span: (Moment, Moment),
    max_body: usize,
) -> Result<(Result<Reply, (UpstreamError, Head)>, bool), UpstreamError> {
    let (head, mut incoming) = response.into_parts();
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > max_body {
        return Ok((Err((UpstreamError::TooLarge, Head::of(&head))), false));
    }

    // Without a length and without chunks only the close tells the end, and a cut looks just like it.
    let ends_by_close = head.version < Version::HTTP_2
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING);
    let mut body = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| classify(&error, true))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + rest.len() + data.len() > max_body {
            return Ok((Err((UpstreamError::TooLarge, Head::of(&head))), false));
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
    let reply = check(&head, span, body).map_err(|error| (error, Head::of(&head)));
    Ok((reply, true))
}

impl Head {
    fn of(head: &http::response::Parts) -> Self {
        Self {
            status: head.status,
            wait: wait(&head.headers),
        }
    }
}

/// `Retry-After`: seconds, or a date by the sender's own clock.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    if let Some(seconds) = value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date::millis(value)?;
    let now = headers.get(DATE).and_then(http_date::millis)?;
    Some(Duration::from_millis(until.saturating_sub(now)))
}

fn dated(headers: &HeaderMap, (asked, answered): (Moment, Moment)) -> Option<Dated> {
    // An answer with an age was dated when it was kept.
    if headers.contains_key(AGE) {
        return None;
    }
    Some(Dated {
        date_ms: http_date::millis(headers.get(DATE)?)?,
        asked,
        answered,
    })
}

fn check(head: &http::response::Parts, span: (Moment, Moment), body: Bytes) -> Result<Reply, UpstreamError> {
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
        wait: wait(&head.headers),
        dated: dated(&head.headers, span),
        was_cached: head.headers.contains_key(AGE),
        envelope: foreign.map_err(|foreign| UpstreamError::NotEnvelope(foreign, Head::of(head)))?,
        body,
    })
}

/// What an error of hyper's client means; `answering` once the head of an answer has come.
pub(crate) fn classify(error: &hyper::Error, answering: bool) -> UpstreamError {
    if error.is_parse() {
        UpstreamError::NotHttp
    } else if answering {
        UpstreamError::Cut
    } else {
        UpstreamError::NoAnswer
    }
}

#[cfg(test)]
impl Reply {
    /// An answer, for tests of the layers above the pool; `dated` with what its `Date` tells.
    pub(super) fn made(status: u16, body: &'static str, headers: &HeaderMap, dated: Option<Dated>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: None,
            retry_after: headers.get(RETRY_AFTER).cloned(),
            wait: wait(headers),
            dated,
            was_cached: headers.contains_key(AGE),
            envelope: Envelope::inspect(body.as_bytes()).unwrap(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_by_the_senders_clock() {
        let waits = |pairs: &[(http::HeaderName, &'static str)]| {
            wait(
                &pairs
                    .iter()
                    .map(|(name, text)| (name.clone(), HeaderValue::from_static(text)))
                    .collect(),
            )
        };
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(waits(&[(RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        assert_eq!(
            waits(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), date.clone()]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(waits(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
        assert_eq!(waits(&[(RETRY_AFTER, "soon"), date]), None);
    }

    #[test]
    fn an_answer_out_of_a_cache_tells_no_time() {
        let clock = crate::clock::Clock::manual(0);
        let span = (clock.moment(), clock.moment());
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(dated(&headers, span).map(|dated| dated.date_ms), Some(784_111_777_000));
        headers.insert(AGE, HeaderValue::from_static("3"));
        assert_eq!(dated(&headers, span), None);
    }
}
