//! A client that sends the bytes it is told to and reads what comes, whatever it is.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest that any test waits for an answer; a bound against hanging, never a figure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code; 0 if nothing came.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// `code` of the body's envelope.
    pub fn code(&self) -> i64 {
        self.json()["code"].as_i64().unwrap()
    }
}

/// A connection that is kept between requests.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Takes over a stream that is connected already.
    pub fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Closes the sending side.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Cuts the connection with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Reads one answer; `None` when the connection ended before a whole one.
    pub async fn answer(&mut self) -> Option<Answer> {
        self.answer_with_line().await.map(|(_, answer)| answer)
    }

    /// Reads one answer, its first line too.
    pub async fn answer_with_line(&mut self) -> Option<(String, Answer)> {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer in time")
    }

    /// Reads until the peer closes; `true` if it did so in time.
    pub async fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .is_ok()
    }

    /// Whether the peer has closed, or sent something unasked; does not wait.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Reads one head as it comes, an interim one included; `None` when the connection ended before.
    pub async fn head(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.read_head())
            .await
            .expect("a head in time")
    }

    async fn read_head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end + 4);
        Some(head)
    }

    async fn read_answer(&mut self) -> Option<(String, Answer)> {
        loop {
            let head = self.read_head().await?;
            let mut lines = head.split("\r\n");
            let line = lines.next()?;
            let status: u16 = line.split(' ').nth(1)?.parse().ok()?;
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            if status == 100 {
                continue;
            }
            let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let body = match value("content-length")
                .or((status == 204).then(|| "0".to_owned()))
                .and_then(|length| length.parse().ok())
            {
                Some(length) => self.take(length).await?,
                None if value("transfer-encoding").is_some() => self.chunks().await?,
                None => {
                    while self.more().await.is_some() {}
                    std::mem::take(&mut self.unread)
                }
            };
            return Some((line.to_owned(), Answer { status, headers, body }));
        }
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.unread, b"\r\n") {
                    break at;
                }
                self.more().await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.unread[..end]).ok()?.trim(), 16).ok()?;
            self.unread.drain(..end + 2);
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// A request's bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
    if !headers.iter().any(|(name, _)| *name == "Host") {
        bytes.extend(b"Host: gateway\r\n");
    }
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// Sends bytes over a connection of their own and reads one answer.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(address).await;
    // The peer may refuse before it has read everything.
    let _ = connection.send(bytes).await;
    connection.answer().await
}

/// `POST`, JSON, over a connection of its own.
pub async fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(headers);
    exchange(address, &request("POST", path, &all, body))
        .await
        .expect("an answer")
}

/// `GET`, over a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, &request("GET", path, &[], b""))
        .await
        .expect("an answer")
}
