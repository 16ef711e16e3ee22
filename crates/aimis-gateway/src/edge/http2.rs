//! HTTP/2, where a listener says so (`lan.http2`).
//!
//! Off by default: its floods (resets, CONTINUATION, empty frames) are a class of their own, and no HIS is
//! known to need it. Heads come decoded from h2, which refuses what has two readings in HTTP/2 itself; here
//! they are held to what HTTP/1 heads are held to.

use std::convert::Infallible;
use std::io;
use std::pin::pin;

use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;

use super::connection::{Asked, Body, Bounds};
use super::guard::HeadFault;
use super::guard::io::HeadGuard;
use super::guard::wire::{check_host, check_name, check_path, length};
use super::guarded_io::Activity;
use crate::local::Local;

/// What a client that speaks HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads into `first` until it is clear whether this is HTTP/2.
pub(super) async fn detect<S: AsyncRead + Unpin>(stream: &mut S, first: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let seen = first.len().min(PREFACE.len());
        if first[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        if stream.read_buf(first).await? == 0 {
            return Ok(false);
        }
    }
}

/// Serves a connection whose every byte is HTTP/2.
pub(super) async fn serve<S, H, F>(
    io: HeadGuard<S>,
    bounds: Bounds,
    activity: Activity,
    mut stop: watch::Receiver<bool>,
    handle: H,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Asked) -> F,
    F: Future<Output = Response<Body>> + 'static,
{
    activity.speaks_frames();
    let service = service_fn(|request: Request<Incoming>| {
        let running = activity.request_begins();
        let answer = handle(match judge(&request, bounds) {
            Ok(()) => Ok(request),
            Err(fault) => Err(fault),
        });
        // Not a block of its own, which would have room for what it waits for twice.
        answer.map(|answer| {
            drop(running);
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = pin!(
        http2::Builder::new(Local)
            .timer(TokioTimer::new())
            .max_concurrent_streams(bounds.http2_max_streams)
            // The bounds of reset floods (CVE-2023-44487, CVE-2025-8671).
            .max_pending_accept_reset_streams(bounds.http2_max_resets)
            .max_local_error_reset_streams(bounds.http2_max_resets)
            .max_header_list_size(u32::try_from(bounds.max_head_bytes).unwrap_or(u32::MAX))
            // A peer that is gone without a word would keep its streams.
            .keep_alive_interval(bounds.patience.idle)
            .keep_alive_timeout(bounds.patience.write)
            .serve_connection(TokioIo::new(io), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    // Whatever ends it now, there is nobody left to tell.
    let _ = connection.await;
}

/// What h2 lets pass and HTTP/1's guard would not.
fn judge<B>(request: &Request<B>, bounds: Bounds) -> Result<(), HeadFault> {
    let (headers, uri) = (request.headers(), request.uri());
    if request.method() == Method::CONNECT {
        return Err(HeadFault::NotAProxy);
    }
    check_path(uri.path_and_query().map_or(&b""[..], |path| path.as_str().as_bytes()))?;
    if headers.len() > bounds.max_headers {
        return Err(HeadFault::TooManyHeaders);
    }
    for name in headers.keys() {
        check_name(name.as_str().as_bytes())?;
    }
    let (host, authority) = (only(headers, HOST, HeadFault::Host)?, uri.authority());
    match (authority, host) {
        (None, None) => return Err(HeadFault::Host),
        (Some(one), Some(other)) if !one.as_str().as_bytes().eq_ignore_ascii_case(other) => {
            return Err(HeadFault::Host);
        }
        (Some(authority), _) => check_host(authority.as_str().as_bytes())?,
        (None, Some(host)) => check_host(host)?,
    }
    if let Some(value) = only(headers, CONTENT_LENGTH, HeadFault::Length)? {
        length(value)?;
    }
    match only(headers, EXPECT, HeadFault::Expect)? {
        Some(value) if !value.eq_ignore_ascii_case(b"100-continue") => Err(HeadFault::Expect),
        _ => Ok(()),
    }
}

/// The value of a header that may stand once.
fn only(headers: &HeaderMap, name: http::HeaderName, fault: HeadFault) -> Result<Option<&[u8]>, HeadFault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn bounds() -> Bounds {
        let second = Duration::from_secs(1);
        Bounds {
            patience: crate::edge::guarded_io::Patience {
                idle: second,
                head: second,
                write: second,
            },
            linger: second,
            max_head_bytes: 8192,
            max_headers: 4,
            http2: true,
            http2_max_streams: 8,
            http2_max_resets: 32,
        }
    }

    fn judged(uri: &str, headers: &[(&str, &str)]) -> Result<(), HeadFault> {
        let request = headers.iter().fold(Request::post(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
        judge(&request.body(()).unwrap(), bounds())
    }

    #[test]
    fn a_head_of_http_2_is_held_to_the_same() {
        assert_eq!(judged("http://a:80/x", &[("host", "A:80")]), Ok(()));
        assert_eq!(judged("/x", &[("host", "a")]), Ok(()));
        for (uri, headers, fault) in [
            ("http://a/x", &[("host", "b")][..], HeadFault::Host),
            ("http://u@a/x", &[], HeadFault::Host),
            ("/x", &[], HeadFault::Host),
            ("/x", &[("host", "a"), ("host", "a")], HeadFault::Host),
            ("http://a/x", &[("x_request_id", "1")], HeadFault::Underscore),
            ("http://a/x", &[("content-length", "+1")], HeadFault::Length),
            ("http://a/x", &[("expect", "1")], HeadFault::Expect),
            (
                "http://a/x",
                &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")],
                HeadFault::TooManyHeaders,
            ),
        ] {
            assert_eq!(judged(uri, headers), Err(fault), "{uri} {headers:?}");
        }
    }

    /// One connection of an HTTP/2 client to a service that answers 200 to requests and its own status to faults.
    async fn statuses(requests: Vec<Request<Body>>) -> Vec<u16> {
        let (theirs, ours) = tokio::io::duplex(64 << 10);
        let (_stop, stop) = watch::channel(false);
        tokio::task::spawn_local(crate::edge::connection::serve(
            ours,
            bounds(),
            bounds().plaintext(),
            stop,
            |asked| {
                let mut response = Response::new(Body::default());
                if let Err(fault) = asked {
                    *response.status_mut() = fault.status();
                }
                std::future::ready(response)
            },
        ));
        let (mut sender, connection) = hyper::client::conn::http2::handshake(Local, TokioIo::new(theirs))
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(sender.send_request(request).await.unwrap().status().as_u16());
        }
        statuses
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_prior_knowledge_is_served_and_its_heads_are_judged() {
        let post = |name: &str| {
            Request::post("http://gateway/x")
                .header(name, "1")
                .body(Body::default())
                .unwrap()
        };
        let requests = vec![post("x-own"), post("x_request_id"), post("x-own")];
        let local = tokio::task::LocalSet::new();
        assert_eq!(local.run_until(statuses(requests)).await, [200, 400, 200]);
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "measures the paused clock of the runtime")]
    async fn a_silent_connection_is_let_go_though_its_pings_are_answered() {
        let (mut theirs, ours) = tokio::io::duplex(64 << 10);
        let (_stop, stop) = watch::channel(false);
        let bounds = Bounds {
            patience: crate::edge::guarded_io::Patience {
                idle: Duration::from_secs(75),
                ..bounds().patience
            },
            ..bounds()
        };
        let local = tokio::task::LocalSet::new();
        let start = tokio::time::Instant::now();
        let served = crate::edge::connection::serve(ours, bounds, bounds.plaintext(), stop, |_| {
            std::future::ready(Response::new(Body::default()))
        });
        let talk = async {
            use tokio::io::AsyncWriteExt;
            theirs.write_all(PREFACE).await.unwrap();
            theirs.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_secs(20)).await;
                theirs.write_all(b"\0\0\x08\x06\0\0\0\0\x00pingping").await.unwrap();
                let mut answers = [0; 512];
                let _ = theirs.read(&mut answers).await;
            }
        };
        local
            .run_until(async {
                tokio::select! { () = served => {}, () = talk => {} }
            })
            .await;
        assert_eq!((tokio::time::Instant::now() - start).as_secs(), 75);
    }

    #[tokio::test]
    async fn only_the_whole_preface_is_http_2() {
        for (bytes, http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false),
            (b"POST / HTTP/1.1\r\n", false),
            (b"PRI", false),
            (b"", false),
        ] {
            let mut first = Vec::new();
            assert_eq!(detect(&mut &bytes[..], &mut first).await.unwrap(), http2);
            assert_eq!(first, bytes);
        }
    }
}
