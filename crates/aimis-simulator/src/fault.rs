//! Faults: the ways in which an answer, or its delivery, goes wrong on purpose.
//!
//! A [`Fault`] changes a [`Plan`]; `wire::deliver` carries the plan out. Which fault meets which request
//! is decided in [`Faults`]: pushed ones first, each once and in order; then rates; then the standing one.

use crate::wire::Response;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One way to go wrong. As JSON: `{"fault":"latency","ms":200}`, names in `snake_case`.
///
/// The request is read, judged and recorded before its fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// No fault: a pushed one lets exactly one request through.
    None,
    /// Wait before the answer, in tokio time.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// The head at once, then the body piece by piece.
    Drip {
        /// Bytes a piece; 0 counts as 1.
        bytes: usize,
        /// Milliseconds before each piece.
        every_ms: u64,
    },
    /// Another HTTP status.
    Status {
        /// The status, 200 to 599.
        code: u16,
        /// With a JSON envelope whose `code` is 1, or with a short text.
        #[serde(default)]
        envelope: bool,
    },
    /// HTTP 200 and an envelope with this code, `data` as the platform has it on errors.
    BusinessCode {
        /// The envelope's code.
        code: i64,
        /// The envelope's message.
        #[serde(default)]
        message: String,
    },
    /// TCP reset instead of an answer.
    ResetBeforeHead,
    /// TCP reset in the middle of the head.
    ResetWithinHead,
    /// TCP reset in the middle of the body.
    ResetWithinBody,
    /// Half of the announced body, then an orderly close.
    HalfBody,
    /// Bytes that are not HTTP, then a close.
    Garbage,
    /// A page as a proxy or firewall puts in between.
    HtmlPage {
        /// The page's HTTP status; 200 is the nastiest.
        status: u16,
    },
    /// A well-formed envelope, padded by an extra field.
    Oversized {
        /// The body's size, at least.
        bytes: usize,
    },
    /// `Content-Length` differs from the body by this much, and the connection stays open.
    WrongContentLength {
        /// Positive: more is announced than comes.
        delta: i64,
    },
    /// HTTP 200, `application/json`, and a body that is cut JSON.
    NotJson,
    /// HTTP 200 and no body.
    EmptyBody,
    /// The right answer in chunks, without `Content-Length`.
    Chunked,
    /// The right answer with `Connection: close`.
    CloseAfter,
    /// The right answer, keep-alive promised, and a close at once.
    SilentClose,
    /// No answer, ever; the connection stays open until the client leaves.
    Hang,
    /// A status with `Retry-After`.
    RetryAfter {
        /// 429 or 503, usually.
        status: u16,
        /// Seconds to wait.
        seconds: u64,
    },
    /// Several at once, applied in order: latency and then a bad status, say.
    Together {
        /// The faults.
        faults: Vec<Fault>,
    },
}

/// An answer and how it is to be delivered.
pub(crate) struct Plan {
    pub(crate) response: Response,
    pub(crate) delay: Duration,
    pub(crate) framing: Framing,
    pub(crate) delivery: Delivery,
    pub(crate) after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    WrongLength(i64),
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Drip { bytes: usize, every: Duration },
    ResetBeforeHead,
    ResetWithinHead,
    ResetWithinBody,
    HalfBody,
    Garbage,
    Hang,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    Close,
    SilentClose,
}

impl From<Response> for Plan {
    fn from(response: Response) -> Self {
        Self {
            response,
            delay: Duration::ZERO,
            framing: Framing::Length,
            delivery: Delivery::Whole,
            after: After::KeepAlive,
        }
    }
}

impl Plan {
    /// The bytes of the body that are sent before the connection is cut, if it is.
    pub(crate) fn sent_body(&self) -> &[u8] {
        let body = self.response.body.as_slice();
        match self.delivery {
            Delivery::Whole | Delivery::Drip { .. } => body,
            Delivery::ResetWithinBody | Delivery::HalfBody => &body[..body.len() / 2],
            Delivery::ResetBeforeHead | Delivery::ResetWithinHead | Delivery::Garbage | Delivery::Hang => &[],
        }
    }

    /// The status that is sent in full; 0 when none is.
    pub(crate) fn sent_status(&self) -> u16 {
        match self.delivery {
            Delivery::ResetBeforeHead | Delivery::ResetWithinHead | Delivery::Garbage | Delivery::Hang => 0,
            Delivery::Whole | Delivery::Drip { .. } | Delivery::ResetWithinBody | Delivery::HalfBody => {
                self.response.status
            }
        }
    }

