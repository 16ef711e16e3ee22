//! HTTP/2 towards the platform: many questions on one connection, within what the peer allows; and its ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimis_simulator::Platform;
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::real::{Program, free_address};
use super::{platform, secure_platform, server, trusting};
use crate::support::client::PATIENCE;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};
use crate::support::tls::Authority;

/// A platform that speaks HTTP/2 only, and answers when it is let.
struct Peer {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Answers that may be given.
    may_answer: Semaphore,
    connections: AtomicUsize,
    asked: watch::Sender<usize>,
    heads: std::sync::Mutex<Vec<http::request::Parts>>,
    /// Counts up each time that all connections are to be ended: on even numbers in order, else at once.
    end: watch::Sender<usize>,
}

impl Peer {
    async fn start(tls: Arc<ServerConfig>, streams: u32) -> Self {
        let mut tls = ServerConfig::clone(&tls);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            may_answer: Semaphore::new(0),
            connections: AtomicUsize::new(0),
            asked: watch::Sender::new(0),
            heads: std::sync::Mutex::default(),
            end: watch::Sender::new(0),
        });
        let peer = Self {
            address,
            state: Arc::clone(&state),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(acceptor.clone(), stream, streams, Arc::clone(&state)));
            }
        });
        peer
    }

    fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    async fn wait_for_questions(&self, count: usize) {
        let mut asked = self.state.asked.subscribe();
        tokio::time::timeout(PATIENCE, asked.wait_for(|asked| *asked >= count))
            .await
            .expect("the questions come")
            .unwrap();
    }

    fn let_answer(&self, count: usize) {
        self.state.may_answer.add_permits(count);
    }

    fn end_in_order(&self) {
        self.state.end.send_modify(|end| *end += 2 - *end % 2);
    }

    fn end_at_once(&self) {
        self.state.end.send_modify(|end| *end += 1 + *end % 2);
    }
}

async fn serve(acceptor: TlsAcceptor, stream: tokio::net::TcpStream, streams: u32, state: Arc<State>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut end = state.end.subscribe();
    end.mark_unchanged();
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let (head, body) = request.into_parts();
            body.collect().await.unwrap();
            state.heads.lock().unwrap().push(head);
            state.asked.send_modify(|asked| *asked += 1);
            state.may_answer.acquire().await.unwrap().forget();
            let answer = Bytes::from_static(br#"{"code":0,"message":"success","data":[]}"#);
            Ok::<_, Infallible>(Response::new(Full::new(answer)))
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            Ok(()) = end.changed() => match *end.borrow_and_update() % 2 {
                0 => connection.as_mut().graceful_shutdown(),
                _ => return,
            },
        }
    }
}

fn settings(directory: &Directory, authority: &Authority, address: SocketAddr) -> Settings {
    let settings = Settings::calling_url(&format!("https://{address}")).with("runtime", "workers = 1");
    trusting(settings, directory, authority).with("platform", "http2 = true")
}

async fn all_are_answered(gateway: &Gateway, count: usize) {
    for answer in join_all((0..count).map(|_| gateway.studies())).await {
        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
    }
}

#[tokio::test]
async fn many_questions_go_over_one_connection_and_carry_the_contracts_headers() {
    let (authority, directory) = (Authority::new("h2"), Directory::new());
    let peer = Peer::start(server(&authority.server(), None), 100).await;
    let gateway = settings(&directory, &authority, peer.address).start();

    // Twenty at once, the first of them while there is no connection yet.
    tokio::join!(all_are_answered(&gateway, 20), async {
        peer.wait_for_questions(20).await;
        assert_eq!(
            gateway.metric("aimis_upstream_connections{state=\"active\"}").await,
            Some(1.0)
        );
        peer.let_answer(20);
    });

    assert_eq!(peer.connections(), 1);
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"active\"}").await,
        Some(0.0)
    );
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"idle\"}").await,
        Some(1.0)
    );
    for head in peer.state.heads.lock().unwrap().iter() {
        assert_eq!(head.uri.authority().unwrap().as_str(), peer.address.to_string());
        assert_eq!(head.uri.path(), "/thirdparty/patientStudies/900001");
        let mut names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept-encoding",
                "appid",
                "content-length",
                "content-type",
                "signature",
                "timestamp"
            ]
        );
    }
}

