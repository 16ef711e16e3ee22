//! Clients that keep a connection busy with as little as they can.
//!
//! Those that never read come over the unix socket: its buffers are small, so that a few answers fill them, while TCP
//! over loopback would take megabytes of each.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::support::client::{PATIENCE, request};
use crate::support::gateway::studies_query;

/// All of them, a third of each kind.
pub(super) const CLIENTS: usize = 1_000;
/// What they do between two bytes; their pace, and nothing waits for it.
const PACE: Duration = Duration::from_millis(200);
/// The API whose answers are large.
pub(super) const LARGE_API: &str = "patientStudies";
/// More of these than three fill a unix socket.
const LARGE: usize = 64 << 10;

/// A good answer that is long.
pub(super) fn large_answer() -> Vec<u8> {
    format!(r#"{{"code":0,"message":"ok","data":["{}"]}}"#, "x".repeat(LARGE)).into_bytes()
}

fn large_query() -> Vec<u8> {
    let path = format!("/thirdparty/{LARGE_API}/900001");
    request("POST", &path, &[], studies_query().as_bytes())
}

/// Lets all of them come; returns when each was cut by the gateway, as it has to be.
pub(super) async fn all(lan: SocketAddr, socket: &Path) {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        match number % 3 {
            0 => _ = clients.spawn(bounded("a head byte by byte", head_byte_by_byte(lan))),
            1 => _ = clients.spawn(bounded("a body byte by byte", body_byte_by_byte(lan))),
            _ => _ = clients.spawn(bounded("an answer not read", never_reads(socket.to_owned()))),
        }
    }
    clients.join_all().await;
}

async fn bounded(what: &'static str, client: impl Future<Output = ()>) {
    let cut = tokio::time::timeout(PATIENCE, client).await;
    assert!(cut.is_ok(), "{what}: the gateway did not cut it");
}

async fn head_byte_by_byte(lan: SocketAddr) {
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: {}", "a".repeat(10_000));
    drip(TcpStream::connect(lan).await.unwrap(), endless.as_bytes()).await;
}

async fn body_byte_by_byte(lan: SocketAddr) {
    let mut stream = TcpStream::connect(lan).await.unwrap();
    let head = "POST /thirdparty/patientReportUrl/900001 HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    drip(stream, &[b' '; 10_000]).await;
}

/// Sends a byte at a time until the gateway has said that it is too slow, and closed.
async fn drip(mut stream: TcpStream, bytes: &[u8]) {
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        for byte in bytes {
            if writing.write_all(std::slice::from_ref(byte)).await.is_err() {
                break;
            }
            tokio::time::sleep(PACE).await;
        }
        // Cut in the middle of a write; what was said before is read beside this.
        std::future::pending::<()>().await;
    };
    let closed = tokio::select! {
        closed = reading.read_to_end(&mut answer) => closed,
        () = send => Ok(0),
    };
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{closed:?}, {answer:?}");
}

/// Asks and asks, and reads nothing, until the gateway closes.
async fn never_reads(socket: std::path::PathBuf) {
    let (mut stream, query) = (UnixStream::connect(socket).await.unwrap(), large_query());
    while stream.write_all(&query).await.is_ok() {}
}
