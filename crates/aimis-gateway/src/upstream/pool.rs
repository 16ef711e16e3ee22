//! A worker's connections to the platform, and one exchange over one of them.
//!
//! Last in, first out: the connection that was used last is the least likely to have been closed, and
//! the rest age out. A connection goes back only when its answer was read to the end, and is looked at
//! again before it carries the next question; on any doubt it is dropped, which closes it.
//!
//! HTTP/1.1 knows answers by their order only. A peer that sends more answers than it was asked for can
//! therefore not be told from an honest one if the surplus arrives just after a question was written. Such
//! a peer shows itself on the same connection moments later; from then on no connection is reused for
//! `platform.distrust_ms`. `platform.max_requests_per_connection = 1` rules it out from the start, for the price of a
//! connection a question.

mod exchange;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use tower::Service;

use super::Answer;
use super::addresses::Addresses;
use super::connect::{Connector, Opened, Sender};
use super::error::{AttemptError, UpstreamError};
use super::multiplexed::{Lease, Multiplexed, Seen};
use super::reply::Reply;
use super::sign::SignedRequest;
use super::wire::{Look, Wire};
use crate::clock::{Clock, Moment};
use crate::config::Platform as Settings;
use crate::telemetry::event::Event;
use crate::telemetry::labels::AttemptResult;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// The connections of one worker to one peer. Cloning gives another handle.
#[derive(Clone)]
pub struct Pool(Rc<Inner>);

struct Inner {
    connector: Connector,
    addresses: Addresses,
    idle: RefCell<Vec<Idle>>,
    /// Connections of HTTP/2; `None` where it is not spoken.
    multiplexed: Option<Multiplexed>,
    /// Connections that are open or being opened.
    open: Rc<Cell<usize>>,
    limits: Limits,
    clock: Clock,
    metrics: Arc<Metrics>,
    log: Log,
    /// When the peer last sent something that nobody asked for.
    distrusted_at: Cell<Option<Moment>>,
}

struct Limits {
    open: usize,
    idle: usize,
    idle_time: Duration,
    /// Age of a connection; zero is no limit.
    age: Duration,
    /// Requests over one connection; 0 is no limit.
    requests: usize,
    body: usize,
    /// How long connections are not reused after the peer sent something that nobody asked for.
    distrust: Duration,
}

struct Idle {
    connection: Connection,
    since: Moment,
}

/// What carries a question.
enum Carrier {
    Alone(Connection),
    Shared(Lease),
}

/// An open connection of HTTP/1.1. Dropping it closes it and gives its place back.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    wire: Wire,
    /// Whose it is: tenants with another proxy have other connections.
    way: usize,
    peer: SocketAddr,
    opened: Moment,
    requests: usize,
    _place: Place,
}

/// A place among the open connections, from the first packet of a connect to the connection's end.
pub(super) struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(settings: &Settings, connector: Connector, clock: Clock, metrics: Arc<Metrics>, log: Log) -> Self {
        let limits = Limits {
            open: settings.max_connections_per_worker,
            idle: settings.max_idle_per_worker,
            idle_time: settings.idle_timeout,
            age: settings.max_connection_age,
            requests: settings.max_requests_per_connection,
            body: settings.max_body,
            distrust: settings.distrust,
        };
        let resolver = connector.resolver();
        let addresses = Addresses::new(settings, resolver, clock.clone(), Arc::clone(&metrics), log.clone());
        let multiplexed = settings.http2.then(|| {
            let streams = settings.http2_max_streams;
            Multiplexed::new(connector.ways(), streams, clock.clone(), Arc::clone(&metrics))
        });
        Self(Rc::new(Inner {
            connector,
            addresses,
            idle: RefCell::default(),
            multiplexed,
            open: Rc::default(),
            limits,
            clock,
            metrics,
            log,
            distrusted_at: Cell::new(None),
        }))
    }

    /// Closes connections that waited for longer than `platform.idle_timeout_ms`, that are too old, that the peer
    /// closed, or whose address the platform (or the proxy) has left; looks again where it is.
    pub fn close_idle(&self) {
        let inner = &self.0;
        if inner.open.get() > 0 {
            inner.addresses.refresh();
        }
        let now = inner.clock.moment();
        let (kept, closed): (Vec<_>, Vec<_>) = inner.idle.take().into_iter().partition(|idle| {
            now.since(idle.since) < inner.limits.idle_time
                && !idle.connection.sender.is_closed()
                && inner.is_current(idle.connection.way, idle.connection.peer, idle.connection.opened)
        });
        inner.metrics.connections_idle.sub(closed.len() as i64);
        *inner.idle.borrow_mut() = kept;
        if let Some(multiplexed) = &inner.multiplexed {
            multiplexed.close_idle(inner.limits.idle_time, |link| inner.is_good(link));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Replaced, with the connections that are idle.
        self.metrics.connections_idle.sub(self.idle.borrow().len() as i64);
    }
}

