//! A worker: one thread, one runtime, its own connections to the platform, nothing shared on the way.
//!
//! The forward road runs on as many of these as there are cores. Whatever else the process does lives on
//! the control thread or a thread of its own (`app`), so that nothing there can delay a query.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::Response;
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::edge::connection::{self, Asked, Body, Bounds, Protocol};
use crate::edge::peer::{Peer, PeerCertificate};
use crate::edge::tls::door::{Door, Secured};
use crate::listener::{Accepted, Wire};
use crate::pulse::Beat;
use crate::sources::Seat;
use crate::telemetry::metrics::Metrics;

/// How often a worker looks after idle connections, and how late it was for that.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Time for what is being answered when its client's certificate expires; then the connection is cut.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// What a worker does with requests; it has one of its own, on its own thread.
pub trait Service: 'static {
    /// Answers one request of `peer`, whatever happens.
    fn answer(&self, asked: Asked, peer: &Peer) -> impl Future<Output = Response<Body>>;

    /// Closes or forgets what waited for too long; called about once a second.
    fn keep_house(&self);
}

/// The control thread's handle on a worker.
pub struct Worker {
    connections: mpsc::UnboundedSender<(Accepted, Open)>,
    open: Arc<AtomicUsize>,
    gauge: IntGauge,
}

/// What a worker is made of.
pub struct Parts<S> {
    /// Makes the service, on the worker's own thread. It cannot fail there: a worker without a service would
    /// still be given connections, and close them unanswered.
    pub service: Box<dyn FnOnce() -> S + Send>,
    /// Bounds of its connections.
    pub bounds: Bounds,
    /// Does the handshake on addresses that speak TLS.
    pub door: Option<Door>,
    /// Shows its open connections.
    pub connections: IntGauge,
    /// For housekeeping.
    pub clock: Clock,
    /// For counting.
    pub metrics: Arc<Metrics>,
    /// Shows that the worker's loop turns.
    pub beat: Beat,
    /// True: finish what runs, take nothing new.
    pub stop: watch::Receiver<bool>,
    /// True: cut what still runs.
    pub abort: watch::Receiver<bool>,
}

/// Counts an open connection for as long as it is.
pub struct Open {
    count: Arc<AtomicUsize>,
    gauge: IntGauge,
    _seat: Option<Seat>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

impl Worker {
    /// Starts a worker. Its thread ends when this handle is dropped and its connections are done, or on
    /// abort.
    ///
    /// # Errors
    /// When the system gives no thread or no timer.
    pub fn start<S: Service>(name: String, parts: Parts<S>) -> io::Result<(Self, JoinHandle<()>)> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let gauge = parts.connections.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || LocalSet::new().block_on(&runtime, work(parts, incoming)))?;
        Ok((
            Self {
                connections,
                open: Arc::default(),
                gauge,
            },
            thread,
        ))
    }

    /// Connections that the worker has.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Hands a connection over. The channel's length is bounded by the listener's `max_connections`, which the
    /// caller keeps.
    pub fn take(&self, connection: Accepted, seat: Option<Seat>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        let open = Open {
            count: Arc::clone(&self.open),
            gauge: self.gauge.clone(),
            _seat: seat,
        };
        // A worker that has ended drops the connection, which closes it.
        let _ = self.connections.send((connection, open));
    }
}

