//! HTTP/2 connections of one worker: each carries many questions at a time.
//!
//! There are few of them, so they are opened one behind the other: whoever finds none waits for the one being
//! opened, instead of opening fifty that are not needed a moment later. A peer that turns out to speak HTTP/1.1
//! only is remembered, and costs no turn any more.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Parts, Scheme};
use http::{Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, MutexGuard};

use super::connect;
use super::error::UpstreamError;
use super::pool::Place;
use super::wire::Wire;
use crate::clock::{Clock, Moment};
use crate::config::Platform as Settings;
use crate::local::Local;
use crate::telemetry::metrics::Metrics;

/// How HTTP/2 is called in a TLS handshake.
pub(super) const ALPN_HTTP2: &[u8] = b"h2";

/// How HTTP/2 is spoken.
#[derive(Clone, Copy)]
pub struct Http2 {
    /// `platform.http2_ping_ms`; zero is never.
    pub ping: Duration,
    /// `platform.http2_ping_timeout_ms`.
    pub ping_timeout: Duration,
}

impl Http2 {
    /// As `[platform]` has it.
    pub fn of(settings: &Settings) -> Self {
        Self {
            ping: settings.http2_ping,
            ping_timeout: settings.http2_ping_timeout,
        }
    }
}

/// What goes over an HTTP/2 connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Questions at a time on one connection: what the peer allows, learnt from its settings.
#[derive(Clone)]
pub(super) struct PeerLimit(Rc<Cell<usize>>);

impl PeerLimit {
    /// What it said first.
    pub(super) fn new(streams: usize) -> Self {
        Self(Rc::new(Cell::new(streams)))
    }

    /// What the peer says now.
    pub(super) fn set(&self, streams: usize) {
        self.0.set(streams);
    }
}

/// The connections of all ways.
pub(super) struct Multiplexed {
    links: RefCell<Vec<Rc<Link>>>,
    turns: Vec<Turn>,
    /// `platform.http2_max_streams`.
    streams: usize,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// Who may open a connection on a way.
#[derive(Default)]
struct Turn {
    opening: Mutex<()>,
    /// What the last connection that was opened turned out to speak.
    http1: Cell<bool>,
}

/// One connection. It closes when the set and every question have let go of it.
struct Link {
    sender: Sender,
    limit: PeerLimit,
    way: usize,
    peer: SocketAddr,
    opened: Moment,
    /// When its last question was answered.
    idle_since: Cell<Moment>,
    requests: Cell<usize>,
    streams: Cell<usize>,
    clock: Clock,
    metrics: Arc<Metrics>,
    _place: Place,
}

/// What a connection is judged by before it carries another question.
pub(super) struct Seen {
    /// Its way.
    pub(super) way: usize,
    /// Who is at the other end of TCP.
    pub(super) peer: SocketAddr,
    /// When it was opened.
    pub(super) opened: Moment,
    /// Questions that it has carried.
    pub(super) requests: usize,
}

/// Leave to send one question over a connection.
pub(super) struct Lease {
    link: Rc<Link>,
    /// It was idle before: the peer may have closed it unseen.
    pub(super) was_idle: bool,
}

impl Multiplexed {
    /// None yet, for so many ways.
    pub(super) fn new(ways: usize, streams: usize, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            links: RefCell::default(),
            turns: (0..ways).map(|_| Turn::default()).collect(),
            streams,
            clock,
            metrics,
        }
    }

    /// Whether the peer at the end of this way is known to speak HTTP/1.1 only.
    pub(super) fn speaks_http1(&self, way: usize) -> bool {
        self.turns[way].http1.get()
    }

    /// Remembers what a new connection speaks.
    pub(super) fn note(&self, way: usize, http1: bool) {
        self.turns[way].http1.set(http1);
    }

