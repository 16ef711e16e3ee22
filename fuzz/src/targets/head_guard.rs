//! What the byte guard lets through has one reading: a strict reader that knows nothing of the guard agrees with it
//! about every head and body, and the verdict does not depend on how the bytes were cut into pieces.

mod strict;

use aimis_gateway::edge::guard::HeadFault;
use aimis_gateway::edge::guard::wire::{HeadBounds, Scan, Wire};

use self::strict::{Framing, Stop};
use super::Target;
use crate::mutate::Random;

pub(super) const TARGET: Target = Target {
    name: "head_guard",
    seeds: SEEDS,
    corpus: Some("tests/corpus/smuggling"),
    run,
};

/// Small, so that inputs reach them.
const BOUNDS: HeadBounds = HeadBounds { bytes: 400, headers: 8 };

const SEEDS: &[&str] = &[
    "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.0\r\n\r\n",
    "POST /thirdparty/patientStudies/900001 HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:Chunked\r\n\r\n00a;x=y\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Y: b\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    "OPTIONS / HTTP/1.1\r\nHost: a\r\nX_Y: b\r\nCookie: \tä\r\n\r\n",
];

/// What came of bytes fed in pieces.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    through: Vec<u8>,
    fault: Option<HeadFault>,
    in_head: bool,
    between_requests: bool,
}

/// Feeds pieces as the stream does: what was not cleared is shown again with more behind it.
fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Passed {
    let (mut wire, mut pending) = (Wire::new(BOUNDS), Vec::new());
    let (mut through, mut end) = (Vec::new(), None);
    for piece in pieces {
        pending.extend_from_slice(piece);
        let Scan { cleared, fault } = wire.scan(&pending);
        through.extend(pending.drain(..cleared));
        end = fault;
        if end.is_some() {
            break;
        }
    }
    Passed {
        through,
        fault: end,
        in_head: wire.in_head(),
        between_requests: end.is_none() && wire.between_requests(),
    }
}

impl Passed {
    /// Whether two ways of cutting the same bytes came to the same. What stands right behind a body shows only where
    /// it comes together with the body: then the last byte of the body is held back, else it has gone.
    fn agrees(&self, whole: &Self) -> bool {
        let one_more = |longer: &[u8], shorter: &[u8]| longer.len() == shorter.len() + 1 && longer.starts_with(shorter);
        self == whole
            || (self.fault == Some(HeadFault::Surplus)
                && whole.fault == Some(HeadFault::Surplus)
                && one_more(&self.through, &whole.through))
    }
}

fn run(input: &[u8]) {
    let whole = feed(std::iter::once(input));
    let cut = feed(input.chunks(1));
    assert!(cut.agrees(&whole), "byte by byte: {cut:?}, whole: {whole:?}");
    // The pieces follow from the input, so that it fails again when it is replayed.
    let mut random = Random::new(input.iter().fold(7, |sum: u64, b| sum.wrapping_mul(31) + u64::from(*b)));
    for longest in [3, 40, 400] {
        let mut rest = input;
        let pieces = std::iter::from_fn(|| {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(longest)));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let cut = feed(pieces);
        assert!(
            cut.agrees(&whole),
            "in pieces of up to {longest}: {cut:?}, whole: {whole:?}"
        );
    }

    assert!(input.starts_with(&whole.through), "other bytes than were sent");
    let read = strict::read(&whole.through, BOUNDS);
    let after = match &read.stop {
        Stop::Wrong(why) => panic!("let through: {why}"),
        Stop::Head => panic!("let through: a head without its end"),
        Stop::Between => None,
        Stop::Body(framing) => Some(*framing),
    };
    let something = read.requests > 0 || after.is_some();
    assert_eq!(something, !whole.through.is_empty(), "bytes that belong to no request");
    assert_eq!(after.is_none(), whole.in_head, "disagree where the body ends");
    if whole.fault.is_none() {
        // Of what came after the last whole request, nothing is held back but a head.
        let held = &input[whole.through.len()..];
        assert!(after.is_none() || held.is_empty(), "a part of a body is held back");
        assert!(held.len() < BOUNDS.bytes, "more than a head is held back");
    } else {
        let rest = &input[whole.through.len()..];
        let plain = match after {
            None => strict::plain_head(rest, BOUNDS),
            Some(Framing::Length(_)) if whole.fault == Some(HeadFault::Surplus) => rest.len() < 2,
            Some(Framing::Length(_)) => panic!("a body of a known length is refused"),
            Some(Framing::Chunked) => rest.is_empty(),
        };
        assert!(!plain, "refused without a reason: {:?}", whole.fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_come_through_but_one() {
        let refused: Vec<_> = SEEDS
            .iter()
            .filter(|seed| feed(std::iter::once(seed.as_bytes())).fault.is_some())
            .collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        SEEDS.iter().for_each(|seed| run(seed.as_bytes()));
    }

    #[test]
    fn the_strict_reader_counts_requests() {
        for (seed, requests) in [(0, 1), (5, 2), (6, 3), (7, 2)] {
            let read = strict::read(SEEDS[seed].as_bytes(), BOUNDS);
            assert!(matches!(read.stop, Stop::Between), "{:?}", read.stop);
            assert_eq!(read.requests, requests);
        }
    }
}