#[tokio::test]
async fn no_connection_carries_more_than_the_peer_allows() {
    let (authority, directory) = (Authority::new("h2"), Directory::new());
    let peer = Peer::start(server(&authority.server(), None), 2).await;
    let gateway = settings(&directory, &authority, peer.address).start();
    // Its limit comes with its first words.
    peer.let_answer(1);
    all_are_answered(&gateway, 1).await;

    tokio::join!(all_are_answered(&gateway, 6), async {
        peer.wait_for_questions(7).await;
        peer.let_answer(6);
    });

    assert_eq!(peer.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_ends_in_order_or_at_once_is_no_callers_problem() {
    let (authority, directory) = (Authority::new("h2"), Directory::new());
    let peer = Peer::start(server(&authority.server(), None), 100).await;
    let gateway = settings(&directory, &authority, peer.address).start();

    // GOAWAY while a question is on its way: it is answered, and the next goes over another connection.
    tokio::join!(all_are_answered(&gateway, 1), async {
        peer.wait_for_questions(1).await;
        peer.end_in_order();
        peer.let_answer(1);
    });
    peer.let_answer(100);
    all_are_answered(&gateway, 5).await;
    assert_eq!(peer.connections(), 2);

    // The end of an idle connection, seen or not when the next question comes.
    for ended in 1..=5 {
        peer.end_at_once();
        all_are_answered(&gateway, 1).await;
        assert_eq!(peer.connections(), 2 + ended);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_fails_what_it_carried_and_a_retry_helps() {
    let (authority, directory) = (Authority::new("h2"), Directory::new());
    let peer = Peer::start(server(&authority.server(), None), 100).await;
    let gateway = settings(&directory, &authority, peer.address).start();

    tokio::join!(all_are_answered(&gateway, 3), async {
        peer.wait_for_questions(3).await;
        peer.end_at_once();
        peer.wait_for_questions(6).await;
        peer.let_answer(3);
    });

    assert_eq!(peer.connections(), 2);
    assert_eq!(
        gateway.metric("aimis_upstream_retries_total{reason=\"reset\"}").await,
        Some(3.0)
    );
}

#[tokio::test]
async fn a_platform_without_http2_is_spoken_to_in_http1() {
    let (authority, directory) = (Authority::new("h2"), Directory::new());
    let platform = secure_platform(server(&authority.server(), None)).await;
    let gateway = settings(&directory, &authority, platform.addr()).start();

    all_are_answered(&gateway, 1).await;
    all_are_answered(&gateway, 10).await;

    assert!(platform.connections_accepted() >= 1);
    assert_eq!(platform.request_count(), 11);
}

/// An nginx before a platform, whose connections carry so many questions.
async fn nginx(
    authority: &Authority,
    directory: &Directory,
    platform: &Platform,
    requests: usize,
) -> (Program, SocketAddr) {
    let pair = authority.server();
    let (certificate, key) = (
        directory.file("nginx.pem", &pair.certificate_pem),
        directory.file("nginx.key", &pair.key_pem),
    );
    let (at, address) = (directory.path().display().to_string(), free_address());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .collect();
    let config = format!(
        "daemon off; master_process off; error_log /dev/null; pid {at}/nginx.pid;\nevents {{ }}\nhttp {{\n{temporary}\
         log_format spoken '$server_protocol $connection'; access_log {at}/access.log spoken;\n\
         upstream platform {{ server {}; keepalive 4; }}\nserver {{\nlisten {address} ssl http2;\n\
         ssl_certificate {certificate}; ssl_certificate_key {key}; keepalive_requests {requests};\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         location / {{ proxy_pass http://platform; }}\n}}\n}}\n",
        platform.addr()
    );
    let config = directory.file("nginx.conf", config);
    let nginx = Program::start(
        "nginx",
        "nginx-light",
        &["-p", &at, "-e", "/dev/null", "-c", &config],
        address,
    )
    .await;
    (nginx, address)
}

#[tokio::test]
async fn nginx_speaks_http2_with_us_and_http1_with_the_platform() {
    let (authority, directory, platform) = (Authority::new("h2"), Directory::new(), platform().await);
    let (_nginx, address) = nginx(&authority, &directory, &platform, 1000).await;
    let gateway = settings(&directory, &authority, address).start();

    for _ in 0..3 {
        all_are_answered(&gateway, 10).await;
    }

    let spoken = std::fs::read_to_string(directory.path().join("access.log")).unwrap();
    let connections: std::collections::BTreeSet<_> = spoken.lines().collect();
    assert_eq!((spoken.lines().count(), connections.len()), (30, 1), "{spoken}");
    assert!(spoken.starts_with("HTTP/2.0 "), "{spoken}");
}

#[tokio::test]
async fn what_a_connection_that_ends_has_not_taken_up_is_asked_again_for_free() {
    let (authority, directory, platform) = (Authority::new("h2"), Directory::new(), platform().await);
    let (_nginx, address) = nginx(&authority, &directory, &platform, 5).await;
    let gateway = settings(&directory, &authority, address)
        .with("platform", "max_retries = 0")
        .with("limits.tenant", "rate_per_s = 0\nin_flight = 0")
        .start();

    for _ in 0..3 {
        all_are_answered(&gateway, 30).await;
    }

    assert_eq!(platform.request_count(), 90);
    let again = gateway
        .metric("aimis_upstream_retries_total{reason=\"stale_connection\"}")
        .await;
    assert!(again > Some(0.0), "{again:?}");
    let open = "aimis_breaker_state{api=\"patientStudies\",state=\"open\"}";
    assert_eq!(gateway.metric(open).await, Some(0.0));
}
