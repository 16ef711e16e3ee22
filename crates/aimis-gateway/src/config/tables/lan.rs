//! The listener that the hospital's system talks to.

use std::time::Duration;

use crate::config::kind::Kind;
use crate::config::kind::address::{ListenAddr, address};
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::one_or_more;
use crate::config::kind::switch;
use crate::config::kind::text::{Text, text};
use crate::config::plain::Plain;
use crate::config::section::section;

section! {
    /// The listener that the hospital's system talks to.
    pub struct Lan {
        /// Where requests are taken. Loopback addresses and unix sockets only, because callers are not authorised.
        listen: Vec<ListenAddr> = one_or_more(address()).or("127.0.0.1:8080");
        /// The largest request body.
        max_body: usize = size(1 << 10, 16 << 20).or("64KiB");
        /// The longest the head of a request may take to arrive, from its first byte.
        header_timeout as "header_timeout_ms": Duration = millis(100, 120_000).or(10_000);
        /// The longest the body of a request may take to arrive.
        body_timeout as "body_timeout_ms": Duration = millis(100, 120_000).or(10_000);
        /// The longest the caller may take to accept the next part of an answer.
        write_timeout as "write_timeout_ms": Duration = millis(100, 600_000).or(30_000);
        /// How long a connection is kept without a request.
        idle_timeout as "idle_timeout_ms": Duration = millis(100, 3_600_000).or(75_000);
        /// Connections at a time, over all addresses; a further one is answered 503 and closed.
        max_connections: usize = integer(1, 100_000).or(1_024);
        /// The most header lines in a request.
        max_headers: usize = integer(10, 1_000).or(100);
        /// The largest head of a request, its first line and all header lines together.
        max_head_bytes: usize = size(8 << 10, 1 << 20).or("16KiB");
        /// The longest a connection is read on behind a refusal that ends it, so that the refusal is not lost.
        linger_timeout as "linger_timeout_ms": Duration = millis(100, 30_000).or(2_000);
        /// Whether HTTP/2 is spoken with clients that begin with it: by ALPN, or by prior knowledge on plaintext connections.
        http2: bool = switch().or(false);
        /// Requests at a time on one HTTP/2 connection.
        http2_max_streams: u32 = integer(1, 1_000).or(32);
        /// The language of messages in the gateway's own refusals.
        language: Language = one_of().or("zh");
        /// Form fields that may hold the JSON of a whole request, for clients that post `param={...}`.
        form_fields: Vec<Text> = one_or_more(text(64)).or(Plain::List(vec!["param".into(), "data".into(), "strInJson".into()]));
        /// What becomes of fields of a request that the interface does not know.
        unknown_fields: UnknownFields = one_of().or("drop");
    }
}

choices! {
    /// The language of messages.
    pub enum Language {
        /// Chinese.
        Zh = "zh",
        /// English.
        En = "en",
    }
}

choices! {
    /// What becomes of fields that the interface does not know.
    pub enum UnknownFields {
        /// Left out, and named in `X-Aimis-Repairs`.
        Drop = "drop",
        /// Texts, numbers, true, false and null leave for the platform in clear, if the name is a plain identifier that looks like no field of the interface, `appId`, `signature` or `timestamp`, and the value holds neither ten digits nor JSON; the others are left out. A name of a person would leave: use it only for fields you know.
        Forward = "forward",
        /// The request is refused.
        Reject = "reject",
    }
}
