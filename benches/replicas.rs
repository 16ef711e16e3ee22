//! What several gateways let through and find kept, over hours that nobody waits for: a simulation of docs/replicas.md.
//!
//! It knows the rules from the document and not from the code: one GCRA for all while the store answers, a part for each
//! while it does not, staggered ways back, gateways that come and go, and some that are cut off while others are not. What it prints is in docs/scaling.md. It fails where
//! the document's bound does not hold.
//!
//! `cargo bench --package aimis --bench replicas`
#![allow(clippy::print_stdout, reason = "it prints its tables")]

use std::collections::HashMap;
use std::process::ExitCode;

/// Seconds of one run.
const SPAN: f64 = 3_600.0;
/// Runs of a row, each by another chance.
const RUNS: u64 = 20;

/// Numbers by chance, the same in every run of the program (SplitMix64).
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        (self.share() * count as f64) as usize
    }

    /// The time to the next of `rate` a second.
    fn gap(&mut self, rate: f64) -> f64 {
        -(1.0 - self.share()).ln() / rate
    }
}

/// GCRA: so many at once, so many a second.
#[derive(Clone, Copy, Default)]
struct Quota {
    /// When all of it is back.
    whole_at: f64,
}

impl Quota {
    fn take(&mut self, now: f64, rate: f64, burst: f64) -> bool {
        let next = self.whole_at.max(now) + 1.0 / rate;
        let granted = next - now <= burst / rate + 1e-9;
        if granted {
            self.whole_at = next;
        }
        granted
    }

    /// Something was granted elsewhere that counts here as well.
    fn note(&mut self, now: f64, rate: f64) {
        self.whole_at = self.whole_at.max(now) + 1.0 / rate;
    }
}

/// One tenant's quota, asked for three times as much as it gives.
struct Case {
    name: &'static str,
    gateways: usize,
    /// How many each believes that there are, while the store is away.
    believed: usize,
    /// Seconds from one outage of the store to the next; none where 0.
    every: f64,
    /// How long one is.
    outage: f64,
    /// How many do not have it then, the first ones; the others go on with it.
    cut: usize,
    /// The store comes back empty.
    forgets: bool,
    /// Bursts beyond the quota that the document allows for each change between store and part, and the factor of
    /// the rate by which gateways exceed it that believe in fewer than there are.
    changes: f64,
    factor: f64,
}

const RATE: f64 = 10.0;
const BURST: f64 = 20.0;
/// `store.retry_ms`.
const RETRY: f64 = 1.0;

/// Times at which something was let through.
fn let_through(case: &Case, chance: &mut Chance) -> Vec<f64> {
    let mut shared = Quota::default();
    let mut parts = vec![Quota::default(); case.gateways];
    let mut back_at = vec![0.0; case.gateways];
    let (mut passed, mut now, mut outages) = (Vec::new(), 0.0, 0.0);
    let believed = case.believed as f64;
    let part_burst = (BURST / believed).floor().max(1.0);
    loop {
        now += chance.gap(3.0 * RATE);
        if now > SPAN {
            return passed;
        }
        let gateway = chance.below(case.gateways);
        let since = if case.every > 0.0 {
            now % case.every
        } else {
            case.outage
        };
        let number = if case.every > 0.0 {
            (now / case.every).floor()
        } else {
            0.0
        };
        let is_away = case.every > 0.0 && now >= case.every && since < case.outage;
        if is_away && outages < number {
            outages = number;
            for at in &mut back_at {
                // Each looks again by itself, up to a half later than the others.
                *at = number * case.every + case.outage + RETRY * (1.0 + 0.5 * chance.share());
            }
            if case.forgets {
                shared = Quota::default();
            }
        }
        let by_part = gateway < case.cut && (is_away || now < back_at[gateway]);
        let granted = if by_part {
            parts[gateway].take(now, RATE / believed, part_burst)
        } else {
            let granted = shared.take(now, RATE, BURST);
            if granted {
                parts[gateway].note(now, RATE / believed);
                let full = now + part_burst * believed / RATE;
                parts[gateway].whole_at = parts[gateway].whole_at.min(full);
            }
            granted
        };
        if granted {
            passed.push(now);
        }
    }
}

/// The most that any window of up to `longest` seconds had beyond burst and rate, in questions.
fn worst_excess(passed: &[f64], rate: f64, longest: f64) -> f64 {
    // The sum less what the rate gives has its largest rise between its lowest point so far and here.
    let mut worst = f64::MIN;
    let mut first = 0;
    for (last, at) in passed.iter().enumerate() {
        while at - passed[first] > longest {
            first += 1;
        }
        let window = passed[first..=last].iter().enumerate();
        for (skipped, from) in window {
            let count = (last - first - skipped + 1) as f64;
            worst = worst.max(count - rate * (at - from) - BURST);
        }
    }
    worst
}

