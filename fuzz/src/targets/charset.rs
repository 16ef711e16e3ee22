//! Bytes to text: nothing is replaced, and what was read is what the bytes are in some charset that was to be tried.

use aimis_gateway::forward::decode::charset;
use encoding_rs::{BIG5, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use http::HeaderValue;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "charset",
    seeds: SEEDS,
    corpus: None,
    run,
};

const SEEDS: &[&str] = &[
    "{\"a\":\"张三\"}",
    "\u{feff}{\"a\":\"张三\"}\0\0",
    "{\0\"\0a\0\"\0}\0",
    "\0{\0\"\0a\0\"\0}",
    "\u{d5}\u{c5}",
    "{\"a\":\"Müller, René\"}",
    "{\"a\":\"Анна\"}",
    "\u{fffd}",
    "\u{20000}\u{e000}",
    "",
];

const LABELS: [(Option<&str>, &Encoding); 7] = [
    (None, GB18030),
    (Some("text/plain; charset=utf-8"), GB18030),
    (Some("text/plain; charset=\"GBK\""), GB18030),
    (Some("text/plain; charset=big5"), BIG5),
    (Some("text/plain; charset=ISO-8859-1"), WINDOWS_1252),
    (Some("text/plain; charset=utf-16le"), UTF_16LE),
    (Some("text/plain; charset=utf-16be"), UTF_16BE),
];

fn run(input: &[u8]) {
    // The text as the bytes that it has in GB18030 is a body too: half of all inputs would otherwise be UTF-8.
    let text = String::from_utf8_lossy(input);
    let (gbk, ..) = GB18030.encode(&text);
    for body in [input, &gbk] {
        for (label, declared) in LABELS {
            check(body, label, declared);
        }
    }
}

fn check(body: &[u8], label: Option<&'static str>, declared: &'static Encoding) {
    let content_type = label.map(HeaderValue::from_static);
    let Ok((text, repairs)) = charset::read(body, content_type.as_ref()) else {
        // A zero byte in front is how UTF-16 shows itself, and then it has to be UTF-16.
        let zero = body.iter().take(5).any(|b| *b == 0);
        assert!(
            zero || std::str::from_utf8(body).is_err(),
            "valid UTF-8 is refused under {label:?}"
        );
        return;
    };
    let text = text.as_str();
    let marks = [
        &b""[..],
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf\xff\xfe",
        b"\xef\xbb\xbf\xfe\xff",
    ];
    let same = marks
        .into_iter()
        .filter_map(|mark| body.strip_prefix(mark))
        .any(|rest| {
            [UTF_8, GB18030, UTF_16LE, UTF_16BE, declared]
                .into_iter()
                .any(|encoding| {
                    encoding
                        .decode_without_bom_handling_and_without_replacement(rest)
                        .is_some_and(|decoded| decoded.trim_end_matches('\0') == text)
                })
        });
    assert!(same, "the bytes are not this text in any charset that was tried");
    assert!(!text.ends_with('\0'), "a NUL is left");
    if text.as_bytes() != body {
        assert!(!repairs.is_empty(), "a change that is not told");
    }
}
