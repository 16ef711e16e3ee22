//! What a callback is before anybody has judged it: a path, and a body within its bounds.

use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use zeroize::Zeroizing;

use crate::telemetry::labels::CallbackRefusal;

/// Bytes of an over-long body that are read and thrown away, so that its sender sees the refusal instead of a reset
/// connection. Who sends more is cut.
const DISCARD: usize = 4 * 1024 * 1024;

/// Bounds of a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// `callback.max_body`.
    pub max: usize,
    /// `callback.body_timeout_ms`, for the whole body.
    pub timeout: Duration,
}

/// A path that could be one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// Whose callback it is.
    pub tenant: &'a str,
    /// What stands behind the tenant.
    pub secret: Option<&'a str>,
}

/// Where a request goes: `POST /callback/{tenant}[/{secret}]`, to the letter.
pub fn route<'a>(method: &Method, path: &'a str) -> Option<Route<'a>> {
    let rest = path.strip_prefix("/callback/").filter(|_| method == Method::POST)?;
    let (tenant, secret) = match rest.split_once('/') {
        Some((tenant, secret)) => (tenant, Some(secret)),
        None => (rest, None),
    };
    (!tenant.is_empty()).then_some(Route { tenant, secret })
}

/// Reads a body to its end.
///
/// # Errors
/// [`CallbackRefusal::TooLarge`], and [`CallbackRefusal::Slow`] for one that is slower than the deadline, or cut.
pub async fn read(mut body: Incoming, bounds: BodyBounds) -> Result<Zeroizing<Vec<u8>>, CallbackRefusal> {
    let collected = tokio::time::timeout(bounds.timeout, collect(&mut body, bounds.max)).await;
    collected.map_err(|_| CallbackRefusal::Slow)?
}

async fn collect(body: &mut Incoming, max: usize) -> Result<Zeroizing<Vec<u8>>, CallbackRefusal> {
    let (mut kept, mut received) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| CallbackRefusal::Slow)?.into_data() else {
            continue;
        };
        received += data.len();
        if received > max + DISCARD {
            return Err(CallbackRefusal::TooLarge);
        }
        if received <= max {
            kept.extend_from_slice(&data);
        }
    }
    if received > max {
        return Err(CallbackRefusal::TooLarge);
    }
    Ok(Zeroizing::new(kept.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_ours_to_the_letter() {
        let ours = |tenant, secret| Some(Route { tenant, secret });
        assert_eq!(route(&Method::POST, "/callback/north"), ours("north", None));
        assert_eq!(route(&Method::POST, "/callback/north/s"), ours("north", Some("s")));
        assert_eq!(route(&Method::POST, "/callback/north/"), ours("north", Some("")));
        assert_eq!(route(&Method::POST, "/callback/north/a/b"), ours("north", Some("a/b")));
        for path in [
            "/",
            "/callback",
            "/callback/",
            "/Callback/north",
            "//callback/north",
            "/x/callback/north",
        ] {
            assert_eq!(route(&Method::POST, path), None, "{path}");
        }
        assert_eq!(route(&Method::GET, "/callback/north"), None);
    }
}