fn quotas() -> bool {
    // Outages a minute apart.
    const CASES: [Case; 8] = [
        Case::of("4 gateways, the store answers", 4),
        Case::of("16 gateways, the store answers", 16),
        Case::of("4, away for 5 s in each minute", 4).away(5.0),
        Case {
            forgets: true,
            ..Case::of("4, the same, and it comes back empty", 4).away(5.0)
        },
        Case::of("16, away for 5 s in each minute", 16).away(5.0),
        Case {
            believed: 4,
            changes: 3.0,
            factor: 2.0,
            ..Case::of("8 that believe in 4, away for 20 s in each minute", 8).away(20.0)
        },
        Case::of("4, one of them cut off for 20 s in each minute", 4).cut_off(1, 20.0),
        Case::of("4, three of them cut off for 20 s in each minute", 4).cut_off(3, 20.0),
    ];
    println!("quota {RATE}/s, burst {BURST}, asked 3 times as much, an hour, {RUNS} runs; windows of up to 30 s\n");
    println!("| gateways | let through, of the quota | most beyond it in a window | the document allows |");
    println!("|---|---:|---:|---:|");
    let mut holds = true;
    for case in &CASES {
        let (mut share, mut worst) = (0.0, f64::MIN);
        for run in 0..RUNS {
            let passed = let_through(case, &mut Chance(run));
            share += passed.len() as f64 / (RATE * SPAN + BURST) / RUNS as f64;
            worst = worst.max(worst_excess(&passed, RATE, 30.0));
        }
        // While some go by the store and some by their part, both are spent: until the last has noticed that it is back.
        let mixed = if case.every > 0.0 { RATE * 1.5 * RETRY } else { 0.0 };
        let mixed = mixed * (case.cut as f64 / case.gateways as f64);
        let outage = (case.factor - 1.0) * RATE * case.outage;
        let allowed = case.changes * BURST + mixed + outage;
        holds &= worst <= allowed + 1.0;
        println!(
            "| {} | {:.1} % | {:.0} | {allowed:.0} |",
            case.name,
            share * 100.0,
            worst.max(0.0)
        );
    }
    holds
}

impl Case {
    /// The store always answers.
    const fn of(name: &'static str, gateways: usize) -> Self {
        Self {
            name,
            gateways,
            believed: gateways,
            every: 0.0,
            outage: 0.0,
            cut: gateways,
            forgets: false,
            changes: 0.0,
            factor: 1.0,
        }
    }

    /// It is away for so long in each minute.
    const fn away(self, outage: f64) -> Self {
        Self {
            every: 60.0,
            outage,
            changes: 2.0,
            ..self
        }
    }

    /// So many do not have it for so long in each minute: beside the whole quota these spend their parts of it.
    const fn cut_off(self, cut: usize, outage: f64) -> Self {
        let parts = cut as f64 / self.gateways as f64;
        Self {
            every: 60.0,
            outage,
            cut,
            changes: parts,
            factor: 1.0 + parts,
            ..self
        }
    }
}

/// How long an answer is fresh, in seconds: the default.
const FRESH: f64 = 30.0;

/// The share of questions that are answered from what is kept. Doctors open patients; who has opened one asks again, on the
/// next page or in the next room, a few times within minutes.
fn hit_share(gateways: usize, shared: bool, opened_per_s: f64, chance: &mut Chance) -> f64 {
    let mut questions: Vec<(f64, u64)> = Vec::new();
    let (mut now, mut patient) = (0.0, 0);
    while now < SPAN {
        now += chance.gap(opened_per_s);
        patient += 1;
        let mut at = now;
        questions.push((at, patient));
        // Two more of each on average, half a minute apart.
        while chance.share() < 2.0 / 3.0 {
            at += chance.gap(1.0 / FRESH);
            questions.push((at, patient));
        }
    }
    questions.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut kept: HashMap<(usize, u64), f64> = HashMap::new();
    let mut hits = 0_usize;
    for (at, patient) in &questions {
        let place = if shared { 0 } else { chance.below(gateways) };
        match kept.get(&(place, *patient)) {
            Some(until) if at < until => hits += 1,
            _ => {
                kept.insert((place, *patient), at + FRESH);
            }
        }
    }
    hits as f64 / questions.len() as f64
}

fn hits() {
    println!("\na patient is asked for three times on average, half a minute apart; answers are fresh for {FRESH} s\n");
    println!("| gateways | each keeps its own | shared |\n|---:|---:|---:|");
    for gateways in [1, 2, 4, 16] {
        let own = hit_share(gateways, false, 5.0, &mut Chance(1));
        let shared = hit_share(gateways, true, 5.0, &mut Chance(1));
        println!("| {gateways} | {:.0} % | {:.0} % |", own * 100.0, shared * 100.0);
    }
}

fn main() -> ExitCode {
    let holds = quotas();
    hits();
    if holds {
        return ExitCode::SUCCESS;
    }
    println!("\nTHE BOUND DOES NOT HOLD: docs/replicas.md says what it is");
    ExitCode::FAILURE
}
