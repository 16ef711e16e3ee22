//! A collector of traces that keeps what it gets, as bytes, and answers as it is told to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tls::Pair;

/// What it does with an export.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Answers with this status.
    Says(u16),
    /// Reads it, and answers nothing.
    Hangs,
}

/// A running collector; ends with the process.
#[derive(Clone)]
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
}

struct State {
    manner: Manner,
    requests: Vec<Vec<u8>>,
    /// Held open, so that nobody is answered.
    hanging: Vec<TcpStream>,
}

impl Collector {
    /// Over plain HTTP.
    pub fn start(manner: Manner) -> Self {
        Self::listen(manner, None)
    }

    /// Over TLS, with this certificate.
    pub fn secure(pair: &Pair) -> Self {
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.certificate.clone()], key)
            .unwrap();
        Self::listen(Manner::Takes, Some(Arc::new(config)))
    }

    fn listen(manner: Manner, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            manner,
            requests: Vec::new(),
            hanging: Vec::new(),
        };
        let collector = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            state: Arc::new(Mutex::new(state)),
        };
        let theirs = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (collector, tls) = (theirs.clone(), tls.clone());
                thread::spawn(move || collector.serve(stream, tls));
            }
        });
        collector
    }

    /// The value of `traces.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("{}://localhost:{}/v1/traces", self.scheme, self.address.port())
    }

    /// From now on it does this.
    pub fn set(&self, manner: Manner) {
        self.locked().manner = manner;
    }

    /// Everything it got, head and body, a request each.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.locked().requests.clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        let raw = stream.try_clone().unwrap();
        let hangs = match tls {
            None => self.exchange(stream),
            Some(tls) => {
                let connection = ServerConnection::new(tls).unwrap();
                self.exchange(StreamOwned::new(connection, stream))
            }
        };
        if hangs {
            self.locked().hanging.push(raw);
        }
    }

    /// One request and its answer; true where there is to be none. A peer that goes away, or that does not like the
    /// certificate, has sent none.
    fn exchange<S: Read + Write>(&self, mut stream: S) -> bool {
        let Some(request) = read(&mut stream) else {
            return false;
        };
        let manner = {
            let mut state = self.locked();
            state.requests.push(request);
            state.manner
        };
        let status = match manner {
            Manner::Hangs => return true,
            Manner::Takes => 200,
            Manner::Says(status) => status,
        };
        let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // A peer that has gone is a case of its own.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
        false
    }
}

/// A head and as much body as it announces.
fn read(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if all.len() >= end + 4 + length?.trim().parse::<usize>().ok()? {
                return Some(all);
            }
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => all.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
