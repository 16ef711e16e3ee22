//! A connection to the platform that notices bytes nobody asked for.
//!
//! HTTP/1.1 matches answers to questions by their order alone. A peer that sends more than was asked, as a
//! broken proxy may, shifts every later answer on that connection by one: the next caller gets somebody
//! else's studies. hyper closes a connection on which it *reads* something while nothing is asked, but
//! bytes may lie unread in the kernel when the next question goes out. So the wire is looked at again at
//! the moment of reuse, and an answer that begins before its question was written is no answer.
//!
//! What cannot be seen are bytes that arrive after the question was written. Hence the pool's second line:
//! after the first sign of such a peer no connection is reused for a while (`pool`).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that may come before an answer's own head is complete: two of hyper's largest heads. A peer that
/// sends informational answers without end is cut here, instead of keeping its worker busy.
pub(super) const MAX_BEFORE_HEAD: usize = 128 * 1024;

/// The pool's handle on what moves over a connection.
pub(super) struct Wire(Rc<State>);

struct State {
    phase: Cell<Phase>,
    /// Bytes of the question that are written.
    written: Cell<bool>,
    before_head: Cell<usize>,
    unasked: Cell<bool>,
    /// Whoever wants to know when something came.
    reader: Cell<Option<Waker>>,
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
    /// The handle for a connection over `socket`.
    pub(super) fn new(socket: &TcpStream, encrypted: bool) -> Self {
        Self(Rc::new(State {
            phase: Cell::new(Phase::Quiet),
            written: Cell::new(false),
            before_head: Cell::new(0),
            unasked: Cell::new(false),
            reader: Cell::new(None),
            probe: SockRef::from(socket).try_clone().ok().map(Into::into),
            encrypted,
        }))
    }

    /// The stream that hyper is given.
    pub(super) fn watch<S>(&self, stream: S) -> WatchedIo<S> {
        WatchedIo {
            stream,
            state: Rc::clone(&self.0),
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
        self.0.before_head.get() > MAX_BEFORE_HEAD
    }

    /// Looks whether the connection can be used again: one system call.
    pub(super) fn look(&self) -> Look {
        if self.unasked() {
            return Look::Unasked;
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

/// A stream whose reads and writes are noted.
pub(super) struct WatchedIo<S> {
    stream: S,
    state: Rc<State>,
}

impl State {
    fn note_read(&self, bytes: &[u8]) -> io::Result<()> {
        match self.phase.get() {
            Phase::Answering => return Ok(()),
            Phase::Asked if self.written.get() => {
                self.before_head.set(self.before_head.get() + bytes.len());
                if self.before_head.get() <= MAX_BEFORE_HEAD {
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
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
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

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_that_lie_unread_are_seen_before_the_reuse() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false);
        assert_eq!(wire.look(), Look::Quiet);

        theirs.write_all(b"x").await.unwrap();
        ours.readable().await.unwrap();

        assert_eq!(wire.look(), Look::Unasked);
        assert_eq!(Wire::new(&ours, true).look(), Look::Stale);
    }

    #[tokio::test]
    async fn a_server_that_gives_up_waiting_is_stale_and_no_suspect() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false);
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
        let wire = Wire::new(&ours, false);

        drop(theirs);
        ours.readable().await.unwrap();

        assert_eq!(wire.look(), Look::Stale);
    }

    #[tokio::test]
    async fn an_answer_before_its_question_is_refused() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false);
        let mut stream = wire.watch(ours);
        theirs.write_all(b"early").await.unwrap();

        wire.asked();

        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(wire.unasked());
    }

    #[tokio::test]
    async fn a_flood_before_the_head_is_cut_and_a_long_body_is_not() {
        let (ours, mut theirs) = connected().await;
        let wire = Wire::new(&ours, false);
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
