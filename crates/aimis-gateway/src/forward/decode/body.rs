//! The body's bytes, read whole within size and time.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::edge::guard::HeadFault;
use crate::rejection::{BodyFault, Rejection};

/// Bytes of an over-long body that are read and thrown away, so that the caller sees the refusal instead
/// of a reset connection. A caller that sends more is cut.
const DISCARD: usize = 16 * 1024 * 1024;

/// Bounds of a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// `lan.max_body`.
    pub max: usize,
    /// `lan.body_timeout_ms`, for the whole body.
    pub timeout: Duration,
}

/// Reads a body to its end.
///
/// # Errors
/// [`Rejection::BodyTooLarge`], [`Rejection::BodyIncomplete`] when it is slower than the deadline or cut, and
/// [`Rejection::BodyNotUnderstood`] when it is compressed.
pub async fn read(headers: &HeaderMap, mut body: Incoming, bounds: BodyBounds) -> Result<Bytes, Rejection> {
    let expected = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if expected.is_some_and(|length| length > bounds.max as u64) && headers.contains_key(EXPECT) {
        // The caller asks before it sends; the refusal is the answer to that.
        return Err(Rejection::BodyTooLarge { limit: bounds.max });
    }
    let mut received = 0;
    let collected = tokio::time::timeout(bounds.timeout, collect(&mut body, bounds.max, &mut received)).await;
    match collected {
        Ok(Ok(Some(bytes))) if is_compressed(headers, &bytes) => Err(Rejection::BodyNotUnderstood {
            line: 1,
            column: 1,
            fault: BodyFault::Compressed,
        }),
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(Rejection::BodyTooLarge { limit: bounds.max }),
        Ok(Err(error)) => {
            Err(framing_fault(&error).map_or(Rejection::BodyIncomplete { received, expected }, Rejection::Malformed))
        }
        Err(_) => Err(Rejection::BodyIncomplete { received, expected }),
    }
}

/// Whether a body is labelled as compressed and looks it. Clients label more than they do: `Content-Encoding: UTF-8`
/// on plain text is common, and text is taken whatever its label.
fn is_compressed(headers: &HeaderMap, body: &[u8]) -> bool {
    const CODINGS: [&str; 6] = ["gzip", "x-gzip", "deflate", "br", "zstd", "compress"];
    let coding = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let labelled = coding.is_some_and(|value| {
        let last = value.rsplit(',').next().unwrap_or_default().trim();
        CODINGS.iter().any(|coding| last.eq_ignore_ascii_case(coding))
    });
    labelled && std::str::from_utf8(body).is_err()
}

/// What the byte guard found in the body's chunks, if that is why reading failed.
fn framing_fault(error: &hyper::Error) -> Option<HeadFault> {
    let io: &io::Error = error.source()?.downcast_ref()?;
    io.get_ref()?.downcast_ref().copied()
}

/// `None` when there are more than `max` bytes.
async fn collect(body: &mut Incoming, max: usize, received: &mut usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        *received += data.len();
        if *received > max {
            (first, rest) = (Bytes::new(), BytesMut::new());
            if *received > max + DISCARD {
                return Ok(None);
            }
        } else if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    if *received > max {
        return Ok(None);
    }
    Ok(Some(if rest.is_empty() { first } else { rest.freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_coding_is_believed_of_bytes_that_are_no_text() {
        let of = |coding: &'static str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
            is_compressed(&headers, body)
        };
        for coding in ["gzip", "GZIP", "x-gzip", "utf-8, deflate", "br"] {
            assert!(of(coding, b"\x1f\x8b\x08\xff"), "{coding}");
            assert!(!of(coding, b"{}"), "{coding}");
        }
        for coding in ["utf-8", "identity", ""] {
            assert!(!of(coding, b"\xd5\xc5"), "{coding}");
        }
        assert!(!is_compressed(&HeaderMap::new(), b"\x1f\x8b\xff"));
    }
}
