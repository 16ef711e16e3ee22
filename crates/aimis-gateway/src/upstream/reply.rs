//! The platform's answer, read whole and checked to be the platform's; its bytes are never touched.
//!
//! Whole, because half an answer must become a refusal and not a short list of studies.

use std::time::Duration;

use aimis_core::wiped::WipedBytes;
use bytes::Bytes;
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
    /// The body lies in memory of its own and of its size, which is wiped.
    body_is_alone: bool,
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
            body_is_alone: false,
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
            body_is_alone: false,
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

    /// The same with nothing that holds on to what it came in: hyper's headers, and a body that came in one piece, are
    /// slices of what was read, with whatever stood beside them. `copy` makes such a body one that is wiped.
    pub(crate) fn alone(&self, copy: impl FnOnce(&[u8]) -> Bytes) -> Self {
        let body = if self.body_is_alone {
            self.body.clone()
        } else {
            copy(&self.body)
        };
        let own = |value: &HeaderValue| match USUAL_TYPES.iter().find(|usual| value == *usual) {
            Some(usual) => HeaderValue::from_static(usual),
            None => HeaderValue::from_bytes(value.as_bytes()).expect("it was one"),
        };
        Self {
            body,
            body_is_alone: true,
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
    let mut whole = WipedBytes::default();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| classify(&error, true))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + whole.len() + data.len() > max_body {
            return Ok((Err((UpstreamError::TooLarge, Head::of(&head))), false));
        }
        if body.is_empty() && whole.is_empty() {
            // Most answers come in one piece, which is kept as it is.
            body = data;
            continue;
        }
        if whole.is_empty() {
            whole = WipedBytes::with_capacity(announced.min(FIRST_RESERVE).max(body.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut body));
        }
        make_room(&mut whole, data.len());
        whole.extend_from_slice(&data);
    }
    let body_is_alone = !whole.is_empty() && whole.len() == whole.capacity();
    if !whole.is_empty() {
        body = Bytes::from_owner(whole);
    }

    if ends_by_close && !body.is_empty() && !Envelope::is_whole(&body) {
        return Err(UpstreamError::Cut);
    }
    let reply = check(&head, span, body)
        .map(|reply| Reply { body_is_alone, ..reply })
        .map_err(|error| (error, Head::of(&head)));
    Ok((reply, true))
}

/// Has `body` take so many bytes more; a buffer that it outgrows is wiped.
fn make_room(body: &mut WipedBytes, more: usize) {
    if body.capacity() - body.len() < more {
        let mut larger = WipedBytes::with_capacity((body.len() + more).max(2 * body.capacity()));
        larger.extend_from_slice(body);
        *body = larger;
    }
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
        body_is_alone: false,
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
            body_is_alone: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt;

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

    /// What is read of an answer that comes in these pieces.
    async fn read_of(pieces: &[&[u8]]) -> Reply {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(ours)).await.unwrap();
        let asked = http::Request::new(http_body_util::Empty::<Bytes>::new());
        let clock = crate::clock::Clock::manual(0);
        let exchange = async {
            let response = sender.send_request(asked).await.unwrap();
            read(response, (clock.moment(), clock.moment()), 1 << 20).await.unwrap()
        };
        let platform = async {
            for piece in pieces {
                theirs.write_all(piece).await.unwrap();
                // The other side has taken it when it has nothing more to do.
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            (reply, whole) = exchange => {
                assert!(whole);
                reply.unwrap()
            }
            _ = connection => panic!("it was closed"),
            () = platform => unreachable!("it never ends"),
        }
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_kept_where_it_was_put_together() {
        let body = format!(r#"{{"code":0,"data":["{}"]}}"#, "x".repeat(50_000));
        let (first, second) = body.as_bytes().split_at(20_000);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let in_one = [head.as_bytes(), first, second].concat();
        let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"code\":0}";

        let cases: [(&[&[u8]], _, _); 4] = [
            (&[head.as_bytes(), first, second], body.as_str(), true),
            (&[&in_one], &body, true),
            // How long it becomes was not told, so its buffer is not of its size.
            (
                &[chunked.as_bytes(), &chunk(first), &chunk(second), b"0\r\n\r\n"],
                &body,
                false,
            ),
            (&[short.as_bytes()], r#"{"code":0}"#, false),
        ];
        for (at, (pieces, whole, alone)) in cases.into_iter().enumerate() {
            let reply = read_of(pieces).await;
            assert_eq!(reply.body(), whole, "case {at}");
            let kept = reply.alone(Bytes::copy_from_slice);
            assert_eq!(kept.body(), whole, "case {at}");
            assert_eq!(kept.body().as_ptr() == reply.body().as_ptr(), alone, "case {at}");
            // It is not copied a second time.
            let again = kept.alone(|_| unreachable!("it is alone"));
            assert_eq!(again.body(), whole, "case {at}");
        }
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