async fn work<S: Service>(parts: Parts<S>, mut incoming: mpsc::UnboundedReceiver<(Accepted, Open)>) {
    let Parts {
        service,
        bounds,
        door,
        clock,
        metrics,
        beat,
        stop,
        mut abort,
        ..
    } = parts;
    let service = Rc::new(service());
    tokio::task::spawn_local(keep_house(Rc::clone(&service), clock, metrics, beat));
    let mut running = tokio::task::JoinSet::new();
    let finish = async {
        while let Some((connection, open)) = incoming.recv().await {
            let (service, stop, door) = (Rc::clone(&service), stop.clone(), door.clone());
            running.spawn_local(async move {
                let _open = open;
                match connection {
                    Accepted::Tcp(stream, address, wire) => {
                        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
                            return;
                        };
                        match wire {
                            Wire::Plain => {
                                let peer = Peer {
                                    address: Some(address),
                                    ..Peer::default()
                                };
                                serve(stream, peer, bounds, bounds.plaintext(), stop, service).await;
                            }
                            Wire::Tls => {
                                let Some(door) = door else { return };
                                // A task has room for the largest of its ways; those without TLS shall not pay.
                                Box::pin(serve_secured(&door, stream, address, bounds, stop, service)).await;
                            }
                        }
                    }
                    Accepted::Unix(stream) => {
                        let Ok(stream) = tokio::net::UnixStream::from_std(stream) else {
                            return;
                        };
                        serve(stream, Peer::default(), bounds, bounds.plaintext(), stop, service).await;
                    }
                }
            });
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    };
    tokio::select! {
        () = finish => {}
        _ = abort.wait_for(|abort| *abort) => {}
    }
}

/// Serves a connection behind its handshake, until its client's certificate expires at the latest. One that is not
/// through the handshake when the stop comes is closed, as one that waits for a request is.
async fn serve_secured<R: Service>(
    door: &Door,
    stream: tokio::net::TcpStream,
    address: IpAddr,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    service: Rc<R>,
) {
    let admitted = tokio::select! {
        // The handshake is larger than what follows it and over at once.
        admitted = Box::pin(door.admit(stream, address)) => admitted,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let Some(secured) = admitted else { return };
    let protocol = match secured.alpn() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let Secured { stream, certificate } = secured;
    let peer = Peer {
        address: Some(address),
        certificate: certificate.clone(),
    };
    // Moved from hand to hand below: in a box it is held once.
    let stream = Box::new(stream);
    let Some(certificate) = certificate else {
        return serve(stream, peer, bounds, protocol, stop, service).await;
    };
    // In a box: few connections need it, and every one would have to have the room.
    Box::pin(serve_certified(
        door,
        stream,
        peer,
        certificate,
        bounds,
        protocol,
        stop,
        service,
    ))
    .await;
}

/// Whoever a certificate names is known no longer than it holds; what is being answered then is answered.
#[expect(clippy::too_many_arguments, reason = "what `serve_secured` has in hand, once")]
async fn serve_certified<R: Service>(
    door: &Door,
    stream: Box<TlsStream<tokio::net::TcpStream>>,
    peer: Peer,
    certificate: Arc<PeerCertificate>,
    bounds: Bounds,
    protocol: Protocol,
    mut stop: watch::Receiver<bool>,
    service: Rc<R>,
) {
    let (end, ended) = watch::channel(false);
    let ending = async {
        let stopped = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = door.expiry(&certificate) => false,
        };
        end.send_replace(true);
        if stopped {
            // Bounded for all connections alike, by the end of the drain.
            std::future::pending::<()>().await;
        }
        // A peer on HTTP/2 that never confirms the end could go on asking until it likes to.
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        () = serve(stream, peer, bounds, protocol, ended, service) => {}
        () = ending => {}
    }
}

async fn serve<S, R>(
    stream: S,
    peer: Peer,
    bounds: Bounds,
    protocol: Protocol,
    stop: watch::Receiver<bool>,
    service: Rc<R>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    R: Service,
{
    let peer = Rc::new(peer);
    connection::serve(stream, bounds, protocol, stop, |request| {
        let (service, peer) = (Rc::clone(&service), Rc::clone(&peer));
        async move { service.answer(request, &peer).await }
    })
    .await;
}

/// Has the service keep house, and measures how late this loop's own timer fires.
async fn keep_house<S: Service>(service: Rc<S>, clock: Clock, metrics: Arc<Metrics>, beat: Beat) {
    loop {
        let due = clock.moment();
        tokio::time::sleep(HOUSEKEEPING).await;
        let late = clock.moment().since(due).saturating_sub(HOUSEKEEPING);
        metrics.schedule_delay.observe(late.as_secs_f64());
        service.keep_house();
        beat.at(clock.moment());
    }
}
