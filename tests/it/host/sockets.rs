//! Sockets that the service manager keeps: a restart refuses nobody.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aimis_simulator::{Platform, PlatformOptions};

use super::{PATH, serve};
use crate::support::binary;
use crate::support::client::{self, Connection, request};
use crate::support::directory::Directory;
use crate::support::gateway::studies_query;
use crate::support::process::{Process, Serve};

/// A socket as a parent hands it over: as descriptor 3, announced to this process alone.
const HANDED_OVER: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";

/// Starts `command` with the socket.
fn start_with(socket: impl Into<OwnedFd>, command: &Command) -> Process {
    Process::start_with(binary::after(command, HANDED_OVER), Stdio::from(socket.into()))
}

/// One question on a connection of its own: answered well or not.
async fn asked(lan: SocketAddr, query: &[u8]) -> Result<(), String> {
    let mut connection = Connection::open(lan).await;
    connection.send(query).await.map_err(|error| error.to_string())?;
    match connection.answer().await {
        Some(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_refuse_nobody() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    // As systemd does, this process has the socket and does not listen.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let lan = socket.local_addr().unwrap();
    let mut command = serve(&platform);
    command
        .env("AIMIS_LAN__LISTEN", lan.to_string())
        .env("AIMIS_LIMITS__TENANT__RATE_PER_S", "0")
        .env("AIMIS_LIMITS__TENANT__IN_FLIGHT", "0")
        .env("AIMIS_LOG__LEVEL", "info");
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut serve = Serve::ready(start_with(socket.try_clone().unwrap(), &command));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            tokio::spawn(async move {
                let query = request("POST", PATH, &[], studies_query().as_bytes());
                while !done.load(Ordering::Relaxed) {
                    asked(lan, &query).await?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), String>(())
            })
        })
        .collect();

    for _ in 0..3 {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 20
            && !callers.iter().any(tokio::task::JoinHandle::is_finished)
        {
            tokio::task::yield_now().await;
        }
        serve.process.signal("TERM");
        let ended = tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();
        assert_eq!(ended.status.code(), Some(0));
        // Nobody listens now; callers wait.
        serve = Serve::ready(start_with(socket.try_clone().unwrap(), &command));
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) >= 60);
}

/// A caller that comes while the gateway stops is not taken by it, to be closed a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_during_a_stop_waits_for_the_successor() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let lan = socket.local_addr().unwrap();
    let mut command = serve(&platform);
    command
        .env("AIMIS_LAN__LISTEN", lan.to_string())
        .env("AIMIS_DRAIN__DELAY_MS", "700");
    let first = Serve::ready(start_with(socket.try_clone().unwrap(), &command));

    first.process.signal("TERM");
    while client::get(first.telemetry, "/readyz").await.status == 200 {}
    let mut late = Connection::open(lan).await;
    let ended = tokio::task::spawn_blocking(|| first.process.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let _second = Serve::ready(start_with(socket, &command));

    late.send(&request("POST", PATH, &[], studies_query().as_bytes()))
        .await
        .unwrap();
    assert_eq!(late.answer().await.map(|answer| answer.status), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_taken_over_and_left_where_it_is() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let path = directory.path().join("lan.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let mut command = serve(&platform);
    command.env(
        "AIMIS_LAN__LISTEN",
        format!("[\"127.0.0.1:0\", \"unix:{}\"]", path.display()),
    );

    let serve = Serve::ready(start_with(socket.try_clone().unwrap(), &command));

    let mut stream = UnixStream::connect(&path).unwrap();
    let query = request("POST", PATH, &[("connection", "close")], studies_query().as_bytes());
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        stream.write_all(&query).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serve.process.signal("TERM");
    let ended = tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(path.exists(), "it is the manager's");
}

/// Callers would wait in such a socket for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_no_listener_has_ends_the_start() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let odd = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let told = [
        (OwnedFd::from(socket), "no listener has this address", address.as_str()),
        (OwnedFd::from(odd), "is not one that takes connections", "ListenStream="),
    ];
    for (socket, reason, hint) in told {
        let process = start_with(socket, &serve(&platform));
        let ended = tokio::task::spawn_blocking(|| process.ended()).await.unwrap();
        assert_eq!(ended.status.code(), Some(78));
        assert!(
            ended.stderr.contains(reason) && ended.stderr.contains(hint),
            "{}",
            ended.stderr
        );
    }
}
