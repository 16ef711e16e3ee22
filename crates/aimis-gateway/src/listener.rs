//! Listeners: bound before anything starts, accepting until told to stop.
//!
//! Addresses are bound first of all, so that a taken port ends the start with one clear line. One loop
//! accepts for all workers and gives each connection to the worker with the fewest: a HIS often keeps two
//! or three connections, which the kernel's own spreading would put on one core as often as not.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::config::{FileMode, ListenAddr};
use crate::inherited::Inherited;
use crate::telemetry::event::Event;
use crate::telemetry::log::{Log, Loggable, write_string};
use crate::telemetry::throttle::Throttle;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept: without one, a process out of descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Time for a peer that is refused to take its answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// A bound address.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener, Wire, Queue),
    /// A unix socket; its file goes with it if it is ours.
    Unix(UnixListener, Queue, Option<SocketFile>),
}

/// Who takes connections that wait in a listener when we stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Nobody else: whoever waits is still served.
    Ours,
    /// Our successor: the service manager keeps the socket.
    Kept,
}

/// What is spoken on a TCP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP as it is.
    Plain,
    /// TLS, and HTTP inside.
    Tls,
}

/// An accepted connection, not yet in any runtime.
pub enum Accepted {
    /// TCP, who connected, and what is spoken.
    Tcp(TcpStream, IpAddr, Wire),
    /// A unix socket.
    Unix(UnixStream),
}

impl Accepted {
    /// The other end's address; `None` on a unix socket.
    pub fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, address, _) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {fault}")]
pub struct BindError {
    /// Where.
    pub address: String,
    /// Why.
    pub fault: BindFault,
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// The system refuses it.
    #[error("{}", hint(.0))]
    System(#[from] io::Error),
    /// A unix socket's path names something else. It is left alone, since it may be anything.
    #[error("there is a file that is not a socket; name another path")]
    NotSocket,
    /// Another process listens on the unix socket.
    #[error("something answers there already; does another gateway run?")]
    Answered,
}

fn hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use; does another gateway run?".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege".to_owned(),
        kind => kind.to_string(),
    }
}

/// Removes a unix socket's file at the end, if it is still the one that was bound: another gateway may have
/// taken the path over, and its file is not ours to remove.
pub struct SocketFile {
    path: PathBuf,
    bound: FileId,
}

/// Device and inode: what a file is, whatever it is called.
type FileId = (u64, u64);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|found| found == self.bound) {
            // Whoever removed it in between did what we meant to.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Where a listener is, as the operator wrote it and the system completed it.
pub struct Bound(String);

impl Loggable for &Bound {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, &self.0);
    }
}

impl Listener {
    /// Where it is, for the log.
    pub fn bound(&self) -> Bound {
        Bound(match self {
            Self::Tcp(listener, ..) => listener
                .local_addr()
                .map_or_else(|error| error.kind().to_string(), |at| at.to_string()),
            Self::Unix(_, _, Some(file)) => format!("unix:{}", file.path.display()),
            Self::Unix(listener, _, None) => {
                let at = listener.local_addr().ok();
                let path = at.as_ref().and_then(|at| at.as_pathname()).unwrap_or(Path::new(""));
                format!("unix:{}", path.display())
            }
        })
    }

    /// Takes the address's socket from those that the service manager keeps, or binds one. The manager's unix sockets
    /// have the mode that it gave them.
    ///
    /// # Errors
    /// As for [`Self::bind`].
    pub fn open(address: &ListenAddr, mode: Option<FileMode>, inherited: &mut Inherited) -> Result<Self, BindError> {
        let kept = if let Some(socket) = inherited.take_tcp(address) {
            socket
                .set_nonblocking(true)
                .map(|()| Self::Tcp(socket, Wire::Plain, Queue::Kept))
        } else if let Some(socket) = inherited.take_unix(address) {
            socket
                .set_nonblocking(true)
                .map(|()| Self::Unix(socket, Queue::Kept, None))
        } else {
            return Self::bind(address, mode);
        };
        kept.map_err(|error| BindError {
            address: address.to_string(),
            fault: error.into(),
        })
    }

