//! A raw client: requests written by hand, replies taken byte by byte.

use aimis_simulator::{Account, Clock, PATIENT_STUDIES, Platform, PlatformOptions, Switches};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The time of the golden vectors.
pub(crate) const NOW_MS: i64 = 1_735_689_600_000;

/// A platform whose clock stands at [`NOW_MS`].
pub(crate) async fn platform() -> Platform {
    platform_with(PlatformOptions::default()).await
}

pub(crate) async fn platform_with(options: PlatformOptions) -> Platform {
    Platform::start(PlatformOptions {
        clock: Clock::standing_at(NOW_MS),
        ..options
    })
    .await
    .unwrap()
}

/// One request, right until something in it is changed.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Ask {
    /// The study list of the vectors' patient: radiology of December 2024 in the demo hospital.
    pub(crate) fn studies() -> Self {
        let body = json!({
            "phoneNum": "554fb5befba4daabdb8169e45db64485",
            "idNum": "a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7",
            "hospitalId": "H0001", "unionId": "U0001",
            "studyType": 0, "dataFlag": 1, "usage": 0,
            "studyDateBegin": "2024-12-01 00:00:00", "studyDateEnd": "2024-12-31 23:59:59",
        });
        Self::signed_by(
            &Account::demo(),
            PATIENT_STUDIES,
            &NOW_MS.to_string(),
            &Switches::default(),
            body,
        )
    }

    pub(crate) fn of(api: &str, body: Value) -> Self {
        Self::signed_by(&Account::demo(), api, &NOW_MS.to_string(), &Switches::default(), body)
    }

    pub(crate) fn signed_by(account: &Account, api: &str, timestamp: &str, switches: &Switches, body: Value) -> Self {
        let headers = [
            ("Host", "platform.example"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("appId", &account.app_id),
            ("timestamp", timestamp),
            ("signature", &account.sign(timestamp, switches)),
        ];
        Self {
            method: "POST".to_owned(),
            path: format!("/thirdparty/{api}/{}", account.app_id),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body,
        }
    }

    /// Another value for a field; `Null` takes it away.
    pub(crate) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        let fields = self.body.as_object_mut().unwrap();
        match value.into() {
            Value::Null => fields.remove(name),
            value => fields.insert(name.to_owned(), value),
        };
        self
    }

    /// Another value for a header; empty takes it away.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn encrypted(self, name: &str, text: &str) -> Self {
        let ciphertext = Account::demo().encrypt(text, &Switches::default());
        self.field(name, ciphertext)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_with_body(self.body.to_string().as_bytes())
    }

    pub(crate) fn bytes_with_body(&self, body: &[u8]) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", body.len());
        [text.as_bytes(), body].concat()
    }

    /// Asks over a connection of its own.
    pub(crate) async fn send(&self, platform: &Platform) -> Reply {
        let mut wire = Wire::connect(platform.addr()).await;
        wire.write(&self.bytes()).await;
        wire.reply().await.unwrap()
    }

    /// The code answered, with HTTP 200.
    pub(crate) async fn code(&self, platform: &Platform) -> i64 {
        let reply = self.send(platform).await;
        assert_eq!(reply.status, 200);
        reply.json()["code"].as_i64().unwrap()
    }
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

impl Wire {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(addr).await.unwrap(),
            ahead: Vec::new(),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// A head, and the body that its `Content-Length` announces.
    pub(crate) async fn reply(&mut self) -> io::Result<Reply> {
        let head = self.head().await?;
        let length = head
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while self.ahead.len() < length {
            self.fill().await?;
        }
        Ok(Reply {
            body: self.ahead.drain(..length).collect(),
            ..head
        })
    }

    pub(crate) async fn head(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
                let head = String::from_utf8(head).unwrap();
                return Ok(Reply {
                    status: head[9..12].parse().unwrap_or(0),
                    head,
                    body: Vec::new(),
                });
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Everything up to the end, and whether that end was a reset.
    pub(crate) async fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.fill().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return (self.ahead.clone(), false);
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    return (self.ahead.clone(), true);
                }
            }
        }
    }
}
