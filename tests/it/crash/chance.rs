//! Chance under a seed, and how often things are tried.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Numbers by chance; the same seed gives the same ones.
pub struct Chance(u64);

impl Chance {
    /// Under the seed that `AIMIS_CRASH_SEED` names, or a new one. It is printed: a test that fails shows it.
    pub fn new(test: &str) -> Self {
        let seed = number("AIMIS_CRASH_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("{test}: AIMIS_CRASH_SEED={seed}");
        Self(seed)
    }

    /// Chance of its own, for a task.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// How many rounds there are: `ordinary`, or as many as `AIMIS_CRASH_ROUNDS` asks for.
pub fn rounds(ordinary: u64) -> u64 {
    number("AIMIS_CRASH_ROUNDS").unwrap_or(ordinary)
}

/// How many callbacks a round brings at most; `AIMIS_CRASH_LOAD` asks for another number than `ordinary`.
pub fn load(ordinary: u64) -> u64 {
    number("AIMIS_CRASH_LOAD").unwrap_or(ordinary)
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var_os(variable)?;
    let number = value.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{variable} is a number")))
}
