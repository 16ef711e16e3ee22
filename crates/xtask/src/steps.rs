//! Steps with a name and a time, and the table of them at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What runs one after the other.
pub(crate) struct Steps {
    after_failure: AfterFailure,
    done: Vec<Step>,
}

/// What becomes of the steps after one that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// They need it: they are left out.
    Stop,
    /// They stand for themselves: one run shows everything there is to repair.
    GoOn,
}

struct Step {
    name: &'static str,
    took: Duration,
    end: End,
}

enum End {
    Fine,
    Failed(String),
    LeftOut,
}

impl Steps {
    pub(crate) fn new(after_failure: AfterFailure) -> Self {
        Self {
            after_failure,
            done: Vec::new(),
        }
    }

    /// Runs one step, and prints what it is before and how long it took after.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        if self.after_failure == AfterFailure::Stop && self.failed().next().is_some() {
            self.done.push(Step {
                name,
                took: Duration::ZERO,
                end: End::LeftOut,
            });
            return;
        }
        tell(&format!("\n==> {name}"));
        let begin = now();
        let end = match work() {
            Ok(()) => End::Fine,
            Err(error) => End::Failed(format!("{error:#}")),
        };
        let step = Step {
            name,
            took: begin.elapsed(),
            end,
        };
        if let End::Failed(error) = &step.end {
            tell(&format!("{error}\n==> {name} FAILED"));
        }
        self.done.push(step);
    }

    /// Prints the table.
    ///
    /// # Errors
    /// If a step failed; the text names each.
    pub(crate) fn finish(self) -> Result<()> {
        tell(&format!("\n{}", self.table()));
        let failed: Vec<&str> = self.failed().collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }

    fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.done
            .iter()
            .filter(|step| matches!(step.end, End::Failed(_)))
            .map(|step| step.name)
    }

    fn table(&self) -> String {
        let line = |name: &str, took: Duration, end: &str| format!("{name:<44}{:>8.1} s  {end}\n", took.as_secs_f64());
        let mut table = String::new();
        for step in &self.done {
            table += &match &step.end {
                End::Fine => line(step.name, step.took, "ok"),
                End::Failed(error) => line(step.name, step.took, &format!("FAILED: {}", first_line(error))),
                End::LeftOut => line(step.name, step.took, "left out"),
            };
        }
        table + &line("all", self.done.iter().map(|step| step.took).sum(), "")
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Fails if there are complaints, with all of them; the first line, which the table shows, tells how many.
pub(crate) fn no_complaints(about: &str, complaints: &[String]) -> Result<()> {
    match complaints {
        [] => Ok(()),
        [one] => bail!("{about}: {one}"),
        many => bail!("{about}: {} complaints\n{}", many.len(), many.join("\n")),
    }
}

/// Prints a line for whoever runs the command.
#[expect(clippy::print_stdout, reason = "a command line tool")]
pub(crate) fn tell(line: &str) {
    println!("{line}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gateway's clock is for the gateway; this one times a build"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_stops_those_that_need_it() {
        let mut steps = Steps::new(AfterFailure::Stop);
        steps.run("set-up", || Ok(()));
        steps.run("build", || bail!("no compiler\nand a second line"));
        steps.run("test", || panic!("must not run"));

        let table = steps.table();
        assert!(
            table.contains("FAILED: no compiler\n") && table.contains("left out"),
            "{table}"
        );
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: build");
    }

    #[test]
    fn independent_steps_all_run() {
        let mut steps = Steps::new(AfterFailure::GoOn);
        steps.run("format", || bail!("one"));
        steps.run("lints", || Ok(()));
        steps.run("documents", || bail!("two"));
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: format, documents");
    }
}
