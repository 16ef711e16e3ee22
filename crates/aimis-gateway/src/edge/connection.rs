//! The one place that serves an HTTP connection; nothing else may call `serve_connection`.
//!
//! What is set here, and why, is the whole list of an HTTP/1.1 server's bounds (security.md, "What hyper
//! leaves to us"): time for the head, time between requests, time for a write, size and number of
//! headers. The body's size and time are bounded where it is read.

use std::convert::Infallible;
use std::pin::pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::guarded_io::{Activity, GuardedIo, Patience};

/// An answer's body: whole, so that its length is always told.
pub type Body = Full<Bytes>;

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long the peer may keep us waiting.
    pub patience: Patience,
    /// Bytes of a request's head.
    pub max_head_bytes: usize,
    /// Number of headers.
    pub max_headers: usize,
}

/// Serves `stream` until the peer or `stop` ends it.
///
/// When `stop` becomes true a connection that waits for a request is closed, and one that answers closes
/// behind its answer. Errors of a connection are its peer's (a cut, a time-out, not HTTP) and end it; what
/// they mean for a request is told by that request.
pub async fn serve<S, H, F>(stream: S, bounds: Bounds, mut stop: watch::Receiver<bool>, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>>,
{
    let activity = Activity::new();
    let io = TokioIo::new(GuardedIo::new(stream, bounds.patience, activity.clone()));
    let service = service_fn(|request| {
        activity.request_begins();
        let answer = handle(request);
        let activity = activity.clone();
        async move {
            let answer = answer.await;
            activity.request_ends();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            // An old client may close its sending side behind the request and still wait for the answer.
            .half_close(true)
            .max_buf_size(bounds.max_head_bytes.max(MIN_BUFFER))
            .max_headers(bounds.max_headers)
            .serve_connection(io, service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    // Whatever ends it now, there is nobody left to tell.
    let _ = connection.await;
}

/// hyper's own lower bound for its read buffer.
const MIN_BUFFER: usize = 8192;
