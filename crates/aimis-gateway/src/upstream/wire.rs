//! A connection to the platform that notices bytes nobody asked for.
//!
//! HTTP/1.1 matches answers to questions by their order alone. A peer that sends more than was asked, as a
//! broken proxy may, shifts every later answer on that connection by one: the next caller gets somebody
//! else's studies. hyper closes a connection on which it *reads* something while nothing is asked, but
//! bytes may lie unread in the kernel when the next question goes out. So the wire is looked at again at
//! the moment of reuse, and an answer that begins before its question was written is no answer.
//!
//! As a rule the look costs nothing: hyper waits for a kept connection to become readable, and that wait runs through a
//! [`Bell`]. As long as it has not rung, nothing had come when the worker last asked the kernel for news, which was for
//! the question's own bytes or later. Otherwise the socket is asked, by one system call.
//!
//! What cannot be seen are bytes that arrive after that. Hence the pool's second line:
//! after the first sign of such a peer no connection is reused for a while (`pool`).

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The pool's handle on what moves over a connection.
pub(super) struct Wire(Rc<State>);

struct State {
    phase: Cell<Phase>,
    /// Bytes of the question that are written.
    written: Cell<bool>,
    before_head: Cell<usize>,
    /// Bytes that may come before an answer's own head is complete. A peer that sends informational answers
    /// without end is cut here, instead of keeping its worker busy.
    max_before_head: usize,
    unasked: Cell<bool>,
    /// Whoever wants to know when something came.
    reader: Cell<Option<Waker>>,
    /// Rings when there is something to read, if it is listened for.
    bell: RefCell<Option<Arc<Bell>>>,
    listened_for: Cell<bool>,
    /// The socket, to look at what lies in it unread. Over TLS those bytes may be the protocol's own.
    probe: Option<std::net::TcpStream>,
    encrypted: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Nothing is asked.
    Quiet,
    /// A question is out, the head of its answer is not complete.
    Asked,
    /// The answer's body is on its way.
    Answering,
}

/// What a look at a connection before its reuse found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing unread: it can carry a question.
    Quiet,
    /// Closed by the peer, or the TLS layer has something to say: not worth more than a new connection.
    Stale,
    /// The peer sent something that nobody asked for.
    Unasked,
}

impl Wire {
    /// The handle for a connection over `socket`; up to `max_before_head` bytes may come before an answer's own
    /// head is complete.
    pub(super) fn new(socket: &TcpStream, encrypted: bool, max_before_head: usize) -> Self {
        Self(Rc::new(State {
            phase: Cell::new(Phase::Quiet),
            written: Cell::new(false),
            before_head: Cell::new(0),
            max_before_head,
            unasked: Cell::new(false),
            reader: Cell::new(None),
            bell: RefCell::new(None),
            listened_for: Cell::new(false),
            probe: SockRef::from(socket).try_clone().ok().map(Into::into),
            encrypted,
        }))
    }

    /// The stream that hyper is given.
    pub(super) fn watch<S>(&self, stream: S) -> WatchedIo<S> {
        WatchedIo {
            stream,
            state: Rc::clone(&self.0),
            reader: None,
        }
    }

    /// A question goes out.
    pub(super) fn asked(&self) {
        self.0.written.set(false);
        self.0.before_head.set(0);
        self.0.phase.set(Phase::Asked);
    }

    /// The head of its answer came.
    pub(super) fn answering(&self) {
        self.0.phase.set(Phase::Answering);
    }

    /// Its answer was read to the end.
    pub(super) fn settled(&self) {
        self.0.phase.set(Phase::Quiet);
    }

    /// Wakes `waker` when something was read, be it the end.
    pub(super) fn wake_on_read(&self, waker: &Waker) {
        self.0.reader.set(Some(waker.clone()));
    }

    /// Whether something came that nobody asked for.
    pub(super) fn unasked(&self) -> bool {
        self.0.unasked.get()
    }

    /// Whether more came before a head than any head is long.
    pub(super) fn flooded(&self) -> bool {
        self.0.before_head.get() > self.0.max_before_head
    }

    /// Looks whether the connection can be used again: one system call at most.
    pub(super) fn look(&self) -> Look {
        if self.unasked() {
            return Look::Unasked;
        }
        if self.0.is_silent() {
            return Look::Quiet;
        }
        let Some(probe) = &self.0.probe else { return Look::Stale };
        let mut start = [0; FAREWELL.len()];
        match probe.peek(&mut start) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Look::Quiet,
            Ok(read @ 1..) if !self.0.encrypted && !is_farewell(&start[..read]) => Look::Unasked,
            Ok(_) | Err(_) => Look::Stale,
        }
    }
}

/// How a server may say that it waited for a question long enough (RFC 9110, section 15.5.9): an end, no answer.
const FAREWELL: &[u8; 12] = b"HTTP/1.1 408";

fn is_farewell(bytes: &[u8]) -> bool {
    bytes.starts_with(FAREWELL) || bytes.starts_with(b"HTTP/1.0 408")
}

/// Wakes who waits to read, and remembers that it did.
struct Bell {
    reader: Waker,
    rung: AtomicBool,
}

impl Bell {
    fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Relaxed);
        self.reader.wake_by_ref();
    }
}

