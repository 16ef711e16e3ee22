//! Sending a callback: headers, body, signature, each of which can be forged.

use super::Callback;
use crate::account::Account;
use crate::client::{Target, exchange};
use crate::clock::Clock;
use crate::crypto::{Switches, TimestampUnit};
use serde_json::Value;
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How a callback's body is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON object.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`, a pair a field.
    Form,
    /// The JSON object inside one form field of this name.
    JsonInForm(String),
}

/// What came back for a callback.
#[derive(Clone, Debug)]
pub struct CallbackReply {
    /// HTTP status.
    pub status: u16,
    /// Headers as received.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The envelope's code, if there is an envelope with a number for it. 0 means received.
    pub code: Option<i64>,
}

impl CallbackReply {
    /// Whether the platform takes the callback for received: 2xx and code 0.
    #[must_use]
    pub fn is_received(&self) -> bool {
        (200..300).contains(&self.status) && self.code == Some(0)
    }
}

/// Sends callbacks to one address: signed, in JSON, each on a connection of its own, unless told otherwise.
#[derive(Clone)]
pub struct CallbackSender {
    target: Target,
    account: Account,
    switches: Switches,
    clock: Clock,
    tls: Option<Arc<rustls::ClientConfig>>,
    encoding: Encoding,
    signed: bool,
    forged: Forged,
    extra_headers: Vec<(String, String)>,
    timeout: Duration,
}

#[derive(Clone, Default)]
struct Forged {
    app_id: Option<String>,
    timestamp: Option<String>,
    signature: Option<String>,
    body: Option<Vec<u8>>,
    content_type: Option<String>,
}

impl CallbackSender {
    /// A sender to `url` for `account`.
    ///
    /// # Errors
    /// When `url` is not `http://` or `https://` with a host.
    pub fn new(url: &str, account: &Account) -> io::Result<Self> {
        Ok(Self {
            target: Target::parse(url)?,
            account: account.clone(),
            switches: Switches::default(),
            clock: Clock::system(),
            tls: None,
            encoding: Encoding::Json,
            signed: true,
            forged: Forged::default(),
            extra_headers: Vec::new(),
            timeout: Duration::from_secs(30),
        })
    }

