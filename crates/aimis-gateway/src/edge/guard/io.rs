//! The state machine in front of a stream: hyper reads through this and sees good requests only.
//!
//! A whole head that arrives in one piece is judged where it was read, and passes without a copy; only a head
//! in pieces is kept here until it is whole. What stands in place of a refused head is `STAND_IN`: hyper
//! answers it behind everything it owes to earlier requests, and the service is told which it is.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::fault::HeadFault;
use super::wire::{HeadBounds, Scan, Wire};
use crate::edge::guarded_io::Activity;

/// The request that hyper sees in place of a refused one. It is the last on its connection.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// Bytes behind a refusal that are read and thrown away, so that the client sees the refusal instead of a
/// reset connection.
const MAX_LINGER_BYTES: usize = 16 << 20;

/// The fault that the next request of the connection stands for; shared between stream and service.
#[derive(Clone, Default)]
pub struct Refused(Rc<Cell<Option<HeadFault>>>);

impl Refused {
    /// Takes it out. hyper reads no further than a request's head before it calls the service, so what is
    /// here belongs to the request that the service is called with.
    pub fn take(&self) -> Option<HeadFault> {
        self.0.take()
    }
}

/// A stream whose bytes are judged.
pub struct HeadGuard<S> {
    stream: S,
    /// `None`: bytes pass unjudged, since they are not HTTP/1.
    wire: Option<Wire>,
    activity: Activity,
    refused: Refused,
    /// Read, but not handed on yet.
    pending: Vec<u8>,
    /// So many of `pending` may be handed on.
    cleared: usize,
    end: End,
    linger: Linger,
}

/// How far reading has come to its end.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Not at all.
    Open,
    /// Behind what is cleared comes no more, for this reason.
    Fault(HeadFault),
    /// The stand-in is handed on, or the fault of a body was told.
    Told,
    /// The peer has sent everything.
    Eof,
}

/// Reading on behind a refusal.
struct Linger {
    longest: Duration,
    sending_closed: bool,
    bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> HeadGuard<S> {
    /// Judges HTTP/1 from `stream`, of which `first` has been read already.
    pub fn http1(
        stream: S,
        bounds: HeadBounds,
        linger: Duration,
        activity: Activity,
        refused: Refused,
        first: Vec<u8>,
    ) -> Self {
        let mut guard = Self::opaque(stream, activity, Vec::new());
        guard.linger.longest = linger;
        guard.refused = refused;
        let mut wire = Wire::new(bounds);
        let scan = wire.scan(&first);
        guard.wire = Some(wire);
        guard.pending = first;
        guard.note(scan);
        guard
    }

    /// Passes everything on, `first` before what `stream` has still to give.
    pub fn opaque(stream: S, activity: Activity, first: Vec<u8>) -> Self {
        Self {
            stream,
            wire: None,
            activity,
            refused: Refused::default(),
            cleared: first.len(),
            pending: first,
            end: End::Open,
            linger: Linger {
                longest: Duration::ZERO,
                sending_closed: false,
                bytes: 0,
                timer: None,
            },
        }
    }

    /// Takes note of what was judged about `pending`.
    fn note(&mut self, scan: Scan) {
        self.cleared = scan.cleared;
        if let Some(fault) = scan.fault {
            self.pending.truncate(self.cleared);
            self.end = End::Fault(fault);
        }
        if self.wire.as_ref().is_some_and(Wire::between_requests) {
            self.activity.nothing_came();
        }
    }

    /// Hands on what is cleared.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.cleared.min(buf.remaining());
        buf.put_slice(&self.pending[..count]);
        self.cleared -= count;
        if count == self.pending.len() {
            // Given back: an idle connection holds no buffer.
            self.pending = Vec::new();
        } else {
            self.pending.drain(..count);
        }
    }

    /// Judges what was read into `buf` behind its first `before` bytes, and leaves there what passes.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(wire) = &mut self.wire else { return };
        let read = &buf.filled()[before..];
        let scan = if self.pending.is_empty() {
            let scan = wire.scan(read);
            self.pending.extend_from_slice(&read[scan.cleared..]);
            buf.set_filled(before + scan.cleared);
            Scan { cleared: 0, ..scan }
        } else {
            self.pending.extend_from_slice(read);
            buf.set_filled(before);
            wire.scan(&self.pending)
        };
        self.note(scan);
    }

    fn in_head(&self) -> bool {
        self.wire.as_ref().is_some_and(Wire::in_head)
    }

    /// Whether the peer may still be sending what nobody will read.
    fn owes_linger(&self) -> bool {
        self.wire.is_some()
            && self.end != End::Eof
            && (self.end != End::Open || !self.in_head() || !self.pending.is_empty())
    }
}

impl<S: AsyncRead + Unpin> HeadGuard<S> {
    /// Reads until something can be handed on.
    fn poll_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            if self.cleared > 0 {
                self.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match self.end {
                End::Open => {}
                End::Fault(fault) if self.in_head() => {
                    self.refused.0.set(Some(fault));
                    self.pending = STAND_IN.to_vec();
                    self.cleared = STAND_IN.len();
                    self.end = End::Told;
                    continue;
                }
                End::Fault(fault) => {
                    self.end = End::Told;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
                }
                End::Told | End::Eof => return Poll::Ready(Ok(())),
            }
            let begun = self
                .wire
                .as_ref()
                .is_some_and(|wire| wire.in_head() && !wire.between_requests());
            if begun {
                // It may have come behind an earlier request, while that was answered.
                self.activity.head_begins();
            }
            match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
                Ok(()) if buf.filled().len() > before => self.judge(buf, before),
                Ok(()) if begun => self.end = End::Fault(HeadFault::Cut),
                Ok(()) => {
                    self.end = End::Eof;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if begun && error.kind() == io::ErrorKind::TimedOut => {
                    self.end = End::Fault(HeadFault::Slow);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Throws away what the peer still sends, within bounds: closing while bytes are unread would reset
    /// the connection, and the answer could be lost with it.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let longest = self.linger.longest;
        let timer = self
            .linger
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        let mut scratch = [0; 4096];
        while timer.as_mut().poll(cx).is_pending() && self.linger.bytes < MAX_LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.linger.bytes += buf.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadGuard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_more(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadGuard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.linger.sending_closed {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.linger.sending_closed = true;
        }
        if this.owes_linger() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
