//! Results of a run, as they are kept in benches/results; and their table's place in a document.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A run's results.
#[derive(Serialize, Deserialize)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// Requests of each measurement.
    pub requests: u32,
    /// Rounds; in each all that is compared had its turn.
    pub rounds: usize,
    /// What came out.
    pub rows: Vec<Row>,
    /// Who or what could not be measured, and why.
    pub left_out: Vec<String>,
}

/// One figure.
#[derive(Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub title: String,
    /// Of what.
    pub unit: String,
    /// By what is compared, in the order of its first turns; round by round.
    pub samples: Vec<(String, Vec<f64>)>,
}

impl Row {
    /// Without samples.
    #[must_use]
    pub fn new(title: &str, unit: &str) -> Self {
        Self {
            title: title.to_owned(),
            unit: unit.to_owned(),
            samples: Vec::new(),
        }
    }

    /// A further sample of one.
    pub fn add(&mut self, of: &str, sample: f64) {
        match self.samples.iter_mut().find(|(name, _)| name == of) {
            Some((_, samples)) => samples.push(sample),
            None => self.samples.push((of.to_owned(), vec![sample])),
        }
    }

    /// The samples of one, round by round; none if it was not measured.
    #[must_use]
    pub fn of(&self, name: &str) -> &[f64] {
        let found = self.samples.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, samples)| samples)
    }
}

/// The median, the least and the largest; nothing of no samples.
#[must_use]
pub fn spread(samples: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (sorted.first()?, sorted.last()?);
    let middle = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Some([middle, *first, *last])
}

/// The facts of a table, in two lines.
#[must_use]
pub fn facts(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "{}, {} cores, {}; load {} at the start; {}. {} requests, {} rounds.\n{}.\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.load,
        machine.day,
        results.requests,
        results.rounds,
        machine.versions.join("; ")
    )
}

/// Puts a table between `begin` and `end` in a document, in place of the last one.
///
/// # Errors
/// If the document cannot be read or written, or has no such lines.
pub fn put(document: &str, begin: &str, end: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(document).with_context(|| format!("cannot read {document}"))?;
    let new = between(&text, begin, end, table).with_context(|| format!("{document} lacks its marks"))?;
    Ok(std::fs::write(document, new)?)
}

fn between(text: &str, begin: &str, end: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_the_last_one() {
        let of = |text, table| between(text, "BEGIN\n", "END\n", table);
        assert_eq!(
            of("a\nBEGIN\nold\nEND\nb\n", "new\n").unwrap(),
            "a\nBEGIN\nnew\nEND\nb\n"
        );
        assert_eq!(of("a", "new"), None);
    }

    #[test]
    fn the_median_is_between_two_in_the_middle() {
        assert_eq!(spread(&[3.0, 1.0, 2.0, 10.0]), Some([2.5, 1.0, 10.0]));
        assert_eq!(spread(&[]), None);
    }
}
