//! Which trace a request belongs to, as W3C Trace Context writes it in `traceparent`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::callback::event::EventId;
use crate::telemetry::log::Loggable;

/// Name of the header, both ways.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a trace; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// The id of a span; never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Of these bytes; `None` for zeros.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// An event's: the digits behind `evt_`. So its callback and each of its deliveries are one trace, over restarts, too.
    pub fn of_event(event: EventId) -> Self {
        Self(*event.as_bytes())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The part that is random, also in an event's: 56 bits (W3C Trace Context level 2).
    pub(super) fn random_bits(self) -> u64 {
        let low: [u8; 8] = *self.0.last_chunk().expect("sixteen are more than eight");
        u64::from_be_bytes(low) & ((1 << 56) - 1)
    }

    /// 32 hex digits.
    pub fn text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        hex::encode_to_slice(self.0, &mut text).expect("16 bytes are 32 hex digits");
        text
    }
}

impl SpanId {
    /// Of these bytes; `None` for zeros.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Of the callback that an event came with.
    pub(super) fn of_event(event: EventId) -> Self {
        // Never zero: an id of an event has a mark there (RFC 9562, section 4.1).
        Self(*event.as_bytes().last_chunk().expect("sixteen are more than eight"))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl Loggable for TraceId {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.text());
        out.push(b'"');
    }
}

impl Loggable for SpanId {
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut text = [0; 16];
        hex::encode_to_slice(self.0, &mut text).expect("8 bytes are 16 hex digits");
        out.push(b'"');
        out.extend_from_slice(&text);
        out.push(b'"');
    }
}

/// What a caller says about the trace that its request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span.
    pub span: SpanId,
    /// The caller exports its spans of it.
    pub sampled: bool,
}

impl Parent {
    /// What the headers say. Anything but exactly one good value counts as none (W3C Trace Context, section 3.2).
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    /// `00-<32 hex digits>-<16>-<2>`, in lower case. A later version may add something behind another dash.
    ///
    /// Ids that could be a person's number with zeros around it are none: ids are written where persons must not be.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (fields, rest) = text.split_at_checked(55)?;
        let [version, trace, span, flags] = [&fields[..2], &fields[3..35], &fields[36..52], &fields[53..]];
        if [fields[2], fields[35], fields[52]] != [b'-'; 3] || padded_number(trace) || padded_number(span) {
            return None;
        }
        let [version] = digits(version)?;
        let known_end = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let [flags] = digits(flags)?;
        known_end.then_some(Self {
            trace: TraceId::new(digits(trace)?)?,
            span: SpanId::new(digits(span)?)?,
            sampled: flags & 1 == 1,
        })
    }
}

/// The bytes of hex digits in lower case.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

/// Decimal digits only, with five zeros at an end: chance makes one of two hundred million so.
fn padded_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit) && (text.starts_with(b"00000") || text.ends_with(b"00000"))
}

/// The place of one request, callback or attempt at a delivery in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace: TraceId,
    /// Its own span.
    pub span: SpanId,
    /// The span that it is a part of, if there is any.
    pub parent: Option<SpanId>,
    /// Its spans are exported.
    pub sampled: bool,
}

impl Trace {
    /// The value of `traceparent` for whoever is asked on its behalf.
    pub fn to_header(self) -> HeaderValue {
        let mut text = *b"00-................................-................-00";
        text[3..35].copy_from_slice(&self.trace.text());
        hex::encode_to_slice(self.span.0, &mut text[36..52]).expect("8 bytes are 16 hex digits");
        text[54] = if self.sampled { b'1' } else { b'0' };
        HeaderValue::from_bytes(&text).expect("digits and dashes are legal in a header")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_parent_is_taken_over() {
        let parent = Parent::parse(GOOD.as_bytes()).unwrap();
        assert!(parent.sampled);
        assert_eq!(&parent.trace.text(), b"4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span.as_bytes(), &0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        let later = GOOD.replacen("00", "01", 1) + "-what-comes-later";
        assert_eq!(Parent::parse(later.as_bytes()), Some(parent));
        let off = GOOD.replace("-01", "-02");
        assert!(!Parent::parse(off.as_bytes()).unwrap().sampled);
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-x"),
            format!("{GOOD}0"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "01", 1) + "0",
            GOOD.to_uppercase(),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace('-', "_"),
            GOOD.replace("-01", "-0g"),
        ] {
            assert_eq!(Parent::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert!(Parent::of(&twice).is_some());
        twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(Parent::of(&twice), None);
    }

    #[test]
    fn a_number_that_could_be_a_persons_is_no_id() {
        for (trace, span) in [
            ("00000000000000000000013800138000", "00f067aa0ba902b7"),
            ("13800138000000000000000000000000", "00f067aa0ba902b7"),
            ("00000000000000110101190001010099", "00f067aa0ba902b7"),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "0000013800138000"),
        ] {
            let text = format!("00-{trace}-{span}-01");
            assert_eq!(Parent::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            let (Some(trace), Some(span)) = (TraceId::new(trace), SpanId::new(span)) else { return Ok(()) };
            let written = Trace { trace, span, parent: None, sampled }.to_header();
            if let Some(read) = Parent::parse(written.as_bytes()) {
                prop_assert_eq!(read, Parent { trace, span, sampled });
            }
        }

        /// By another way of reading it: the pattern of the specification.
        #[test]
        fn only_what_has_the_form_is_read(text in "[0-9a-fA-F]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-g]{1,3}(-x)?") {
            let parts: Vec<&str> = text.split('-').collect();
            let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let zero = |text: &str| text.bytes().all(|b| b == b'0');
            let good = hex(parts[0], 2)
                && parts[0] != "ff"
                && hex(parts[1], 32) && !zero(parts[1])
                && hex(parts[2], 16) && !zero(parts[2])
                && hex(parts[3], 2)
                && (parts.len() == 4 || parts[0] != "00");
            let decimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            if !decimal(parts[1]) && !decimal(parts[2]) {
                prop_assert_eq!(Parent::parse(text.as_bytes()).is_some(), good);
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Parent::parse(&bytes);
        }
    }
}
