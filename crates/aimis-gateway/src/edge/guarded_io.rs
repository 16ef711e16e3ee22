//! A connection that cannot be held open by doing nothing: deadlines on reading and on writing.
//!
//! hyper has one time-out for "waits for the next request" and "sends a request's head byte by byte",
//! and none for a peer that does not read. A HIS may well keep a connection idle for a minute; a head
//! that takes as long is an attack. So the stream itself watches: it knows when bytes move, and the
//! service tells it through [`Activity`] when a request is being answered.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long each kind of waiting may last.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between requests.
    pub idle: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// For one write to make progress.
    pub write: Duration,
}

/// What a connection is doing; shared between its stream and its service.
#[derive(Clone, Default)]
pub struct Activity(Rc<Doing>);

#[derive(Default)]
struct Doing {
    /// Requests being answered; more than one with HTTP/2 only.
    running: Cell<u32>,
    /// Some bytes of a head have come.
    head: Cell<bool>,
    /// Bytes are frames of HTTP/2: they need not be a request's.
    frames: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Waits for a request's first byte.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// A request is being answered; its body has a deadline of its own.
    Busy,
}

impl Activity {
    /// A connection that has not sent anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request's head is complete. The request is answered for as long as the result lives.
    pub fn request_begins(&self) -> Running {
        self.0.head.set(false);
        self.0.running.set(self.0.running.get() + 1);
        Running(self.clone())
    }

    /// A part of a head is here.
    pub(super) fn head_begins(&self) {
        self.0.head.set(!self.0.frames.get());
    }

    /// What came is no part of a request, as an empty line between two.
    pub(super) fn nothing_came(&self) {
        self.0.head.set(false);
    }

    /// From now on bytes are frames.
    pub(super) fn speaks_frames(&self) {
        self.0.frames.set(true);
        self.0.head.set(false);
    }

    /// Whether a head has begun and is not whole.
    pub(super) fn in_head(&self) -> bool {
        self.phase() == Phase::Head
    }

    fn phase(&self) -> Phase {
        match (self.0.running.get(), self.0.head.get()) {
            (1.., _) => Phase::Busy,
            (0, true) => Phase::Head,
            (0, false) => Phase::Idle,
        }
    }
}

/// A request that is being answered; dropped when its answer is handed over, or nobody wants it any more.
#[must_use]
pub struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        let running = &self.0.0.running;
        running.set(running.get().saturating_sub(1));
    }
}

/// Writes of HTTP/2 that are no longer than this carry no answer: settings, pings, windows.
const CONTROL_FRAMES: usize = 64;

/// A stream under [`Patience`].
pub struct GuardedIo<S> {
    stream: S,
    patience: Patience,
    activity: Activity,
    reading: Watch,
    writing: Watch,
}

impl<S> GuardedIo<S> {
    /// Guards `stream`.
    pub fn new(stream: S, patience: Patience, activity: Activity) -> Self {
        Self {
            stream,
            patience,
            activity,
            reading: Watch::default(),
            writing: Watch::default(),
        }
    }
}

/// One running wait. The timer is made at the first wait and moved only when it fires too early, so a
/// busy connection does not pay for moving it at every request.
#[derive(Default)]
struct Watch {
    timer: Option<Pin<Box<Sleep>>>,
    waits_for: Option<(Phase, Instant)>,
}

impl Watch {
    /// Registers that the peer is awaited since the first call after [`Watch::progressed`], or since the
    /// phase changed. Ready when `limit` has passed.
    #[expect(
        clippy::disallowed_methods,
        reason = "a time-out on tokio's timer, which a paused runtime controls"
    )]
    fn poll_expired(&mut self, phase: Phase, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.waits_for {
            Some((since, deadline)) if since == phase => deadline,
            _ => {
                let deadline = Instant::now() + limit;
                self.waits_for = Some((phase, deadline));
                deadline
            }
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn progressed(&mut self) {
        self.waits_for = None;
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if buf.filled().len() > before && this.activity.phase() == Phase::Idle {
                this.activity.head_begins();
                if this.activity.in_head() {
                    this.reading.progressed();
                }
            }
            return Poll::Ready(done);
        }
        let phase = this.activity.phase();
        let limit = match phase {
            Phase::Idle => this.patience.idle,
            Phase::Head => this.patience.head,
            Phase::Busy => {
                this.reading.progressed();
                return Poll::Pending;
            }
        };
        ready!(this.reading.poll_expired(phase, limit, cx));
        Poll::Ready(Err(timed_out("the peer sent nothing for too long")))
    }
}