    /// Who takes the connections that wait in it when we stop.
    pub fn queue(&self) -> Queue {
        match self {
            Self::Tcp(_, _, queue) | Self::Unix(_, queue, _) => *queue,
        }
    }

    /// Binds an address. A unix socket gets `mode`; without one, what the process's umask leaves.
    ///
    /// # Errors
    /// When it is taken, absent or not permitted, or when a unix socket's path names another kind of file.
    pub fn bind(address: &ListenAddr, mode: Option<FileMode>) -> Result<Self, BindError> {
        let bound = match address {
            ListenAddr::Tcp(address) | ListenAddr::Plain(address) => bind_tcp(*address)
                .map(|listener| Self::Tcp(listener, Wire::Plain, Queue::Ours))
                .map_err(BindFault::from),
            ListenAddr::Unix(path) => bind_unix(path, mode),
        };
        bound.map_err(|fault| BindError {
            address: address.to_string(),
            fault,
        })
    }

    /// The same listener, speaking TLS if it is one of TCP that the operator did not write with `plain:`.
    #[must_use]
    pub fn with_tls(self, address: &ListenAddr) -> Self {
        match (self, address) {
            (Self::Tcp(listener, _, queue), ListenAddr::Tcp(_)) => Self::Tcp(listener, Wire::Tls, queue),
            (other, _) => other,
        }
    }

    /// The TCP address it has, with the port that the system chose for port 0.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener, ..) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

/// Whether an address could be bound. Nobody is listened to, and nothing is left behind.
///
/// # Errors
/// Why it could not be.
pub(crate) fn try_bind(address: &ListenAddr) -> Result<(), BindFault> {
    match address {
        ListenAddr::Tcp(address) | ListenAddr::Plain(address) => _ = bound_socket(*address)?,
        ListenAddr::Unix(path) => match left_over(path)? {
            true => {}
            false => {
                _ = std::fs::read_dir(
                    path.parent()
                        .filter(|at| !at.as_os_str().is_empty())
                        .unwrap_or(Path::new(".")),
                )?
            }
        },
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound_socket(address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bound_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections of its predecessor to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: Option<FileMode>) -> Result<Listener, BindFault> {
    clear_away(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let bound = file_id(path)?;
    if let Some(mode) = mode {
        // Before anybody is listened to: whatever the umask left, nobody gets in by it in between.
        std::fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Listener::Unix(
        socket.into(),
        Queue::Ours,
        Some(SocketFile {
            path: path.to_owned(),
            bound,
        }),
    ))
}

/// Removes the socket of a process that was killed. Only a socket that nobody listens on is one of these:
/// a mistyped path may name anything, and a connection may fail for other reasons.
fn clear_away(path: &Path) -> Result<(), BindFault> {
    if left_over(path)? {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Whether the socket of a process that was killed is there.
fn left_over(path: &Path) -> Result<bool, BindFault> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
        Ok(file) if !file.file_type().is_socket() => return Err(BindFault::NotSocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindFault::Answered),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Accepts until `stop` is true, then closes the listener. What already waits then is taken first, unless a successor
/// will take it.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub async fn accept(
    listener: Listener,
    name: &'static str,
    mut stop: watch::Receiver<bool>,
    log: Log,
    throttle: Throttle,
    mut take: impl FnMut(Accepted),
) -> io::Result<()> {
    let queue = listener.queue();
    let (source, _file) = match listener {
        Listener::Tcp(listener, wire, _) => (Source::Tcp(tokio::net::TcpListener::from_std(listener)?, wire), None),
        Listener::Unix(listener, _, file) => (Source::Unix(tokio::net::UnixListener::from_std(listener)?), file),
    };
    loop {
        if queue == Queue::Kept && *stop.borrow() {
            return Ok(());
        }
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
            // Without descriptors every accept fails at once: the stop has to be seen here as well.
            Err(error) => {
                if let Some(left_out) = throttle.pass() {
                    log.write(&Event::AcceptFailed {
                        listener: name,
                        kind: error.kind(),
                        left_out,
                    });
                }
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    _ = stop.wait_for(|stop| *stop) => return Ok(()),
                }
            }
        }
    }
}

enum Source {
    Tcp(tokio::net::TcpListener, Wire),
    Unix(tokio::net::UnixListener),
}

impl Source {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, wire) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                stream
                    .into_std()
                    .map(|stream| Accepted::Tcp(stream, address.ip().to_canonical(), *wire))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Accepted::Unix)
            }
        }
    }
}

