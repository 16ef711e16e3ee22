//! Runs a target on many inputs, and tells what it found.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutate};
use crate::options::{Options, to_hex};
use crate::targets::Target;

/// Longest input; enough for three requests in a row, and other targets read far less.
const MAX_LEN: usize = 1024;
/// Inputs between two looks at the clock.
const BATCH: u64 = 256;

/// What became of one target.
pub(crate) struct Report {
    name: &'static str,
    runs: u64,
    took: Duration,
    seed: u64,
    pub(crate) failure: Option<Failure>,
}

/// The input that a target could not stand.
pub(crate) struct Failure {
    input: Vec<u8>,
    message: String,
}

/// What the last panic said.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps panics off the screen: each is caught, and told once with its input.
pub(crate) fn silence_panics() {
    panic::set_hook(Box::new(|panicked| {
        if let Ok(mut message) = LAST_PANIC.lock() {
            *message = panicked.to_string();
        }
    }));
}

pub(crate) fn run(target: &'static Target, options: &Options) -> Report {
    let begin = now();
    let mut report = Report {
        name: target.name,
        runs: 0,
        took: Duration::ZERO,
        seed: options.seed,
        failure: None,
    };
    if let Some(input) = &options.replay {
        report.runs = 1;
        report.failure = try_one(target, input);
        report.took = begin.elapsed();
        return report;
    }
    let seeds = seeds(target);
    let mut random = Random::new(options.seed);
    let mut input = Vec::with_capacity(MAX_LEN);
    while report.runs < options.runs && report.failure.is_none() {
        let out_of_time = report.runs.is_multiple_of(BATCH) && options.time.is_some_and(|time| begin.elapsed() >= time);
        if out_of_time {
            break;
        }
        input.clear();
        // Every seed as it stands first, so that even a short run has touched every rule.
        match seeds.get(usize::try_from(report.runs).unwrap_or(usize::MAX)) {
            Some(seed) => input.extend_from_slice(seed),
            None => mutate(&mut random, &seeds, MAX_LEN, &mut input),
        }
        report.failure = try_one(target, &input);
        report.runs += 1;
    }
    report.took = begin.elapsed();
    report
}

/// A target's own seeds, and the files of its corpus up to the length of an input.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let Some(folder) = target.corpus else { return seeds };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = std::fs::read_dir(folder).expect("the corpus is in the repository");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    // In one order everywhere, or the same random numbers would give other inputs.
    paths.sort();
    assert!(!paths.is_empty(), "the corpus is empty");
    for path in paths {
        let mut bytes = std::fs::read(path).expect("a file of the corpus can be read");
        bytes.truncate(MAX_LEN);
        seeds.push(bytes);
    }
    seeds
}

fn try_one(target: &Target, input: &[u8]) -> Option<Failure> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    outcome.err().map(|_| Failure {
        input: input.to_vec(),
        message: LAST_PANIC.lock().map(|message| message.clone()).unwrap_or_default(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            runs,
            took,
            seed,
            failure,
        } = self;
        let rate = *runs as f64 / took.as_secs_f64().max(1e-6);
        write!(
            f,
            "{name:<16}{runs:>12} runs {:>8.1} s {rate:>12.0} runs/s  seed {seed}",
            took.as_secs_f64()
        )?;
        match failure {
            None => write!(f, "  ok"),
            Some(Failure { input, message }) => {
                let text = String::from_utf8_lossy(input);
                let hex = to_hex(input);
                write!(
                    f,
                    "  FAILED\n  {message}\n  input {text:?}\n  again: cargo xtask fuzz {name} --replay {hex}"
                )
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gateway's clock is for the gateway; this one times a run"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        name: "test",
        seeds: &["fine", "harmless"],
        corpus: None,
        run: |input| assert!(!input.contains(&b'!'), "an exclamation mark"),
    };

    fn options(seed: u64) -> Options {
        Options {
            targets: vec![&TARGET],
            runs: 1_000_000,
            time: None,
            seed,
            replay: None,
        }
    }

    #[test]
    fn a_failing_input_is_found_and_fails_again() {
        silence_panics();
        let failure = run(&TARGET, &options(1))
            .failure
            .expect("one input in some hundred has the byte");
        assert!(failure.message.contains("an exclamation mark"), "{}", failure.message);

        let replay = Options {
            replay: Some(failure.input),
            ..options(1)
        };
        assert!(run(&TARGET, &replay).failure.is_some());
    }

    #[test]
    fn the_same_seed_finds_the_same_input() {
        silence_panics();
        let found = |seed| run(&TARGET, &options(seed)).failure.map(|failure| failure.input);
        assert_eq!(found(3), found(3));
        assert_ne!(found(3), found(4));
    }
}