    /// Waits for the turn to open a connection.
    pub(super) async fn turn(&self, way: usize) -> MutexGuard<'_, ()> {
        self.turns[way].opening.lock().await
    }

    /// A place on a connection of this way that is good, opened after `since` if that matters.
    pub(super) fn lease(&self, way: usize, since: Option<Moment>, is_good: impl Fn(&Seen) -> bool) -> Option<Lease> {
        let mut links = self.links.borrow_mut();
        // What is not good any more finishes what it carries, and closes then.
        links.retain(|link| !link.sender.is_closed() && is_good(&link.seen()));
        links
            .iter()
            .filter(|link| link.way == way && link.streams.get() < self.streams.min(link.limit.0.get()))
            .find(|link| since.is_none_or(|since| link.opened >= since))
            .map(Lease::new)
    }

    /// Takes up a new connection, and gives the first place on it.
    pub(super) fn add(&self, sender: Sender, limit: PeerLimit, way: usize, peer: SocketAddr, place: Place) -> Lease {
        let now = self.clock.moment();
        self.metrics.connections_idle.inc();
        let link = Rc::new(Link {
            sender,
            limit,
            way,
            peer,
            opened: now,
            idle_since: Cell::new(now),
            requests: Cell::new(0),
            streams: Cell::new(0),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            _place: place,
        });
        let lease = Lease::new(&link);
        self.links.borrow_mut().push(link);
        lease
    }

    /// Lets go of connections that were idle for longer than `idle_time`, are closed, or no longer good.
    pub(super) fn close_idle(&self, idle_time: Duration, is_good: impl Fn(&Seen) -> bool) {
        let now = self.clock.moment();
        self.links.borrow_mut().retain(|link| {
            let in_use = link.streams.get() > 0 || now.since(link.idle_since.get()) < idle_time;
            in_use && !link.sender.is_closed() && is_good(&link.seen())
        });
    }

    /// Lets go of a connection that carries nothing, so that its place is free.
    pub(super) fn drop_idle(&self) -> bool {
        let mut links = self.links.borrow_mut();
        let idle = links.iter().position(|link| link.streams.get() == 0);
        idle.map(|index| links.swap_remove(index)).is_some()
    }
}

impl Link {
    fn seen(&self) -> Seen {
        Seen {
            way: self.way,
            peer: self.peer,
            opened: self.opened,
            requests: self.requests.get(),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.metrics.connections_idle.dec();
    }
}

impl Lease {
    fn new(link: &Rc<Link>) -> Self {
        let was_idle = link.streams.replace(link.streams.get() + 1) == 0;
        if was_idle {
            link.metrics.connections_idle.dec();
            link.metrics.connections_active.inc();
        }
        link.requests.set(link.requests.get() + 1);
        Self {
            link: Rc::clone(link),
            was_idle,
        }
    }

    /// The connection's sender.
    pub(super) fn sender(&self) -> Sender {
        self.link.sender.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let link = &self.link;
        if link.streams.replace(link.streams.get() - 1) == 1 {
            link.idle_since.set(link.clock.moment());
            link.metrics.connections_active.dec();
            link.metrics.connections_idle.inc();
        }
    }
}

/// Opens a connection over `stream`, and waits for the peer's settings.
pub(super) async fn handshake<S>(
    wire: &Wire,
    stream: S,
    max_head: usize,
    settings: Http2,
) -> Result<connect::Sender, UpstreamError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(0)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(settings.ping).filter(|ping| !ping.is_zero()))
        .keep_alive_timeout(settings.ping_timeout)
        // An address translator that forgets an idle connection tells nobody.
        .keep_alive_while_idle(true);
    let (sender, mut connection) = builder
        .handshake(TokioIo::new(wire.watch(stream)))
        .await
        .map_err(|_| UpstreamError::NotHttp)?;
    // Until the peer's settings are there nobody knows how many questions it takes, and what is too many for it would
    // wait unseen inside of the connection.
    std::future::poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_ended) => Poll::Ready(Err(UpstreamError::NotHttp)),
        Poll::Pending if connection.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => {
            // A task of its own reads the frames, and tells nobody what they said.
            wire.wake_on_read(cx.waker());
            Poll::Pending
        }
    })
    .await?;
    let limit = PeerLimit::new(connection.current_max_send_streams());
    let learnt = limit.clone();
    tokio::task::spawn_local(std::future::poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx).map(|_ended| ());
        learnt.set(connection.current_max_send_streams());
        polled
    }));
    Ok(connect::Sender::Http2(sender, limit))
}

/// Whether a question that got no answer was not taken up by the peer: its stream lies beyond the last one of a
/// GOAWAY, was refused, or was never opened (RFC 9113, section 8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    if error.is_canceled() {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM));
        }
        source = error.source();
    }
    false
}

/// The same question in the form of HTTP/2, where `Host` is a part of the target.
pub(super) fn in_its_form(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let host = request.headers_mut().remove(HOST);
    let mut parts = Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = host.and_then(|host| Authority::from_maybe_shared(host).ok());
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).expect("the platform's host and a path make a URI");
    request
}