    /// Trust for an `https://` address.
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// The clock of timestamps.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How section 9's open questions are read.
    #[must_use]
    pub fn switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// How the body is written.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Without the three signature headers.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.signed = false;
        self
    }

    /// How long to wait for the whole reply; 30 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.extra_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Forges the appId header; the signature is made for it.
    #[must_use]
    pub fn forge_app_id(mut self, app_id: &str) -> Self {
        self.forged.app_id = Some(app_id.to_owned());
        self
    }

    /// Forges the timestamp; the signature is made for it.
    #[must_use]
    pub fn forge_timestamp(mut self, timestamp: &str) -> Self {
        self.forged.timestamp = Some(timestamp.to_owned());
        self
    }

    /// Forges the signature.
    #[must_use]
    pub fn forge_signature(mut self, signature: &str) -> Self {
        self.forged.signature = Some(signature.to_owned());
        self
    }

    /// Sends these bytes as the body, whatever the callback says.
    #[must_use]
    pub fn forge_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.forged.body = Some(body.into());
        self
    }

    /// Another `Content-Type`; empty sends none.
    #[must_use]
    pub fn forge_content_type(mut self, content_type: &str) -> Self {
        self.forged.content_type = Some(content_type.to_owned());
        self
    }

    /// Sends one callback and reads the reply, whatever its status.
    ///
    /// # Errors
    /// When the connection fails, the reply is not HTTP, or the time is up.
    pub async fn send(&self, callback: &Callback) -> io::Result<CallbackReply> {
        let request = self.request_bytes(callback);
        let exchange = exchange(&self.target, self.tls.as_ref(), &request);
        let reply = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        let code = serde_json::from_slice::<Value>(&reply.body)
            .ok()
            .and_then(|envelope| envelope.get("code")?.as_i64());
        Ok(CallbackReply {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            code,
        })
    }

    /// The request as it would be sent now: for replays, and for connections of one's own.
    #[must_use]
    pub fn request_bytes(&self, callback: &Callback) -> Vec<u8> {
        let (content_type, body) = self.body(callback);
        let mut head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n",
            self.target.path, self.target.authority
        );
        let mut add = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        };
        let content_type = self.forged.content_type.as_deref().unwrap_or(content_type);
        if !content_type.is_empty() {
            add("Content-Type", content_type);
        }
        if self.signed {
            let timestamp = self.forged.timestamp.clone().unwrap_or_else(|| self.timestamp());
            let mut signer = self.account.clone();
            if let Some(app_id) = &self.forged.app_id {
                signer.app_id.clone_from(app_id);
            }
            let signature = self
                .forged
                .signature
                .clone()
                .unwrap_or_else(|| signer.sign(&timestamp, &self.switches));
            add("appId", &signer.app_id);
            add("timestamp", &timestamp);
            add("signature", &signature);
        }
        for (name, value) in &self.extra_headers {
            add(name, value);
        }
        add("Content-Length", &body.len().to_string());
        add("Connection", "close");
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }

    fn timestamp(&self) -> String {
        let now_ms = self.clock.now_ms();
        match self.switches.timestamp_unit {
            TimestampUnit::Ms => now_ms.to_string(),
            TimestampUnit::S => (now_ms / 1000).to_string(),
        }
    }

    fn body(&self, callback: &Callback) -> (&'static str, Vec<u8>) {
        const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
        let fields = callback.fields(&self.account, &self.switches);
        let json = || Value::Object(fields.iter().cloned().collect()).to_string();
        let (content_type, body) = match &self.encoding {
            Encoding::Json => ("application/json; charset=utf-8", json()),
            Encoding::JsonInForm(name) => (FORM, form_pair(name, &json())),
            Encoding::Form => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let pairs: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| form_pair(name, &text(value)))
                    .collect();
                (FORM, pairs.join("&"))
            }
        };
        (
            content_type,
            self.forged.body.clone().unwrap_or_else(|| body.into_bytes()),
        )
    }
}

fn form_pair(name: &str, value: &str) -> String {
    let mut out = String::with_capacity(name.len() + value.len() + 16);
    for (at, text) in [name, value].into_iter().enumerate() {
        if at == 1 {
            out.push('=');
        }
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
                b' ' => out.push('+'),
                _ => {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> CallbackSender {
        let clock = Clock::standing_at(1_735_689_600_000);
        CallbackSender::new("http://127.0.0.1:1/callback/first-hospital", &Account::demo())
            .unwrap()
            .clock(clock)
    }

    #[test]
    fn a_callback_is_signed_and_encrypted_as_the_vectors_say() {
        let text = String::from_utf8(sender().request_bytes(&Callback::demo())).unwrap();

        assert!(text.contains("signature: 4c43cf430bf244880b1845258bc7937eba64f60258e92ad2bda27bb3f2037b9b\r\n"));
        assert!(text.contains(r#"{"status":3,"phoneNum":"554fb5befba4daabdb8169e45db64485","idNum":"a48b12c1"#));
        assert!(!text.contains("13800138000"));
    }

    #[test]
    fn a_form_is_escaped_byte_by_byte() {
        assert_eq!(form_pair("a b", "张&=+"), "a+b=%E5%BC%A0%26%3D%2B");
        let text = String::from_utf8(
            sender()
                .encoding(Encoding::Form)
                .unsigned()
                .request_bytes(&Callback::demo()),
        )
        .unwrap();
        assert!(text.contains("\r\n\r\nstatus=3&phoneNum=554fb5befba4daabdb8169e45db64485&"));
        assert!(!text.contains("signature"));
    }
}
