//! The command line.

use std::time::Duration;

use crate::targets::{ALL, Target};

pub(crate) const HELP: &str = "\
fuzz TARGET|all [--runs N] [--seconds S] [--seed X] [--replay HEX]

  --runs N       inputs for each target; without it and without --seconds, 1000000
  --seconds S    time for each target; with --runs, whichever comes first
  --seed X       begins the random numbers (default 1); the same seed gives the same inputs
  --replay HEX   one input instead, as a failure printed it

Targets: sign_verify, cipher_decrypt, identity, datetime, decode, multipart, charset, head_guard.
Exit status: 0 nothing found, 1 a failure (its input is printed in hex), 2 wrong usage.
";

const DEFAULT_RUNS: u64 = 1_000_000;

/// What to run.
pub(crate) struct Options {
    pub(crate) targets: Vec<&'static Target>,
    pub(crate) runs: u64,
    pub(crate) time: Option<Duration>,
    pub(crate) seed: u64,
    pub(crate) replay: Option<Vec<u8>>,
}

impl Options {
    /// `None` if help is asked for.
    pub(crate) fn read(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut options = Self {
            targets: Vec::new(),
            runs: 0,
            time: None,
            seed: 1,
            replay: None,
        };
        let mut arguments = arguments.iter().map(String::as_str);
        let mut runs = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument {
                "--help" | "-h" => return Ok(None),
                "--runs" => runs = Some(number(value()?)?),
                "--seconds" => options.time = Some(Duration::from_secs(number(value()?)?)),
                "--seed" => options.seed = number(value()?)?,
                "--replay" => options.replay = Some(from_hex(value()?)?),
                "all" => options.targets.extend(ALL),
                name => match ALL.iter().find(|target| target.name == name) {
                    Some(target) => options.targets.push(target),
                    None => return Err(format!("there is no target {name}")),
                },
            }
        }
        if options.targets.is_empty() {
            return Err("which target?".to_owned());
        }
        options.runs = runs.unwrap_or(if options.time.is_some() { u64::MAX } else { DEFAULT_RUNS });
        Ok(Some(options))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(format!("{text} is no hex")),
    }
}

/// Lowercase hex, as `--replay` takes it.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&arguments)
    }

    #[test]
    fn bounds_are_runs_or_time() {
        assert_eq!(read("datetime").unwrap().unwrap().runs, DEFAULT_RUNS);
        assert_eq!(read("datetime --seconds 3").unwrap().unwrap().runs, u64::MAX);
        assert_eq!(read("all --runs 7 --seconds 3").unwrap().unwrap().runs, 7);
        assert_eq!(read("all").unwrap().unwrap().targets.len(), ALL.len());
    }

    #[test]
    fn a_printed_input_can_be_replayed() {
        let input = [0, 0x7f, 0xe5, 0xff];
        let options = read(&format!("identity --replay {}", to_hex(&input))).unwrap().unwrap();
        assert_eq!(options.replay.unwrap(), input);
    }

    #[test]
    fn mistakes_are_refused_and_help_is_none() {
        assert!(read("-h").unwrap().is_none());
        for line in [
            "",
            "no_such",
            "all --runs",
            "all --runs x",
            "all --replay abc",
            "all --replay zz",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_target() {
        assert!(ALL.iter().all(|target| HELP.contains(target.name)));
    }
}
