//! Each record to a syslog server as well (RFC 5424): a copy that whoever changes the files cannot change.
//!
//! ```text
//! <110>1 2026-01-31T08:00:00.123Z gateway-1 aimis-gateway 4711 audit - {"seq":7,…,"mac":"…"}
//! ```
//!
//! It never holds up the trail: what the server does not take in time is dropped here and counted, and stands in the
//! files.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use super::line::Stated;
use super::told::Told;
use crate::config::{HostPort, Syslog};
use crate::telemetry::audit::AuditMetrics;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;

/// How long a connection, or a write, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause behind a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// As often a message is tried; then it is dropped.
const TRIES: u32 = 20;

/// What stands in every message.
#[derive(Clone, Debug)]
pub(super) struct Letterhead {
    /// Facility times eight plus severity (6, informational).
    pub(super) priority: u32,
    pub(super) host: String,
    pub(super) process: u32,
}

impl Letterhead {
    /// `facility` under the name of this machine.
    pub(super) fn new(facility: u32) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Self {
            priority: facility * 8 + 6,
            host: if host.is_empty() { "-".to_owned() } else { host },
            process: std::process::id(),
        }
    }

    /// The message of a line of the trail.
    pub(super) fn message(&self, line: &[u8]) -> Vec<u8> {
        let time = Stated::read(line).map_or("-", |stated| stated.time);
        let mut message = Vec::with_capacity(line.len() + 96);
        let (priority, host, process) = (self.priority, &self.host, self.process);
        write!(message, "<{priority}>1 {time} {host} aimis-gateway {process} audit - ")
            .expect("a Vec takes every byte");
        message.extend_from_slice(line);
        message
    }
}

/// The trail's end of the queue to the server.
pub(super) struct Exporter {
    queue: SyncSender<Vec<u8>>,
    letterhead: Letterhead,
    metrics: Arc<AuditMetrics>,
}

impl Exporter {
    /// Starts the thread that sends; it ends when the exporter is gone and the queue is empty, and tells `done` so.
    pub(super) fn start(
        server: Syslog,
        facility: u32,
        queue: usize,
        metrics: Arc<AuditMetrics>,
        log: Log,
        done: Sender<()>,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let theirs = Arc::clone(&metrics);
        std::thread::Builder::new()
            .name("aimis-syslog".to_owned())
            .spawn(move || {
                send_all(&server, &receiver, &theirs, &log);
                // Whoever does not wait for it any more need not hear.
                let _ = done.send(());
            })?;
        Ok(Self {
            queue: sender,
            letterhead: Letterhead::new(facility),
            metrics,
        })
    }

    /// Sends lines, each with its end. Never waits.
    pub(super) fn send(&self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if self.queue.try_send(self.letterhead.message(line)).is_err() {
                self.metrics.export_dropped.inc();
            }
        }
    }
}

enum Way {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Way {
    fn open(server: &Syslog) -> io::Result<Self> {
        match server {
            Syslog::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
            Syslog::Udp(peer) => first(peer, |address| {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }),
            Syslog::Tcp(peer) => first(peer, |address| {
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }),
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).map(drop),
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => {
                // Its length in front, so that no byte of it can end it (RFC 6587, section 3.4.1).
                let framed = [message.len().to_string().as_bytes(), b" ", message].concat();
                stream.write_all(&framed)
            }
        }
    }
}

/// The first address of a peer that takes a connection.
fn first(peer: &HostPort, open: impl Fn(std::net::SocketAddr) -> io::Result<Way>) -> io::Result<Way> {
    let mut failed = io::ErrorKind::NotFound.into();
    for address in (peer.host.bare(), peer.port).to_socket_addrs()? {
        match open(address) {
            Ok(way) => return Ok(way),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A message is tried for ten seconds, and the ones behind a failed one once each, until one goes through: a server that
/// is gone for long is not waited for message by message.
fn send_all(server: &Syslog, queue: &Receiver<Vec<u8>>, metrics: &AuditMetrics, log: &Log) {
    let mut way = None;
    let (mut failing, mut patient) = (false, true);
    while let Ok(message) = queue.recv() {
        let mut sent = deliver(server, &mut way, &message);
        for _ in 1..if patient { TRIES } else { 1 } {
            let Err(error) = &sent else { break };
            if !failing {
                failing = true;
                log.write(&Event::Audit(Told::ExportFailing(error.kind())));
            }
            std::thread::park_timeout(PAUSE);
            sent = deliver(server, &mut way, &message);
        }
        patient = sent.is_ok();
        match sent {
            Ok(()) => {
                metrics.export_sent.inc();
                if std::mem::take(&mut failing) {
                    log.write(&Event::Audit(Told::ExportWorks));
                }
            }
            Err(_) => metrics.export_dropped.inc(),
        }
    }
}

fn deliver(server: &Syslog, way: &mut Option<Way>, message: &[u8]) -> io::Result<()> {
    if way.is_none() {
        *way = Some(Way::open(server)?);
    }
    let sent = way.as_mut().map_or(Ok(()), |way| way.send(message));
    if sent.is_err() {
        *way = None;
    }
    sent
}
