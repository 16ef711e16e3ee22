//! Delivering an answer as its plan says, faults included.

use super::body::Connection;
use super::reason_phrase;
use crate::date::write_http_date;
use crate::fault::{After, Delivery, Framing, Plan};
use std::fmt::Write;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream whose TCP connection can be reset.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the coming close an RST instead of a FIN (`SO_LINGER` 0).
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        // It fails only on a socket that is no more.
        let _ = self.set_zero_linger();
    }
}

impl Socket for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    KeepAlive,
    /// An orderly close.
    Close,
    /// Drop it at once; where a reset was asked for, dropping sends it.
    Drop,
}

/// Writes the answer. `out` is scratch space; `keep_alive` is what the client asked for.
pub(crate) async fn deliver<S: Socket>(
    connection: &mut Connection<S>,
    plan: &Plan,
    keep_alive: bool,
    now_ms: i64,
    out: &mut String,
) -> io::Result<Next> {
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    let keep_alive = keep_alive && plan.after != After::Close;
    out.clear();
    write_head(out, plan, keep_alive, now_ms);
    let body = plan.response.body.as_slice();
    match plan.delivery {
        Delivery::Whole => {
            let mut bytes = std::mem::take(out).into_bytes();
            write_body(&mut bytes, plan.framing, body);
            write_now(connection, &bytes).await?;
            bytes.clear();
            *out = String::from_utf8(bytes).unwrap_or_default(); // empty, and its room kept
        }
        Delivery::Drip { bytes, every } => drip(connection, out, plan, bytes, every).await?,
        Delivery::ResetBeforeHead => {
            connection.io.reset_on_close();
            return Ok(Next::Drop);
        }
        Delivery::ResetWithinHead => {
            return cut(connection, &out.as_bytes()[..out.len() / 2]).await;
        }
        Delivery::ResetWithinBody => {
            let half = [out.as_bytes(), plan.sent_body()].concat();
            return cut(connection, &half).await;
        }
        Delivery::HalfBody => {
            let half = [out.as_bytes(), plan.sent_body()].concat();
            write_now(connection, &half).await?;
            return Ok(Next::Close);
        }
        Delivery::Garbage => {
            write_now(connection, b"\x00\x01\x02 SSH-2.0-not-http \xff\xfe\r\n\r\n").await?;
            return Ok(Next::Close);
        }
        Delivery::Hang => {
            connection.until_closed().await;
            return Ok(Next::Drop);
        }
    }
    Ok(if keep_alive && plan.after == After::KeepAlive {
        Next::KeepAlive
    } else {
        Next::Close
    })
}

fn write_head(out: &mut String, plan: &Plan, keep_alive: bool, now_ms: i64) {
    let response = &plan.response;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {} {}\r\nServer: aimis-simulator\r\nDate: ",
        response.status,
        reason_phrase(response.status)
    );
    write_http_date(out, now_ms);
    if !response.content_type.is_empty() {
        let _ = write!(out, "\r\nContent-Type: {}", response.content_type);
    }
    for (name, value) in &response.headers {
        let _ = write!(out, "\r\n{name}: {value}");
    }
    let _ = match plan.framing {
        Framing::Length => write!(out, "\r\nContent-Length: {}", response.body.len()),
        Framing::WrongLength(delta) => {
            let length = response
                .body
                .len()
                .saturating_add_signed(isize::try_from(delta).unwrap_or(0));
            write!(out, "\r\nContent-Length: {length}")
        }
        Framing::Chunked => write!(out, "\r\nTransfer-Encoding: chunked"),
    };
    out.push_str(if keep_alive {
        "\r\nConnection: keep-alive\r\n\r\n"
    } else {
        "\r\nConnection: close\r\n\r\n"
    });
}

fn write_body(out: &mut Vec<u8>, framing: Framing, body: &[u8]) {
    if framing != Framing::Chunked {
        out.extend_from_slice(body);
        return;
    }
    // At least two chunks where there is enough to cut, so that a client has something to join.
    for chunk in body.chunks(body.len().div_ceil(3).max(1)) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
}

async fn drip<S: Socket>(
    connection: &mut Connection<S>,
    head: &str,
    plan: &Plan,
    bytes: usize,
    every: Duration,
) -> io::Result<()> {
    write_now(connection, head.as_bytes()).await?;
    let mut framed = Vec::new();
    write_body(&mut framed, plan.framing, &plan.response.body);
    for piece in framed.chunks(bytes.max(1)) {
        tokio::time::sleep(every).await;
        write_now(connection, piece).await?;
    }
    Ok(())
}

async fn cut<S: Socket>(connection: &mut Connection<S>, bytes: &[u8]) -> io::Result<Next> {
    write_now(connection, bytes).await?;
    connection.io.reset_on_close();
    Ok(Next::Drop)
}

async fn write_now<S: Socket>(connection: &mut Connection<S>, bytes: &[u8]) -> io::Result<()> {
    connection.io.write_all(bytes).await?;
    connection.io.flush().await
}
