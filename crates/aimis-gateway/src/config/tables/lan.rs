//! The listener that the hospital's system talks to.

use std::time::Duration;

use crate::config::entry::optional_table;
use crate::config::kind::address::{ListenAddr, address};
use crate::config::kind::alias::{Alias, alias};
use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::mode::{FileMode, mode};
use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::origin::{PageOrigin, page_origin};
use crate::config::kind::text::{Text, text};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;
use crate::config::tables::tls::LanTls;

section! {
    /// The listener that the hospital's system talks to.
    pub struct Lan {
        /// Where requests are taken. Without `[[clients]]` only loopback addresses and unix sockets, because callers are not authorised then.
        listen: Vec<ListenAddr> = one_or_more(address()).or("127.0.0.1:8080");
        /// Who may use the unix sockets of `listen`: connecting needs the right to write. With the default the gateway's user and group may, so the HIS's user has to be in that group; `"0666"` is everybody on this machine who reaches the directory.
        socket_mode: FileMode = mode().or("0660");
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
        /// Connections at a time from one address, or from one /64 network of IPv6; a further one is answered 503 and
        /// closed, over TLS just closed. 0 is no limit. Does not count for unix sockets. Raise it where one proxy
        /// or address translator stands before many callers.
        max_connections_per_source: usize = integer(0, 100_000).or(256);
        /// The longest a TLS handshake may take, from the connection's beginning.
        handshake_timeout as "handshake_timeout_ms": Duration = millis(100, 120_000).or(5_000);
        /// TLS for the callers. With this table every TCP address of `listen` speaks TLS, except those written with
        /// `plain:` in front; unix sockets never do.
        tls: Option<LanTls> = optional_table();
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
        /// Requests that an HTTP/2 client may take back before they were taken up, and that may be ended for its errors, until its connection is closed: the bound of reset floods.
        http2_max_resets: usize = integer(1, 10_000).or(32);
        /// The language of messages in the gateway's own refusals.
        language: Language = one_of().or("zh");
        /// Form fields that may hold the JSON of a whole request, for clients that post `param={...}`.
        form_fields: Vec<Text> = one_or_more(text(64)).or(Plain::List(vec!["param".into(), "data".into(), "strInJson".into()]));
        /// What becomes of fields of a request that the interface does not know.
        unknown_fields: UnknownFields = one_of().or("drop");
        /// Refuses what is repaired otherwise: every difference between the request and the interface is an error.
        strict: bool = switch().or(false);
        /// Takes field names in any case, like `IDNUM` for `idNum`.
        any_key_case: bool = switch().or(true);
        /// Other names under which fields are sent.
        aliases: Option<Vec<Alias>> = one_or_more(alias()).optional(Plain::List(vec!["sfzh=idNum".into(), "brid=hisId".into()]));
        /// Answers `patientStudies` without `studyType`, or with a list of them, by asking for each type and merging the answers.
        merge_study_types: bool = switch().or(false);
        /// How many types of a merged study list are asked for at a time.
        merge_concurrency: usize = integer(1, 6).or(3);
        /// The HTTP status of failures.
        status: AnswerStatus = one_of().or("mapped");
        /// Writes answers in ASCII, other characters as `\u` escapes, for clients that guess the charset. The answer is then no longer the platform's byte for byte, which `X-Aimis-Answer` tells.
        ascii_json: bool = switch().or(false);
        /// The charset of answers. Any other than UTF-8 is no longer the platform's answer byte for byte, which `X-Aimis-Answer` tells.
        charset: AnswerCharset = one_of().or("utf-8");
        /// Origins of web pages that may ask from a browser (CORS): scheme, host and port, without a path; `*` is any page, and needs clients that are all known by a key or certificate.
        cors_origins: Option<Vec<PageOrigin>> = one_or_more(page_origin()).optional("https://his.hospital.example");
        /// Failed sign-ins that one address may make in a minute; further ones are answered 429. A key that is right always works. 0 means any number.
        max_failed_sign_ins: u32 = integer(0, 100_000).unit("a minute").or(20);
    }
}

choices! {
    /// The HTTP status of failures.
    pub enum AnswerStatus {
        /// As the failure's kind, so that programs on the way see it.
        Mapped = "mapped",
        /// Always 200, for clients that throw away the body of any other answer; `X-Aimis-Status` has the status.
        Always200 = "always_200",
    }
}

choices! {
    /// The charset of answers.
    pub enum AnswerCharset {
        /// UTF-8.
        Utf8 = "utf-8",
        /// GB18030, which contains GBK and GB2312.
        Gb18030 = "gb18030",
        /// GBK; characters beyond it are written as `\u` escapes.
        Gbk = "gbk",
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