impl Inner {
    /// Young enough, and to an address that is still one of the peer's.
    fn is_current(&self, way: usize, peer: SocketAddr, opened: Moment) -> bool {
        let age = self.clock.moment().since(opened);
        let host = self.connector.first_hop(way);
        (self.limits.age.is_zero() || age < self.limits.age) && self.addresses.has(host, peer)
    }

    fn is_good(&self, link: &Seen) -> bool {
        let spent = self.limits.requests != 0 && link.requests >= self.limits.requests;
        !spent && self.is_current(link.way, link.peer, link.opened)
    }

    /// A connection that is there and still good, or a new one; and whether it was there unused.
    async fn checkout(&self, way: usize, fresh: bool) -> Result<(Carrier, bool), UpstreamError> {
        if let Some(multiplexed) = self.multiplexed.as_ref().filter(|some| !some.speaks_http1(way)) {
            let since = fresh.then(|| self.clock.moment());
            let lease = || multiplexed.lease(way, since, |link| self.is_good(link));
            if let Some(lease) = lease() {
                let was_idle = lease.was_idle;
                return Ok((Carrier::Shared(lease), was_idle));
            }
            let _turn = multiplexed.turn(way).await;
            // The one before us may have opened it.
            if let Some(lease) = lease() {
                let was_idle = lease.was_idle;
                return Ok((Carrier::Shared(lease), was_idle));
            }
            if !multiplexed.speaks_http1(way) {
                return Ok((self.open(way).await?, false));
            }
        }
        if fresh {
            return Ok((self.open(way).await?, false));
        }
        while let Some(Idle { mut connection, since }) = self.take_idle(way) {
            self.metrics.connections_idle.dec();
            let young = self.clock.moment().since(since) < self.limits.idle_time;
            // `ready` settles what the connection's task still has to do after the last answer.
            if !young
                || !self.is_current(connection.way, connection.peer, connection.opened)
                || connection.sender.ready().await.is_err()
            {
                self.settle(&connection);
                continue;
            }
            match connection.wire.look() {
                Look::Quiet => return Ok((Carrier::Alone(connection), true)),
                Look::Stale => {}
                Look::Unasked => self.distrust(),
            }
        }
        Ok((self.open(way).await?, false))
    }

    /// Draws the consequence of what came over a connection that is given up.
    fn settle(&self, connection: &Connection) {
        if connection.wire.unasked() {
            self.distrust();
        }
    }

    /// The peer does not keep to questions and answers: nothing it has sent ahead may meet a question.
    fn distrust(&self) {
        if !self.distrusts() {
            self.log.write(&Event::UnaskedAnswer);
        }
        self.metrics.unasked_answers.inc();
        self.distrusted_at.set(Some(self.clock.moment()));
        let dropped = self.idle.take();
        self.metrics.connections_idle.sub(dropped.len() as i64);
    }

