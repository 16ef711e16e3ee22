//! Accepting connections and running requests on them, over TCP or TLS; everything ends on drop.

use super::body::Connection;
use super::deliver::{Next, Socket, deliver};
use super::{Handler, ReadError, Request, Response};
use crate::fault::{After, Plan};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// How long a closing connection is given to take what was written and to close its side.
const LINGER: Duration = Duration::from_millis(500);

/// A listener at work. Dropping it closes the listener and every connection.
pub(crate) struct Server {
    addr: SocketAddr,
    gauges: Arc<Gauges>,
    task: JoinHandle<()>,
}

/// Counts of connections.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    accepted: AtomicUsize,
    open: AtomicUsize,
}

impl Gauges {
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Binds `listen` and serves on the runtime that runs this call.
    pub(crate) async fn start<H: Handler>(
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Arc<H>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let gauges = Arc::new(Gauges::default());
        let task = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), handler, gauges.clone()));
        Ok(Self { addr, gauges, task })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// Stops, and returns when the port is free and every connection closed.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // The error is our own abort.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<H: Handler>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Arc<H>, gauges: Arc<Gauges>) {
    // The set owns the connections, so that aborting this task ends them all.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = stream else {
            tokio::task::yield_now().await; // out of descriptors or reset before accept: the next may do better
            continue;
        };
        let id = gauges.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let open = Open::new(gauges.clone());
        let (handler, tls) = (handler.clone(), tls.clone());
        connections.spawn(async move {
            let _open = open;
            serve(stream, tls, handler.as_ref(), u64::try_from(id).unwrap_or(u64::MAX)).await;
        });
    }
}

/// Counts its connection as open while it lives.
struct Open(Arc<Gauges>);

impl Open {
    fn new(gauges: Arc<Gauges>) -> Self {
        gauges.open.fetch_add(1, Ordering::Relaxed);
        Self(gauges)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve<H: Handler>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: &H, id: u64) {
    // Without it, a drip of small writes waits for the client's delayed acknowledgements.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(stream, handler, id).await,
        Some(acceptor) => {
            // A failed handshake is the client's business to notice.
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, handler, id).await;
            }
        }
    }
}

async fn converse<S: Socket, H: Handler>(stream: S, handler: &H, id: u64) {
    let mut connection = Connection::new(stream);
    let mut out = String::with_capacity(4096);
    loop {
        let next = exchange(&mut connection, handler, id, &mut out).await;
        match next {
            Ok(Next::KeepAlive) => {}
            Ok(Next::Drop) | Err(_) => return,
            Ok(Next::Close) => break,
        }
    }
    // Closing with bytes unread would turn the close into a reset and could take the answer along.
    if connection.io.shutdown().await.is_ok() {
        let _ = tokio::time::timeout(LINGER, connection.until_closed()).await;
    }
}

/// One request and its answer.
async fn exchange<S: Socket, H: Handler>(
    connection: &mut Connection<S>,
    handler: &H,
    id: u64,
    out: &mut String,
) -> io::Result<Next> {
    let request = match read(connection, id).await {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(Next::Close),
        Err(ReadError::Closed) => return Ok(Next::Drop),
        Err(ReadError::Malformed(malformed)) => {
            handler.malformed(malformed.reason);
            let mut plan = Plan::from(Response::text(malformed.status, malformed.reason));
            plan.after = After::Close;
            return deliver(connection, &plan, false, handler.now_ms(), out).await;
        }
    };
    let keep_alive = request.head.keep_alive();
    let plan = handler.handle(request).await;
    deliver(connection, &plan, keep_alive, handler.now_ms(), out).await
}

async fn read<S: Socket>(connection: &mut Connection<S>, id: u64) -> Result<Option<Request>, ReadError> {
    let Some(head) = connection.head().await? else {
        return Ok(None);
    };
    let body = connection.body(&head).await?;
    Ok(Some(Request {
        head,
        body,
        connection: id,
    }))
}
