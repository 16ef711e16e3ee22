//! Listeners: bound before anything starts, accepting until told to stop.
//!
//! Addresses are bound first of all, so that a taken port ends the start with one clear line. One loop
//! accepts for all workers and gives each connection to the worker with the fewest: a HIS often keeps two
//! or three connections, which the kernel's own spreading would put on one core as often as not.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use crate::config::ListenAddr;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept: without one, a process out of descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket; its file goes with it.
    Unix(UnixListener, SocketFile),
}

/// An accepted connection, not yet in any runtime.
pub enum Accepted {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", hint(.error))]
pub struct BindError {
    /// Where.
    pub address: String,
    /// Why.
    pub error: io::Error,
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use; does another gateway run?".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege".to_owned(),
        kind => kind.to_string(),
    }
}

/// Removes a unix socket's file at the end.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may have been removed by hand; there is nothing to do about it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// When it is taken, absent or not permitted.
    pub fn bind(address: &ListenAddr) -> Result<Self, BindError> {
        let bound = match address {
            ListenAddr::Tcp(address) => bind_tcp(*address).map(Self::Tcp),
            ListenAddr::Unix(path) => bind_unix(path),
        };
        bound.map_err(|error| BindError { address: address.to_string(), error })
    }

    /// The TCP address it has, with the port that the system chose for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections of its predecessor to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    // A file left by a process that was killed stops nobody: nothing answers behind it.
    if path.exists() && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

/// Accepts until `stop` is true, then takes what already waits and closes the listener.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub async fn accept(
    listener: Listener,
    name: &'static str,
    mut stop: watch::Receiver<bool>,
    log: Log,
    mut take: impl FnMut(Accepted),
) -> io::Result<()> {
    let (source, _file) = match listener {
        Listener::Tcp(listener) => (Source::Tcp(tokio::net::TcpListener::from_std(listener)?), None),
        Listener::Unix(listener, file) => {
            (Source::Unix(tokio::net::UnixListener::from_std(listener)?), Some(file))
        }
    };
    loop {
        let accepted = tokio::select! {
            // First the connections: whoever waits when the stop comes is still taken.
            biased;
            accepted = source.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        match accepted {
            Ok(connection) => take(connection),
            // The peer was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log.write(&Event::AcceptFailed { listener: name, kind: error.kind() });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

enum Source {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Source {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                stream.into_std().map(Accepted::Tcp)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Accepted::Unix)
            }
        }
    }
}

/// Answers a connection for which there is no place, and closes it.
///
/// What fits into the socket's buffer is sent; there is no waiting for a peer that is one too many.
pub fn refuse(connection: &Accepted, answer: &[u8]) {
    use std::io::Write;
    // The peer may be gone already.
    let _ = match connection {
        Accepted::Tcp(stream) => {
            let mut stream = stream;
            stream.write_all(answer)
        }
        Accepted::Unix(stream) => {
            let mut stream = stream;
            stream.write_all(answer)
        }
    };
    if let Accepted::Tcp(stream) = connection {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}
