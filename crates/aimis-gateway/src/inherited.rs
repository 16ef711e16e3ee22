//! Listening sockets that the service manager keeps for us (`sd_listen_fds(3)`): while we restart, callers wait in
//! them and nobody is refused.
//!
//! A socket belongs to the listener that has its address in the configuration; names of sockets are not looked at, so
//! there is nothing to keep in step but the address.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use crate::config::ListenAddr;

/// Sockets that this process was started with.
#[derive(Default)]
pub struct Inherited {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
}

/// A socket that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// It is of another kind.
    #[error(
        "socket {number} of the service manager is not one that takes connections: its unit may have ListenStream= only"
    )]
    Kind {
        /// Counted from 0, in the order of the unit's lines.
        number: usize,
    },
    /// Nobody would answer on it, while callers wait there.
    #[error(
        "the service manager keeps a socket for {address}, and no listener has this address: write the same into the configuration and into ListenStream="
    )]
    Unclaimed {
        /// Where.
        address: String,
    },
}

impl Inherited {
    /// Takes over what `LISTEN_FDS` announces. Called once, before any thread is started: descriptors change hands.
    ///
    /// # Errors
    /// [`InheritedError::Kind`].
    pub fn from_environment() -> Result<Self, InheritedError> {
        let mut handed = ListenFd::from_env();
        let mut found = Self::default();
        for number in 0..handed.len() {
            // Each is asked what it is; one of another kind stays where it is.
            if let Ok(Some(socket)) = handed.take_tcp_listener(number) {
                found.tcp.push(socket);
            } else if let Ok(Some(socket)) = handed.take_unix_listener(number) {
                found.unix.push(socket);
            } else {
                return Err(InheritedError::Kind { number });
            }
        }
        Ok(found)
    }

    /// The socket of a TCP address.
    pub(crate) fn take_tcp(&mut self, address: &ListenAddr) -> Option<TcpListener> {
        let wanted = address.tcp()?;
        let at = self
            .tcp
            .iter()
            .position(|socket| socket.local_addr().is_ok_and(|at| at == wanted))?;
        Some(self.tcp.swap_remove(at))
    }

    /// The socket of a unix path.
    pub(crate) fn take_unix(&mut self, address: &ListenAddr) -> Option<UnixListener> {
        let ListenAddr::Unix(wanted) = address else { return None };
        let is_there = |socket: &UnixListener| {
            let at = socket.local_addr();
            at.is_ok_and(|at| at.as_pathname() == Some(wanted))
        };
        let at = self.unix.iter().position(is_there)?;
        Some(self.unix.swap_remove(at))
    }

    /// Complains about a socket that no listener took.
    ///
    /// # Errors
    /// [`InheritedError::Unclaimed`] for the first.
    pub(crate) fn all_taken(&self) -> Result<(), InheritedError> {
        let tcp = self.tcp.iter().map(|socket| {
            socket
                .local_addr()
                .map_or_else(|error| error.kind().to_string(), |at| at.to_string())
        });
        let unix = self.unix.iter().map(|socket| {
            let at = socket.local_addr().ok();
            let path = at.as_ref().and_then(|at| at.as_pathname());
            path.map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display()))
        });
        match tcp.chain(unix).next() {
            Some(address) => Err(InheritedError::Unclaimed { address }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_goes_to_the_listener_with_its_address() {
        let (one, other) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let (at, elsewhere) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut inherited = Inherited {
            tcp: vec![other, one],
            unix: Vec::new(),
        };

        assert_eq!(
            inherited
                .take_tcp(&ListenAddr::Plain(at))
                .unwrap()
                .local_addr()
                .unwrap(),
            at
        );
        assert!(inherited.take_tcp(&ListenAddr::Tcp(at)).is_none());
        assert!(inherited.take_unix(&ListenAddr::Unix("/run/a.sock".into())).is_none());
        let error = inherited.all_taken().unwrap_err().to_string();
        assert!(error.contains(&elsewhere.to_string()), "{error}");

        inherited.take_tcp(&ListenAddr::Tcp(elsewhere)).unwrap();
        inherited.all_taken().unwrap();
    }
}
