//! `test`: the whole suite, from a bare system to the sum of all tests.

use anyhow::Result;

use crate::repository::cargo;
use crate::steps::{AfterFailure, Steps, tell};
use crate::tools;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut steps = Steps::new(AfterFailure::Stop);
    steps.run("programs that tests use", tools::provide);
    steps.run("what judges deploy/", || tools::provide_python().map(drop));
    // Tests of the binary build it when they find it missing; built here, none of them waits and is blamed for it.
    steps.run("build the gateway", || {
        cargo(&["build", "--package", "aimis-gateway"]).run()
    });
    steps.run("unit, integration and doc tests", || tests(arguments));
    steps.finish()
}

fn tests(arguments: &[String]) -> Result<()> {
    let mut sum = Sum::default();
    let outcome = cargo(&["test", "--workspace", "--no-fail-fast"])
        .args(arguments)
        .lines(|line| {
            tell(line);
            sum.add(line);
        });
    tell(&format!(
        "\ntests: {} passed, {} failed, {} ignored, in {} test binaries",
        sum.passed, sum.failed, sum.ignored, sum.binaries
    ));
    outcome
}

/// What the summaries of all test binaries come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: usize,
    failed: usize,
    ignored: usize,
    binaries: usize,
}

impl Sum {
    /// Takes a line of the output in; all but summaries are passed over.
    fn add(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result: ") else {
            return;
        };
        self.binaries += 1;
        let counts = summary.split_once(". ").map_or(summary, |(_, counts)| counts);
        for count in counts.split(';') {
            match count.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 2.40s",
            "test says::test result: ... ok",
        ] {
            sum.add(line);
        }
        assert_eq!(
            sum,
            Sum {
                passed: 5,
                failed: 1,
                ignored: 1,
                binaries: 2
            }
        );
    }
}