/// Answers a connection for which there is no place, and closes it. A caller that would speak TLS cannot be
/// told without a handshake, which is work that such a flood should not get: it is only closed.
pub async fn refuse(connection: Accepted, answer: Vec<u8>) {
    match connection {
        Accepted::Tcp(_, _, Wire::Tls) => {}
        Accepted::Tcp(stream, _, Wire::Plain) => {
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                farewell(stream, &answer).await;
            }
        }
        Accepted::Unix(stream) => {
            if let Ok(stream) = tokio::net::UnixStream::from_std(stream) {
                farewell(stream, &answer).await;
            }
        }
    }
}

/// Sends a last answer to a caller whose request is not read.
///
/// It is thrown away behind the answer: closing with unread bytes would be a reset, and many a client loses the
/// answer with it. All of it has one second, since such a peer is one too many.
pub async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) {
    let said = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether it was heard is the peer's affair.
    let _ = tokio::time::timeout(FAREWELL, said).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// A directory of its own, gone at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("aimis-listener-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("lan.sock")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn bind(path: &Path) -> Result<Listener, String> {
        Listener::bind(&ListenAddr::Unix(path.to_owned()), None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let directory = Directory::new("stale");
        drop(UnixListener::bind(directory.socket()).unwrap());
        assert!(directory.socket().exists());

        let listener = bind(&directory.socket()).unwrap();

        UnixStream::connect(directory.socket()).unwrap();
        drop(listener);
        assert!(!directory.socket().exists());
    }

    #[test]
    fn a_socket_is_for_whom_the_configuration_says() {
        let directory = Directory::new("mode");
        for mode in ["0660", "0666", "0600"] {
            let text = format!(
                "[lan]\nsocket_mode = \"{mode}\"\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n"
            );
            let loaded = config::load(&config::Sources::text("gateway.toml", text)).unwrap();
            let wanted = loaded.config.lan.socket_mode;

            let _listener = Listener::bind(&ListenAddr::Unix(directory.socket()), Some(wanted)).unwrap();

            let found = std::fs::metadata(directory.socket()).unwrap().mode();
            assert_eq!(format!("{:04o}", found & 0o7777), mode);
            UnixStream::connect(directory.socket()).unwrap();
        }
    }

    #[test]
    fn another_file_under_the_name_is_left_alone() {
        let directory = Directory::new("file");
        let (file, link) = (directory.0.join("precious"), directory.0.join("link"));
        std::fs::write(&file, "kept").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();

        for path in [&file, &link] {
            let error = bind(path).err().unwrap();
            assert!(error.contains("not a socket"), "{error}");
        }

        assert_eq!(std::fs::read_to_string(&link).unwrap(), "kept");
    }

    #[test]
    fn a_socket_that_answers_is_left_alone() {
        let directory = Directory::new("taken");
        let _other = UnixListener::bind(directory.socket()).unwrap();

        let error = bind(&directory.socket()).err().unwrap();

        assert!(error.contains("something answers there already"), "{error}");
        UnixStream::connect(directory.socket()).unwrap();
    }

    #[test]
    fn a_successors_socket_outlives_its_predecessor() {
        let directory = Directory::new("successor");
        let predecessor = bind(&directory.socket()).unwrap();
        std::fs::rename(directory.socket(), directory.0.join("moved")).unwrap();
        let _successor = bind(&directory.socket()).unwrap();

        drop(predecessor);

        assert!(directory.socket().exists());
    }
}