    /// Changes the plan as `fault` demands. `envelope` writes an envelope of a code and a message.
    pub(crate) fn apply(&mut self, fault: &Fault, envelope: &dyn Fn(i64, &str) -> Vec<u8>) {
        match fault {
            Fault::None => {}
            Fault::Latency { ms } => self.delay += Duration::from_millis(*ms),
            Fault::Drip { bytes, every_ms } => {
                self.delivery = Delivery::Drip {
                    bytes: *bytes,
                    every: Duration::from_millis(*every_ms),
                };
            }
            Fault::Status { code, envelope: true } => {
                self.response = Response {
                    status: *code,
                    ..Response::json(envelope(1, "internal error"))
                };
            }
            Fault::Status { code, envelope: false } => self.response = Response::text(*code, "simulated\n"),
            Fault::BusinessCode { code, message } => self.response = Response::json(envelope(*code, message)),
            Fault::ResetBeforeHead => self.delivery = Delivery::ResetBeforeHead,
            Fault::ResetWithinHead => self.delivery = Delivery::ResetWithinHead,
            Fault::ResetWithinBody => self.delivery = Delivery::ResetWithinBody,
            Fault::HalfBody => self.delivery = Delivery::HalfBody,
            Fault::Garbage => self.delivery = Delivery::Garbage,
            Fault::HtmlPage { status } => {
                let page =
                    "<!DOCTYPE html><html><head><title>Access notice</title></head><body>simulated</body></html>";
                self.response = Response::new(*status, "text/html; charset=utf-8", page);
            }
            Fault::Oversized { bytes } => self.response = Response::json(oversized(*bytes)),
            Fault::WrongContentLength { delta } => self.framing = Framing::WrongLength(*delta),
            Fault::NotJson => self.response = Response::json("{\"code\":0,\"message\":\"succ"),
            Fault::EmptyBody => self.response = Response::json(""),
            Fault::Chunked => self.framing = Framing::Chunked,
            Fault::CloseAfter => self.after = After::Close,
            Fault::SilentClose => self.after = After::SilentClose,
            Fault::Hang => self.delivery = Delivery::Hang,
            Fault::RetryAfter { status, seconds } => {
                self.response = Response::text(*status, "simulated\n").header("Retry-After", seconds.to_string());
            }
            Fault::Together { faults } => faults.iter().for_each(|fault| self.apply(fault, envelope)),
        }
    }
}

fn oversized(bytes: usize) -> Vec<u8> {
    let mut body = b"{\"code\":0,\"message\":\"success\",\"data\":[],\"padding\":\"".to_vec();
    body.resize(bytes.saturating_sub(2).max(body.len()), b'x');
    body.extend_from_slice(b"\"}");
    body
}

/// Which fault meets which request.
#[derive(Default)]
pub(crate) struct Faults {
    /// Whether there is any: the common case asks no lock.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pushed: VecDeque<Fault>,
    rates: Vec<Rate>,
    standing: Option<Fault>,
}

struct Rate {
    fault: Fault,
    one_in: u64,
    seen: u64,
}

impl Faults {
    pub(crate) fn set(&self, fault: Fault) {
        self.change(|state| state.standing = Some(fault));
    }

    pub(crate) fn push(&self, fault: Fault) {
        self.change(|state| state.pushed.push_back(fault));
    }

    /// From now on every `one_in`-th request; 0 ends the rate of that fault.
    pub(crate) fn set_rate(&self, fault: Fault, one_in: u64) {
        self.change(|state| {
            state.rates.retain(|rate| rate.fault != fault);
            if one_in > 0 {
                state.rates.push(Rate { fault, one_in, seen: 0 });
            }
        });
    }

    pub(crate) fn clear(&self) {
        self.change(|state| *state = State::default());
    }

    /// The fault of the next request.
    pub(crate) fn next(&self) -> Option<Fault> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = state.pushed.pop_front() {
            return Some(fault);
        }
        // Every rate counts every request, so that each keeps its own share.
        let mut struck = None;
        for rate in &mut state.rates {
            rate.seen += 1;
            if rate.seen.is_multiple_of(rate.one_in) && struck.is_none() {
                struck = Some(rate.fault.clone());
            }
        }
        struck.or_else(|| state.standing.clone())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let any = !state.pushed.is_empty() || !state.rates.is_empty() || state.standing.is_some();
        self.any.store(any, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_faults_come_first_then_rates_then_the_standing_one() {
        let faults = Faults::default();
        faults.set(Fault::Chunked);
        faults.set_rate(Fault::Garbage, 3);
        faults.push(Fault::Hang);
        faults.push(Fault::None);

        let met: Vec<_> = (0..6).filter_map(|_| faults.next()).collect();

        use Fault::{Chunked, Garbage, Hang, None};
        assert_eq!(met, [Hang, None, Chunked, Chunked, Garbage, Chunked]);
        faults.clear();
        assert_eq!(faults.next(), Option::None);
    }

    #[test]
    fn faults_are_told_in_json() {
        let json = r#"{"fault":"together","faults":[{"fault":"latency","ms":5},{"fault":"status","code":502}]}"#;

        let fault: Fault = serde_json::from_str(json).unwrap();

        let status = Fault::Status {
            code: 502,
            envelope: false,
        };
        assert_eq!(
            fault,
            Fault::Together {
                faults: vec![Fault::Latency { ms: 5 }, status]
            }
        );
        assert!(serde_json::from_str::<Fault>(r#"{"fault":"latency","seconds":5}"#).is_err());
    }

    #[test]
    fn an_oversized_body_is_json_of_the_size_asked_for() {
        let body = oversized(100_000);

        assert_eq!(body.len(), 100_000);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"], 0);
    }
}
