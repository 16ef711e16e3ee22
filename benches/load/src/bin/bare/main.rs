//! The leanest proxy that does the job with hyper: encrypts, signs, relays, and nothing else. No bounds, no metrics, no
//! log, no errors told: it shows what hyper costs, and so what a gateway could cost.
//!
//! A current-thread runtime a worker, each with its own listener (`SO_REUSEPORT`) and its own connections.

mod pool;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use aimis_bench::job::{APP_ID, Job, PATH};
use aimis_bench::{clock, wire};
use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pool::Pool;
use socket2::{Domain, Socket, Type};
use tokio::task::LocalSet;

#[derive(Clone, Parser)]
struct Arguments {
    /// Where to listen, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where the platform is, on 127.0.0.1.
    #[arg(long)]
    upstream: u16,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The certificate to trust: TLS is spoken with the platform.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Keep every answer for good.
    #[arg(long)]
    cache: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let workers: Vec<_> = (0..arguments.workers)
        .map(|_| {
            let arguments = arguments.clone();
            std::thread::spawn(move || worker(&arguments))
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    Ok(())
}

fn worker(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let road = Rc::new(Road {
        job: Job::default(),
        pool: Pool::new(arguments.upstream, arguments.tls.as_deref())?,
        cache: arguments.cache.then(RefCell::default),
    });
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], arguments.port)).into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(socket.into())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let road = road.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let road = road.clone();
                    async move { road.handle(request).await }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // Whatever goes wrong closes the connection, and the load counts it.
                let _ = connection.await;
            });
        }
    })
}

struct Road {
    job: Job,
    pool: Pool,
    cache: Option<RefCell<HashMap<Bytes, Bytes>>>,
}

impl Road {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let body = request.into_body().collect().await?.to_bytes();
        let known = self.cache.as_ref().and_then(|cache| cache.borrow().get(&body).cloned());
        if let Some(answer) = known {
            return Ok(json(answer));
        }
        let protected = self.protect(&body).context("not a question")?;
        let answer = self.pool.ask(protected).await?;
        if let Some(cache) = &self.cache {
            cache.borrow_mut().insert(body, answer.clone());
        }
        Ok(json(answer))
    }

    fn protect(&self, body: &Bytes) -> Option<Request<Full<Bytes>>> {
        let phone = wire::text(body, "\"phoneNum\"")?;
        let id = wire::text(body, "\"idNum\"")?;
        let [first, second] = if phone.start < id.start {
            [phone, id]
        } else {
            [id, phone]
        };
        let mut out = Vec::with_capacity(body.len() + 128);
        out.extend_from_slice(&body[..first.start]);
        self.job.encrypt(&body[first.clone()], &mut out);
        out.extend_from_slice(&body[first.end..second.start]);
        self.job.encrypt(&body[second.clone()], &mut out);
        out.extend_from_slice(&body[second.end..]);

        let timestamp = clock::unix_ms().to_string();
        let mut request = Request::post(PATH).body(Full::new(out.into())).ok()?;
        let signature = HeaderValue::from_bytes(&self.job.sign(timestamp.as_bytes())).ok()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert("appid", HeaderValue::from_static(APP_ID));
        headers.insert("timestamp", HeaderValue::from_str(&timestamp).ok()?);
        headers.insert("signature", signature);
        Some(request)
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
