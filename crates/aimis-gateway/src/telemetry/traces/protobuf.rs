//! Spans in the bytes of OTLP: `ExportTraceServiceRequest` of opentelemetry-proto 1, which is stable.
//!
//! The few messages that are needed are written by hand, field by field: numbers are those of
//! `opentelemetry/proto/{collector/trace,trace,resource,common}/v1`. A collector reads them in `tests/it/traces`.

use super::span::{Span, Value};

/// What stands in front of the spans of a process.
pub(super) struct Resource {
    /// `service.name` and the like.
    pub(super) attributes: Vec<(Box<str>, Value)>,
}

/// What an export carries.
pub(super) fn export(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + spans.len() * 512);
    message(&mut out, 1, |out| {
        message(out, 1, |out| {
            for (name, value) in &resource.attributes {
                attribute(out, 1, name, value);
            }
        });
        message(out, 2, |out| {
            message(out, 1, |out| {
                text(out, 1, env!("CARGO_PKG_NAME"));
                text(out, 2, crate::VERSION);
            });
            for one in spans {
                message(out, 2, |out| span(out, one));
            }
        });
    });
    out
}

/// How many spans a collector says it did not take (`partial_success.rejected_spans`), in its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let inner = |(field, value)| match value {
        Read::Bytes(bytes) if field == 1 => fields(bytes).find_map(|field| match field {
            (1, Read::Number(count)) => Some(count),
            _ => None,
        }),
        _ => None,
    };
    fields(answer).find_map(inner).unwrap_or(0)
}

fn span(out: &mut Vec<u8>, span: &Span) {
    bytes(out, 1, span.trace.trace.as_bytes());
    bytes(out, 2, span.trace.span.as_bytes());
    if let Some(parent) = span.trace.parent {
        bytes(out, 4, parent.as_bytes());
    }
    text(out, 5, span.name);
    number(out, 6, span.kind as u64);
    fixed(out, 7, nanoseconds(span.start));
    fixed(out, 8, nanoseconds(span.end));
    for (name, value) in &span.attributes {
        attribute(out, 9, name, value);
    }
    if span.failed {
        message(out, 15, |out| number(out, 3, 2));
    }
    // Bit 0: the trace is sampled.
    tag(out, 16, FIXED32);
    out.extend_from_slice(&u32::from(span.trace.sampled).to_le_bytes());
}

fn nanoseconds(since_1970: std::time::Duration) -> u64 {
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(out: &mut Vec<u8>, field: u32, name: &str, value: &Value) {
    message(out, field, |out| {
        text(out, 1, name);
        message(out, 2, |out| match value {
            Value::Word(word) => text(out, 1, word),
            Value::Tenant(name) => text(out, 1, name.as_str()),
            Value::Client(name) => text(out, 1, name.as_str()),
            Value::Request(id) => text(out, 1, id.as_str()),
            Value::Event(id) => text(out, 1, &id.to_string()),
            Value::Reason(reason) => text(out, 1, reason.as_str()),
            Value::Host(host) => text(out, 1, &host.bare()),
            Value::Text(text_of_configuration) => text(out, 1, text_of_configuration),
            Value::Integer(value) => number(out, 3, value.cast_unsigned()),
            Value::Seconds(value) => {
                tag(out, 4, FIXED64);
                out.extend_from_slice(&value.as_secs_f64().to_le_bytes());
            }
        });
    });
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    tag(out, field, LENGTH);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A message within a message: its length stands in front, and is known behind it.
fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, LENGTH);
    let at = out.len();
    write(out);
    let mut length = Vec::with_capacity(5);
    varint(&mut length, (out.len() - at) as u64);
    out.splice(at..at, length);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that was read.
enum Read<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a kind that nothing here has.
    Other,
}

/// The fields of a message, up to the first that is none.
fn fields(mut text: &[u8]) -> impl Iterator<Item = (u64, Read<'_>)> {
    std::iter::from_fn(move || {
        let tag = read_varint(&mut text)?;
        let value = match u32::try_from(tag & 7).ok()? {
            VARINT => Read::Number(read_varint(&mut text)?),
            LENGTH => {
                let length = usize::try_from(read_varint(&mut text)?).ok()?;
                let (content, rest) = text.split_at_checked(length)?;
                text = rest;
                Read::Bytes(content)
            }
            kind @ (FIXED64 | FIXED32) => {
                text = text.get(if kind == FIXED64 { 8 } else { 4 }..)?;
                Read::Other
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn read_varint(text: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = text.split_first()?;
        *text = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_lengths_are_read_as_they_are_written(value: u64, length in 0_usize..40_000) {
            let mut out = Vec::new();
            message(&mut out, 3, |out| {
                number(out, 1, value);
                bytes(out, 2, &vec![7; length]);
                fixed(out, 4, value);
                number(out, 5, value);
            });
            let mut outer = fields(&out);
            let Some((3, Read::Bytes(inner))) = outer.next() else { panic!("a message") };
            prop_assert!(outer.next().is_none());
            let read: Vec<_> = fields(inner).map(|(field, value)| (field, match value {
                Read::Number(number) => number,
                Read::Bytes(bytes) => bytes.len() as u64,
                Read::Other => 0,
            })).collect();
            prop_assert_eq!(read, vec![(1, value), (2, length as u64), (4, 0), (5, value)]);
        }

        #[test]
        fn no_answer_is_too_odd(answer in prop::collection::vec(any::<u8>(), 0..200)) {
            rejected(&answer);
        }
    }

    #[test]
    fn what_a_collector_did_not_take_is_read() {
        let mut answer = Vec::new();
        message(&mut answer, 1, |out| {
            number(out, 1, 300);
            text(out, 2, "too many");
        });
        assert_eq!(rejected(&answer), 300);
        assert_eq!(rejected(b""), 0);
    }
}
