//! A CONNECT proxy that does what it is told: tunnels, refuses, talks nonsense, hangs, dies.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a proxy does with the next connections.
#[derive(Clone, Copy, Debug)]
pub enum Conduct {
    /// Opens the tunnel; only for this `Proxy-Authorization` if there is one, else 407.
    Tunnel(Option<&'static str>),
    /// Says this and closes.
    Say(&'static str),
    /// Reads and never answers.
    Hang,
    /// Opens a tunnel to nowhere, and closes it at the first byte from us.
    Cut,
}

/// A running proxy; gone when dropped, with all its tunnels.
pub struct Proxy {
    /// Where it is.
    pub address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    conduct: Mutex<Conduct>,
    /// Every head that it was sent.
    heads: Mutex<Vec<String>>,
    /// Where all tunnels lead, whatever was asked for; else to the place itself.
    target: Option<SocketAddr>,
}

impl Proxy {
    /// A proxy whose tunnels lead to `target` whatever they are asked for.
    pub async fn to(target: SocketAddr) -> Self {
        Self::start("127.0.0.1:0", Some(target), None).await
    }

    /// With TLS to the proxy itself where `tls` is given.
    pub async fn start(listen: &str, target: Option<SocketAddr>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            conduct: Mutex::new(Conduct::Tunnel(None)),
            heads: Mutex::default(),
            target,
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            // Ends with this task, and with it all tunnels.
            let mut tunnels = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tunnels.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, &state).await;
                            }
                        }
                        None => serve(stream, &state).await,
                    }
                });
            }
        });
        Self { address, state, task }
    }

    /// From now on.
    pub fn conduct(&self, conduct: Conduct) {
        *self.state.conduct.lock().unwrap() = conduct;
    }

    /// Every head that it was sent.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// The line of `[platform]` that names it.
    pub fn line(&self) -> String {
        format!("proxy = \"http://{}\"", self.address)
    }

    /// Dies with all tunnels; returns when its port is free.
    pub async fn die(mut self) -> SocketAddr {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    state.heads.lock().unwrap().push(head.clone());
    let conduct = *state.conduct.lock().unwrap();
    match conduct {
        Conduct::Tunnel(wanted) => {
            let shown = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
            if wanted.is_some() && wanted != shown {
                let refusal = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(refusal.as_bytes()).await;
                return;
            }
            let asked = head.split(' ').nth(1).unwrap().to_owned();
            let target = match state.target {
                Some(target) => TcpStream::connect(target).await,
                None => TcpStream::connect(asked).await,
            };
            let Ok(mut target) = target else {
                let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
                return;
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut target).await;
        }
        Conduct::Say(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Conduct::Hang => {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Conduct::Cut => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = stream.read_u8().await;
        }
    }
}
