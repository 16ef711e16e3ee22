//! What the service manager is told: that we are ready, reload, stop, and are alive (`sd_notify(3)`).
//!
//! A message is a datagram of `NAME=value` lines to the unix socket that `NOTIFY_SOCKET` names; without the variable
//! there is nobody to tell, and all of this does nothing. Nothing waits for an answer, and a message that cannot be
//! sent is let go: the manager has time-outs for that.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Shortest time between two looks at our own threads: they show themselves once a second.
const SHORTEST_LOOK: Duration = Duration::from_millis(2_500);

/// The way to the service manager.
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// The manager wants a sign of life this often.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The manager that started this process, if there is one that wants to be told.
    pub fn from_environment() -> Self {
        let text = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let named = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let us = std::process::id();
        Self {
            socket: named.and_then(|name| connect(&name).ok()),
            watchdog: watchdog_interval(text("WATCHDOG_USEC").as_deref(), text("WATCHDOG_PID").as_deref(), us),
        }
    }

    /// Requests are answered from now on; also said when a reload is over, whichever way it ended.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// A reload has begun. Each is followed by [`Self::ready`].
    pub fn reloading(&self) {
        // The manager tells by this time (CLOCK_MONOTONIC) whether it is the reload that it asked for.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The stop has begun and takes up to `longest`.
    pub fn stopping(&self, longest: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", longest.as_micros()));
    }

    /// One line for `systemctl status`; never a value from outside.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace(char::is_control, " ")));
    }

    /// A sign of life.
    pub fn watchdog(&self) {
        self.tell("WATCHDOG=1");
    }

    /// Sends signs of life for as long as `alive` says yes: it is asked twice in the manager's interval whether every
    /// thread has shown itself within the time it is given. Without a watchdog this waits for ever.
    pub async fn keep_watchdog(&self, alive: impl Fn(Duration) -> bool) {
        let Some(interval) = self.watchdog.filter(|_| self.socket.is_some()) else {
            return std::future::pending().await;
        };
        let look = interval / 2;
        loop {
            if alive(look.max(SHORTEST_LOOK)) {
                self.watchdog();
            }
            tokio::time::sleep(look).await;
        }
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

/// A socket towards `name`: a path, or behind an `@` a name in the abstract namespace.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

/// Only Linux has that namespace.
#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How often a sign of life is wanted of the process `us`.
fn watchdog_interval(micros: Option<&str>, of: Option<&str>, us: u32) -> Option<Duration> {
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    of.is_none_or(|of| of.parse() == Ok(us))
        .then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog_interval(Some("1000000"), None, 7), second);
        assert_eq!(watchdog_interval(Some("1000000"), Some("7"), 7), second);
        for (micros, of) in [
            (None, None),
            (Some("0"), None),
            (Some("soon"), None),
            (Some("1000000"), Some("8")),
        ] {
            assert_eq!(watchdog_interval(micros, of, 7), None, "{micros:?} {of:?}");
        }
    }

    #[test]
    fn messages_have_the_form_of_sd_notify() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let notifier = Notifier {
            socket: Some(ours),
            watchdog: None,
        };
        let mut buffer = [0; 256];
        let mut next = || {
            let length = theirs.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };

        notifier.ready();
        assert_eq!(next(), "READY=1");
        notifier.status("two\nlines");
        assert_eq!(next(), "STATUS=two lines");
        notifier.stopping(Duration::from_secs(20));
        assert_eq!(next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000");
        notifier.reloading();
        let told = next();
        let micros = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_end_with_life() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let notifier = Notifier {
            socket: Some(ours),
            watchdog: Some(Duration::from_secs(10)),
        };
        let looks = std::cell::Cell::new(0);
        let alive = |within| {
            assert_eq!(within, Duration::from_secs(5));
            looks.set(looks.get() + 1);
            looks.get() <= 3
        };

        let watch = notifier.keep_watchdog(alive);
        assert!(tokio::time::timeout(Duration::from_secs(52), watch).await.is_err());

        let mut buffer = [0; 64];
        let mut signs = 0;
        while let Ok(length) = theirs.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"WATCHDOG=1");
            signs += 1;
        }
        assert_eq!((looks.get(), signs), (11, 3));
    }
}