/// A stream whose reads and writes are noted.
pub(super) struct WatchedIo<S> {
    stream: S,
    state: Rc<State>,
    /// The bell of whoever read last, and the waker that rings it. A connection has one reader as a rule.
    reader: Option<(Arc<Bell>, Waker)>,
}

impl<S> WatchedIo<S> {
    /// The bell for this reader, not rung yet.
    fn bell(&mut self, reader: &Waker) -> (Arc<Bell>, Waker) {
        let known = self.reader.take().filter(|(bell, _)| bell.reader.will_wake(reader));
        let (bell, waker) = known.unwrap_or_else(|| {
            let bell = Arc::new(Bell {
                reader: reader.clone(),
                rung: AtomicBool::new(false),
            });
            self.state.bell.replace(Some(Arc::clone(&bell)));
            let waker = Waker::from(Arc::clone(&bell));
            (bell, waker)
        });
        bell.rung.store(false, Ordering::Relaxed);
        (bell, waker)
    }
}

impl State {
    /// Whether it is listened for something to read, and nothing came.
    fn is_silent(&self) -> bool {
        let bell = self.bell.borrow();
        self.listened_for.get() && bell.as_ref().is_some_and(|bell| !bell.has_rung())
    }

    fn note_read(&self, bytes: &[u8]) -> io::Result<()> {
        match self.phase.get() {
            Phase::Answering => return Ok(()),
            Phase::Asked if self.written.get() => {
                self.before_head.set(self.before_head.get() + bytes.len());
                if self.before_head.get() <= self.max_before_head {
                    return Ok(());
                }
            }
            Phase::Asked | Phase::Quiet => self.unasked.set(!is_farewell(bytes)),
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer sent more than was asked for",
        ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let (bell, waker) = this.bell(cx.waker());
        let read = Pin::new(&mut this.stream).poll_read(&mut Context::from_waker(&waker), buf);
        this.state.listened_for.set(read.is_pending());
        this.reader = Some((bell, waker));
        if read.is_ready()
            && let Some(reader) = this.state.reader.take()
        {
            reader.wake();
        }
        if let Poll::Ready(Ok(())) = read {
            let bytes = &buf.filled()[before..];
            if !bytes.is_empty()
                && let Err(error) = this.state.note_read(bytes)
            {
                // A failed read must not have read anything.
                buf.set_filled(before);
                return Poll::Ready(Err(error));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.state.written.set(true);
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.state.written.set(true);
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const MAX_BEFORE_HEAD: usize = 128 * 1024;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_that_lie_unread_are_seen_before_the_reuse() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);
        assert_eq!(wire.look(), Look::Quiet);

        theirs.write_all(b"x").await.unwrap();
        ours.readable().await.unwrap();

        assert_eq!(wire.look(), Look::Unasked);
        assert_eq!(Wire::new(&ours, true, MAX_BEFORE_HEAD).look(), Look::Stale);
    }

    #[tokio::test]
    async fn a_connection_that_is_listened_to_tells_by_itself() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);
        let mut stream = wire.watch(ours);
        assert!(!wire.0.is_silent(), "nobody listens yet");
        let reading = tokio::task::LocalSet::new();
        let reader = reading.spawn_local(async move { stream.read_u8().await });
        reading.run_until(tokio::task::yield_now()).await;
        assert!(wire.0.is_silent());
        assert_eq!(wire.look(), Look::Quiet);

        theirs.write_all(b"x").await.unwrap();
        // Rung before its reader looks.
        while wire.0.is_silent() {
            tokio::task::yield_now().await;
        }

        assert_eq!(wire.look(), Look::Unasked);
        assert!(reading.run_until(reader).await.unwrap().is_err());
        assert!(wire.unasked());
    }

    #[tokio::test]
    async fn a_server_that_gives_up_waiting_is_stale_and_no_suspect() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);
        theirs
            .write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        ours.readable().await.unwrap();
        assert_eq!(wire.look(), Look::Stale);

        let mut stream = wire.watch(ours);

        assert!(stream.read(&mut [0; 64]).await.is_err());
        assert!(!wire.unasked());
    }

    #[tokio::test]
    async fn a_closed_connection_is_stale() {
        let (ours, theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);

        drop(theirs);
        ours.readable().await.unwrap();

        assert_eq!(wire.look(), Look::Stale);
    }

    #[tokio::test]
    async fn an_answer_before_its_question_is_refused() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);
        let mut stream = wire.watch(ours);
        theirs.write_all(b"early").await.unwrap();

        wire.asked();

        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(wire.unasked());
    }

    #[tokio::test]
    async fn a_flood_before_the_head_is_cut_and_a_long_body_is_not() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false, MAX_BEFORE_HEAD);
        let mut stream = wire.watch(ours);
        wire.asked();
        stream.write_all(b"question").await.unwrap();
        let writer = tokio::spawn(async move {
            let _ = theirs.write_all(&[b'1'; 4 * MAX_BEFORE_HEAD]).await;
            theirs
        });

        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all).await;

        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(wire.flooded() && !wire.unasked());
        wire.asked();
        wire.answering();
        let mut rest = vec![0; 2 * MAX_BEFORE_HEAD];
        stream.read_exact(&mut rest).await.unwrap();
        drop(stream);
        writer.await.unwrap();
    }
}
