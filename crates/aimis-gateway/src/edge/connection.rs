//! The one way to serve an HTTP connection; nothing but this and `http2` may call `serve_connection`.
//!
//! What is set here, and why, is the whole list of an HTTP server's bounds (security.md, "What hyper leaves
//! to us"): time for the head, time between requests, time for a write, size and number of headers, number of
//! streams. The body's size and time are bounded where it is read.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::guard::HeadFault;
use super::guard::io::{HeadGuard, Refused};
use super::guard::wire::HeadBounds;
use super::guarded_io::{Activity, GuardedIo, Patience};
use super::http2;

/// An answer's body: whole, so that its length is always told.
pub type Body = Full<Bytes>;

/// What a connection asks of the service: a request, or the refusal of something that is none.
pub type Asked = Result<Request<Incoming>, HeadFault>;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2, as TLS has agreed upon.
    Http2,
    /// HTTP/2 if the first bytes are its preface (prior knowledge), else HTTP/1.
    Detect,
}

/// The bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long the peer may keep us waiting.
    pub patience: Patience,
    /// How long a connection is read on behind a refusal that ends it.
    pub linger: Duration,
    /// Bytes of a request's head.
    pub max_head_bytes: usize,
    /// Number of headers.
    pub max_headers: usize,
    /// Whether HTTP/2 is spoken at all.
    pub http2: bool,
    /// Requests at a time on one HTTP/2 connection.
    pub http2_max_streams: u32,
    /// Streams that may be reset on one before it is closed.
    pub http2_max_resets: usize,
}

impl Bounds {
    /// What is spoken where no TLS has agreed upon anything.
    pub fn plaintext(&self) -> Protocol {
        if self.http2 { Protocol::Detect } else { Protocol::Http1 }
    }

    pub(super) fn head(&self) -> HeadBounds {
        HeadBounds {
            bytes: self.max_head_bytes,
            headers: self.max_headers,
        }
    }
}

/// Serves `stream` until the peer or `stop` ends it. HTTP/2 is spoken only where `bounds` allow it, whatever
/// `protocol` says.
///
/// When `stop` becomes true a connection that waits for a request is closed, and one that answers closes
/// behind its answer. Errors of a connection are its peer's (a cut, a time-out) and end it; what they mean for
/// a request is told by that request.
pub async fn serve<S, H, F>(stream: S, bounds: Bounds, protocol: Protocol, mut stop: watch::Receiver<bool>, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Asked) -> F,
    F: Future<Output = Response<Body>> + 'static,
{
    let activity = Activity::new();
    let mut io = GuardedIo::new(stream, bounds.patience, activity.clone());
    let mut first = Vec::new();
    let http2 = match protocol {
        _ if !bounds.http2 => false,
        Protocol::Http1 => false,
        Protocol::Http2 => true,
        Protocol::Detect => {
            let detected = tokio::select! {
                detected = http2::detect(&mut io, &mut first) => detected,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match detected {
                Ok(http2) => http2,
                Err(_) => return,
            }
        }
    };
    if http2 {
        let io = HeadGuard::opaque(io, activity.clone(), first);
        // Several times as large as the other, which an idle connection would have to hold as well.
        Box::pin(http2::serve(io, bounds, activity, stop, handle)).await;
    } else {
        serve_http1(io, first, bounds, activity, stop, handle).await;
    }
}

async fn serve_http1<S, H, F>(
    io: GuardedIo<S>,
    first: Vec<u8>,
    bounds: Bounds,
    activity: Activity,
    mut stop: watch::Receiver<bool>,
    handle: H,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Asked) -> F,
    F: Future<Output = Response<Body>>,
{
    let refused = Refused::default();
    let io = HeadGuard::http1(
        io,
        bounds.head(),
        bounds.linger,
        activity.clone(),
        refused.clone(),
        first,
    );
    let service = service_fn(|request| {
        let running = activity.request_begins();
        let answer = handle(refused.take().map_or(Ok(request), Err));
        // hyper keeps a place for the answer in the making for as long as the connection is: a box of it costs an
        // allocation a request, and gives an idle connection five kilobytes back. Not a block of its own, which would
        // have room for what it waits for twice.
        Box::pin(answer.map(|answer| {
            drop(running);
            Ok::<_, Infallible>(answer)
        }))
    });
    let mut builder = http1::Builder::new();
    builder
        // An old client may close its sending side behind the request and still wait for the answer.
        .half_close(true)
        .max_buf_size(bounds.max_head_bytes.max(MIN_BUFFER));
    if bounds.max_headers > HYPERS_HEADERS {
        builder.max_headers(bounds.max_headers);
    }
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    if !head_is_over(connection.as_mut(), &activity).await {
        return;
    }
    connection.as_mut().graceful_shutdown();
    // Whatever ends it now, there is nobody left to tell.
    let _ = connection.await;
}

/// Goes on until no head is on its way: hyper has not seen any of it, and would take the connection for an
/// idle one. False when the connection ended instead.
async fn head_is_over<C: Future>(mut connection: Pin<&mut C>, activity: &Activity) -> bool {
    poll_fn(|cx| {
        if !activity.in_head() {
            return Poll::Ready(true);
        }
        match connection.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if activity.in_head() => Poll::Pending,
            Poll::Pending => Poll::Ready(true),
        }
    })
    .await
}

/// hyper's own lower bound for its read buffer.
const MIN_BUFFER: usize = 8192;

/// Headers that hyper takes unless it is told a number. The guard has counted before; told a number, hyper fills two
/// tables of that length on the heap for every request.
const HYPERS_HEADERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::guard::wire::tests::traffic;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const OURS: &str = "x-ours";

    fn bounds() -> Bounds {
        let second = Duration::from_secs(1);
        Bounds {
            patience: Patience {
                idle: second,
                head: second,
                write: second,
            },
            linger: second,
            max_head_bytes: 8192,
            max_headers: 4,
            http2: false,
            http2_max_streams: 1,
            http2_max_resets: 1,
        }
    }

    /// Everything that comes back for `bytes`.
    async fn answered(bytes: &[u8]) -> String {
        let (mut theirs, ours) = tokio::io::duplex(64 << 10);
        let (_stop, stop) = watch::channel(false);
        let served = serve(ours, bounds(), bounds().plaintext(), stop, |asked| {
            let mut response = Response::new(Body::default());
            response.headers_mut().insert(OURS, http::HeaderValue::from_static("1"));
            if let Err(fault) = asked {
                *response.status_mut() = fault.status();
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            }
            std::future::ready(response)
        });
        let mut answers = Vec::new();
        let talk = async {
            theirs.write_all(bytes).await.unwrap();
            theirs.shutdown().await.unwrap();
            theirs.read_to_end(&mut answers).await.unwrap();
        };
        tokio::join!(served, talk);
        String::from_utf8(answers).unwrap()
    }

    proptest! {
        #[test]
        fn hyper_never_refuses_for_itself(bytes in traffic()) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();

            let answers = runtime.block_on(answered(&bytes));

            let (all, ours) = (answers.matches("HTTP/1.").count(), answers.matches(OURS).count());
            prop_assert_eq!(all, ours, "{}", answers);
            // A refusal is the last answer, and no request goes without one.
            let refused = answers.split("HTTP/1.").skip(1).position(|answer| !answer.contains(" 200 "));
            prop_assert!(refused.is_none_or(|at| at + 1 == all), "{}", answers);
        }
    }
}
