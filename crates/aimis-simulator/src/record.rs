//! What was received and what was answered, kept in order and within bounds.

use crate::fault::{Fault, Plan};
use crate::wire::Request;
use base64::Engine;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Bytes of requests and replies kept at most, whatever their number.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// One request and the answer given.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Method as sent.
    pub method: String,
    /// Request target as sent, with its query.
    pub path: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Names and values in the order and case sent.
    pub headers: Vec<(String, String)>,
    /// The head's bytes up to and with the empty line.
    pub head: Vec<u8>,
    /// The body's bytes, without chunk framing.
    pub body: Vec<u8>,
    /// Milliseconds since 1970-01-01 UTC, by the receiver's clock.
    pub received_at_ms: i64,
    /// The connection it came on: 1 is the first accepted.
    pub connection: u64,
    /// `phoneNum` and `idNum` in clear, when the signature held and both decrypted.
    pub decrypted: Option<BTreeMap<String, String>>,
    /// The envelope code that the platform's checks came to, whatever a fault made of the answer.
    /// `None` when they ended with a bare HTTP status (404, 405, 415).
    pub verdict: Option<i64>,
    /// The fault that struck, if one did.
    pub fault: Option<Fault>,
    /// The body bytes answered, as far as they were sent.
    pub reply: Vec<u8>,
    /// The status answered; 0 when no whole head was sent.
    pub reply_status: u16,
}

impl Recorded {
    pub(crate) fn new(
        request: Request,
        received_at_ms: i64,
        verdict: Option<i64>,
        fault: Option<Fault>,
        plan: &Plan,
    ) -> Self {
        let head = &request.head;
        Self {
            method: head.method().to_owned(),
            path: head.target().to_owned(),
            version: head.version().to_owned(),
            headers: head.headers().collect(),
            head: head.raw().to_vec(),
            body: request.body,
            received_at_ms,
            connection: request.connection,
            decrypted: None,
            verdict,
            fault,
            reply: plan.sent_body().to_vec(),
            reply_status: plan.sent_status(),
        }
    }

    /// Whether `text` occurs, byte for byte, in the head or the body received.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let within =
            |bytes: &[u8]| text.is_empty() || bytes.windows(text.len()).any(|window| window == text.as_bytes());
        within(&self.head) || within(&self.body)
    }

    /// The first header of this name, compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Every header of this name, compared without regard to case.
    pub fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The reply as JSON; `Null` when it is none.
    #[must_use]
    pub fn reply_json(&self) -> Value {
        serde_json::from_slice(&self.reply).unwrap_or_default()
    }

    /// Whether the answer was 2xx with code 0, and went out in full.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.reply_status) && self.reply_json()["code"] == 0
    }

    /// For the control port: texts with replacement characters, and the body's exact bytes in base64.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "path": self.path,
            "version": self.version,
            "headers": self.headers,
            "body": String::from_utf8_lossy(&self.body),
            "bodyBase64": base64::engine::general_purpose::STANDARD.encode(&self.body),
            "receivedAtMs": self.received_at_ms,
            "connection": self.connection,
            "decrypted": self.decrypted,
            "verdict": self.verdict,
            "fault": self.fault,
            "reply": String::from_utf8_lossy(&self.reply),
            "replyStatus": self.reply_status,
        })
    }

    fn size(&self) -> usize {
        self.head.len() * 2 + self.body.len() + self.reply.len()
    }
}

/// The records, newest last; the oldest go first when a bound is met.
pub(crate) struct Recorder {
    on: AtomicBool,
    limit: usize,
    total: AtomicU64,
    kept: Mutex<Kept>,
    arrived: Notify,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<Recorded>,
    bytes: usize,
}

impl Recorder {
    pub(crate) fn new(on: bool, limit: usize) -> Self {
        Self {
            on: AtomicBool::new(on),
            limit,
            total: AtomicU64::new(0),
            kept: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Counts a request, and keeps it if recording is on. `record` is not called otherwise.
    pub(crate) fn add(&self, record: impl FnOnce() -> Recorded) {
        if self.is_on() {
            let record = record();
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.bytes += record.size();
            kept.records.push_back(record);
            while kept.records.len() > self.limit || (kept.bytes > MAX_BYTES && kept.records.len() > 1) {
                let Some(oldest) = kept.records.pop_front() else {
                    break;
                };
                kept.bytes -= oldest.size();
            }
        }
        self.total.fetch_add(1, Ordering::Release);
        self.arrived.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .records
            .iter()
            .cloned()
            .collect()
    }

    /// Gives what is kept and keeps it no longer; the count goes on.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kept).records.into()
    }

    /// Every request ever, kept or not.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    pub(crate) fn clear(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
        self.total.store(0, Ordering::Release);
    }

    /// Returns when `count` requests have come since the start or the last clearing.
    pub(crate) async fn wait_for(&self, count: u64) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable(); // before looking, so that no arrival falls between
            if self.total() >= count {
                return;
            }
            arrived.await;
        }
    }
}
