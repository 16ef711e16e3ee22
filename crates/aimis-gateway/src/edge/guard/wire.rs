//! The bytes of a connection as a sequence of heads and bodies: a pure state machine without a clock or a
//! stream, so that it can be tested and fuzzed alone.

use super::chunks::Chunks;
use super::fault::HeadFault;
use super::head::{Framing, Head};
use super::line::is_surplus;

pub use super::head::HeadBounds;
pub(in crate::edge) use super::line::{check_host, check_name, check_path, length};

/// Follows a client's bytes.
#[derive(Debug)]
pub struct Wire {
    bounds: HeadBounds,
    at: At,
}

#[derive(Debug)]
enum At {
    Head(Head),
    Length(u64),
    Chunks(Chunks),
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// So many of them may be handed on: whole heads, and bodies as far as they have come. What follows is
    /// the beginning of a head and has to be shown again, with more behind it.
    pub cleared: usize,
    /// Nothing behind the cleared bytes is to be read any more.
    pub fault: Option<HeadFault>,
}

impl Wire {
    /// A connection from which nothing has come.
    pub fn new(bounds: HeadBounds) -> Self {
        Self {
            bounds,
            at: At::Head(Head::default()),
        }
    }

    /// Judges `bytes`, which begin with the first byte that was not cleared before.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut cleared = 0;
        let scan = |cleared, fault| Scan { cleared, fault };
        while cleared < bytes.len() {
            let rest = &bytes[cleared..];
            match &mut self.at {
                At::Head(head) => match head.scan(rest, self.bounds) {
                    Ok(Some((length, framing))) => {
                        cleared += length;
                        self.at = match framing {
                            Framing::Length(0) => At::Head(Head::default()),
                            Framing::Length(length) => At::Length(length),
                            Framing::Chunked => At::Chunks(Chunks::new()),
                        };
                    }
                    Ok(None) => return scan(cleared, None),
                    Err(fault) => return scan(cleared, Some(fault)),
                },
                At::Length(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    if taken > 0 && is_surplus(&rest[taken..]) {
                        // The body stays unfinished, so that its own request is refused and never answered.
                        *left -= taken as u64 - 1;
                        return scan(cleared + taken - 1, Some(HeadFault::Surplus));
                    }
                    cleared += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.at = At::Head(Head::behind_body());
                    }
                }
                At::Chunks(chunks) => match chunks.follow(rest, self.bounds) {
                    Ok((taken, over)) => {
                        cleared += taken;
                        if over {
                            self.at = At::Head(Head::default());
                        }
                    }
                    Err((taken, fault)) => return scan(cleared + taken, Some(fault)),
                },
            }
        }
        scan(cleared, None)
    }

    /// Whether the next byte belongs to a head.
    pub fn in_head(&self) -> bool {
        matches!(self.at, At::Head(_))
    }

    /// Whether the next byte is a request's first.
    pub fn between_requests(&self) -> bool {
        matches!(&self.at, At::Head(head) if head.untouched())
    }
}

#[cfg(test)]
pub(in crate::edge) mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 120, headers: 4 };

    /// What comes through, and how it ends, when the bytes arrive in pieces; as `io` feeds them.
    fn run(pieces: &[&[u8]]) -> (Vec<u8>, Option<HeadFault>) {
        let (mut wire, mut pending, mut through) = (Wire::new(BOUNDS), Vec::new(), Vec::new());
        for piece in pieces {
            pending.extend_from_slice(piece);
            let Scan { cleared, fault } = wire.scan(&pending);
            through.extend(pending.drain(..cleared));
            if fault.is_some() {
                return (through, fault);
            }
        }
        (through, None)
    }

    const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn the_next_head_begins_where_the_body_ends() {
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let good = format!("{chunked}{GET}{sized}\r\n{GET}");
        assert_eq!(run(&[good.as_bytes()]), (good.clone().into_bytes(), None));

        let bad = format!("{good}GET /a HTTP/1.1\nHost: a\r\n\r\n{GET}");
        assert_eq!(run(&[bad.as_bytes()]), (good.into_bytes(), Some(HeadFault::LineEnd)));
    }

    #[test]
    fn a_request_in_a_body_is_a_body() {
        let outer = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{GET}",
            GET.len()
        );
        let mut wire = Wire::new(BOUNDS);
        wire.scan(outer.as_bytes());
        assert!(wire.between_requests());
        assert_eq!(
            wire.scan(b"GET /a"),
            Scan {
                cleared: 0,
                fault: None
            }
        );
        assert!(wire.in_head() && !wire.between_requests());
    }

    #[test]
    fn a_body_with_more_behind_it_stays_unfinished() {
        let request = |behind: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{behind}");
        for behind in ["d", "12", "}", " ", "D1 ", "GETx", "\u{5f20}"] {
            let cut = request("").len() - 1;
            let through = request("").as_bytes()[..cut].to_vec();
            let whole = request(behind);
            assert_eq!(
                run(&[whole.as_bytes()]),
                (through, Some(HeadFault::Surplus)),
                "{behind}"
            );
            // What comes later is too late for the request, but not for the connection.
            let later = run(&[&whole.as_bytes()[..=cut], behind.as_bytes()]);
            assert_eq!(later, (request("").into_bytes(), Some(HeadFault::Surplus)), "{behind}");
        }
        for behind in ["", "\r\n", "G", GET, "\r\n\r\nGET"] {
            assert_eq!(run(&[request(behind).as_bytes()]).1, None, "{behind}");
        }
    }

    /// What came through, less the end of a body that is held back if more stands behind it in the same piece.
    fn verdict((mut through, fault): (Vec<u8>, Option<HeadFault>), whole: &[u8]) -> (Vec<u8>, Option<HeadFault>) {
        if fault == Some(HeadFault::Surplus) {
            through.truncate(whole.len());
        }
        (through, fault)
    }

    /// Requests made of good and bad parts, so that deep states are reached.
    pub(in crate::edge) fn traffic() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(GET.to_owned()),
            Just("POST / HTTP/1.1\r\n".to_owned()),
            Just("GET / HTTP/1.0\r\n".to_owned()),
            Just("Host: a\r\n".to_owned()),
            Just("Content-Length: 4\r\n".to_owned()),
            Just("Transfer-Encoding: chunked\r\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("3\r\nabc\r\n".to_owned()),
            Just("0\r\n\r\n".to_owned()),
            Just("X: y\r\n".to_owned()),
            "[ -~\r\n\t\0]{0,12}",
            "[a-z]{0,60}",
        ];
        prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn the_verdict_does_not_depend_on_how_bytes_are_cut(
            bytes in traffic(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();

            let whole = run(&[&bytes]);

            prop_assert_eq!(&verdict(run(&single), &whole.0), &whole);
            prop_assert_eq!(&verdict(run(&pieces), &whole.0), &whole);
        }

        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (through, _) = run(&[&bytes]);
            prop_assert!(bytes.starts_with(&through));
        }
    }
}
