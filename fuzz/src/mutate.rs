//! Inputs from seeds: small damages as people and programs do them, and some that nobody would.

/// What tends to upset readers of text: widths, signs, white space nobody sees, bytes that are no UTF-8.
const SPLINTERS: &[&[u8]] = &[
    b"",
    b"0",
    b"9",
    b"-",
    b"+",
    b".",
    b"/",
    b":",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b"%00",
    b"=",
    b"&",
    b"\"",
    b"\\u0070",
    b"{",
    b"},",
    b"\"idNum\":\"13800138000\",",
    b"%u5F20",
    b"%",
    b"\r\n--XX\r\nContent-Disposition: form-data; name=idNum\r\n\r\n",
    b"Content-Length: 4\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: a\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\n",
    b";",
    b",",
    b"_",
    b"x",
    b"X",
    b"+86",
    b"00",
    b"2024",
    b"99999999999999999999",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "０".as_bytes(),
    "Ｘ".as_bytes(),
    "：".as_bytes(),
    "\u{3000}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{202e}".as_bytes(),
    "年".as_bytes(),
    "上午".as_bytes(),
    "无".as_bytes(),
    "ß".as_bytes(),
    "İ".as_bytes(),
    "١".as_bytes(),
    "𝟘".as_bytes(),
    "👨‍👩".as_bytes(),
];

/// SplitMix64: short, fast, good enough to choose damages with.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Appends to `input` a seed with one to six damages, at most `max_len` bytes; now and then plain noise.
pub(crate) fn mutate(random: &mut Random, seeds: &[Vec<u8>], max_len: usize, input: &mut Vec<u8>) {
    if random.below(32) == 0 {
        let len = random.below(64);
        input.extend((0..len).map(|_| random.next() as u8));
    } else {
        input.extend_from_slice(random.pick(seeds).as_slice());
    }
    for _ in 0..=random.below(6) {
        damage(random, seeds, input);
    }
    input.truncate(max_len);
}

fn damage(random: &mut Random, seeds: &[Vec<u8>], input: &mut Vec<u8>) {
    let at = random.below(input.len() + 1);
    let rest = input.len() - at;
    let len = random.below(rest.min(8) + 1);
    match random.below(9) {
        // A digit mistyped.
        0 if rest > 0 => input[at] = b'0' + random.below(10) as u8,
        1 if rest > 0 => input[at] ^= 1 << random.below(8),
        2 if rest > 0 => input[at] = random.next() as u8,
        // Lost, doubled, swapped with the neighbour, cut short.
        3 => drop(input.drain(at..at + len)),
        4 => {
            let doubled = input[at..at + len].to_vec();
            input.splice(at..at, doubled);
        }
        5 if rest > 1 => input.swap(at, at + 1),
        6 if random.below(4) == 0 => input.truncate(at),
        // The end of another seed.
        7 => {
            let other = random.pick(seeds);
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let splinter = random.pick(SPLINTERS);
            input.splice(at..at + len, splinter.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_repeatable_bounded_and_different() {
        let inputs = |seed| -> Vec<Vec<u8>> {
            let mut random = Random::new(seed);
            let make = |_| {
                let mut input = Vec::new();
                mutate(&mut random, &[b"13800138000".to_vec(), Vec::new()], 40, &mut input);
                input
            };
            (0..1000).map(make).collect()
        };
        assert_eq!(inputs(7), inputs(7));
        assert!(inputs(7).iter().all(|input| input.len() <= 40));
        let different: std::collections::BTreeSet<_> = inputs(7).into_iter().collect();
        assert!(different.len() > 700, "{}", different.len());
    }
}