impl<S: AsyncWrite + Unpin> GuardedIo<S> {
    fn watch_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.progressed();
            return written;
        }
        ready!(self.writing.poll_expired(Phase::Busy, self.patience.write, cx));
        Poll::Ready(Err(timed_out("the peer did not read for too long")))
    }

    /// A peer that reads slowly is not idle. Only bytes count: a flush of nothing succeeds at any time, and
    /// hyper flushes each time it looks whether there is something to read.
    fn watch_bytes(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count @ 1..)) = written
            && (count > CONTROL_FRAMES || !self.activity.0.frames.get())
        {
            self.reading.progressed();
        }
        self.watch_write(cx, written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch_bytes(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch_bytes(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch_write(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Patience = Patience {
        idle: Duration::from_secs(75),
        head: Duration::from_secs(10),
        write: Duration::from_secs(30),
    };

    #[expect(clippy::disallowed_methods, reason = "measures the paused clock of the runtime")]
    fn now() -> Instant {
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_let_go_after_the_idle_time() {
        let (_peer, ours) = tokio::io::duplex(64);
        let start = now();

        let result = GuardedIo::new(ours, PATIENCE, Activity::new()).read_u8().await;

        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!((now() - start).as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_sent_byte_by_byte_has_one_deadline_from_its_first_byte() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut guarded = GuardedIo::new(ours, PATIENCE, Activity::new());
        let start = now();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(4)).await;
                peer.write_u8(b'G').await.unwrap();
            }
        };
        let read = async { while guarded.read_u8().await.is_ok() {} };

        tokio::select! { () = drip => {}, () = read => {} }

        // The first byte comes after 4 s, the deadline runs from there.
        assert_eq!((now() - start).as_secs(), 14);
    }

    #[tokio::test(start_paused = true)]
    async fn flushing_nothing_gives_a_slow_peer_no_more_time() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let mut guarded = GuardedIo::new(ours, PATIENCE, Activity::new());
        let start = now();
        peer.write_u8(b'G').await.unwrap();

        let mut byte = [0];
        let end = std::future::poll_fn(|cx| {
            loop {
                let mut buf = ReadBuf::new(&mut byte);
                let read = Pin::new(&mut guarded).poll_read(cx, &mut buf);
                assert!(Pin::new(&mut guarded).poll_flush(cx).is_ready());
                match ready!(read) {
                    Ok(()) => {}
                    Err(error) => return Poll::Ready(error),
                }
            }
        });

        assert_eq!(end.await.kind(), io::ErrorKind::TimedOut);
        assert_eq!((now() - start).as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_being_answered_is_not_cut() {
        let (mut peer, ours) = tokio::io::duplex(64);
        let activity = Activity::new();
        let mut guarded = GuardedIo::new(ours, PATIENCE, activity.clone());
        let _running = activity.request_begins();

        let (read, ()) = tokio::join!(guarded.read_u8(), async {
            tokio::time::sleep(Duration::from_secs(500)).await;
            peer.write_u8(7).await.unwrap();
        });

        assert_eq!(read.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_let_go() {
        let (_peer, ours) = tokio::io::duplex(64);
        let mut guarded = GuardedIo::new(ours, PATIENCE, Activity::new());
        let start = now();

        let result = guarded.write_all(&[0; 1024]).await;

        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!((now() - start).as_secs(), 30);
    }
}