    fn distrusts(&self) -> bool {
        self.distrusted_at
            .get()
            .is_some_and(|at| self.clock.moment().since(at) < self.limits.distrust)
    }

    /// The connection used last on this way. Its own function, so that nothing is borrowed while its user waits.
    fn take_idle(&self, way: usize) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let last = idle.iter().rposition(|idle| idle.connection.way == way)?;
        Some(idle.remove(last))
    }

    /// Closes the connection that has been idle for the longest, which is the least likely to be of use.
    fn drop_oldest(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let any = !idle.is_empty();
        if any {
            idle.remove(0);
        }
        any
    }

    async fn open(&self, way: usize) -> Result<Carrier, UpstreamError> {
        if self.open.get() >= self.limits.open {
            // An idle one may have gone stale unseen, or be another way's; room is worth more than reuse.
            if self.drop_oldest() {
                self.metrics.connections_idle.dec();
            } else if !self.multiplexed.as_ref().is_some_and(Multiplexed::drop_idle) {
                return Err(UpstreamError::Busy);
            }
        }
        let place = Place::take(&self.open);
        // In a box of its own: proxy, race and TLS are 8 KiB of state that a kept connection needs no room for.
        let opening = Box::pin(self.connector.connect(way, &self.addresses));
        let Opened { sender, wire, peer } = opening.await?;
        if let Some(multiplexed) = &self.multiplexed {
            multiplexed.note(way, matches!(sender, Sender::Http1(_)));
        }
        Ok(match (sender, &self.multiplexed) {
            (Sender::Http2(sender, limit), Some(multiplexed)) => {
                Carrier::Shared(multiplexed.add(sender, limit, way, peer, place))
            }
            (Sender::Http2(..), None) => return Err(UpstreamError::NotHttp),
            (Sender::Http1(sender), _) => Carrier::Alone(Connection {
                sender,
                wire,
                way,
                peer,
                opened: self.clock.moment(),
                requests: 0,
                _place: place,
            }),
        })
    }

    fn give_back(&self, mut connection: Connection) {
        connection.requests += 1;
        connection.wire.settled();
        let spent = self.distrusts()
            || self.limits.requests != 0 && connection.requests >= self.limits.requests
            || !self.is_current(connection.way, connection.peer, connection.opened);
        let mut idle = self.idle.borrow_mut();
        if !spent && !connection.sender.is_closed() && idle.len() < self.limits.idle {
            self.metrics.connections_idle.inc();
            idle.push(Idle {
                connection,
                since: self.clock.moment(),
            });
        }
    }

    fn count(&self, api: usize, result: &Result<Reply, AttemptError>, took: Duration) {
        let label = match result {
            Ok(reply) => {
                let code = reply.envelope().code();
                self.metrics.business_code(api, code.unwrap_or(i64::MIN)).inc();
                if code == Some(0) {
                    let now = self.clock.now().as_millis() as f64 / 1000.0;
                    self.metrics.last_success(api).set(now);
                    AttemptResult::Ok
                } else {
                    AttemptResult::Business
                }
            }
            Err(failed) => failed.error.attempt_result(),
        };
        self.metrics.attempts(api, label).inc();
        self.metrics.upstream_seconds(api).observe(took.as_secs_f64());
    }
}

impl Service<SignedRequest> for Pool {
    type Response = Reply;
    type Error = AttemptError;
    type Future = Answer<AttemptError>;

    /// Always: whether a connection is free is decided by the call, so that nothing is reserved in vain.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, signed: SignedRequest) -> Self::Future {
        let pool = Rc::clone(&self.0);
        Box::pin(async move {
            let way = signed.way();
            let (request, api, fresh) = signed.into_parts();
            let start = pool.clock.moment();
            let result = pool.exchange(request, way, fresh).await;
            pool.count(api, &result, pool.clock.moment().since(start));
            result
        })
    }
}
