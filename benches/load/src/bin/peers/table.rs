//! The table of a results file, for the terminal and for docs/performance.md.

use aimis_bench::results::{self, Results, Row};
use anyhow::Result;

use crate::peers::MEASURE;

const DOCUMENT: &str = "docs/performance.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench peers --write` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// A line of facts, then a table a row of results: medians, ranges, and ratios to nginx of the same round.
pub(crate) fn of(results: &Results) -> String {
    let mut text = results::facts(results);
    text += "\n| what | peer | median | range | x nginx | range |\n|---|---|---:|---:|---:|---:|\n";
    for row in &results.rows {
        text += &lines(row);
    }
    if !results.left_out.is_empty() {
        text += &format!("\nLeft out: {}.\n", results.left_out.join("; "));
    }
    text
}

fn lines(row: &Row) -> String {
    let nginx = row
        .samples
        .iter()
        .find(|(name, _)| name == MEASURE)
        .map(|(_, samples)| samples);
    let mut text = String::new();
    for (index, (name, samples)) in row.samples.iter().enumerate() {
        let what = if index == 0 {
            format!("{}, {}", row.title, row.unit)
        } else {
            String::new()
        };
        let ratios: Vec<f64> = nginx
            .into_iter()
            .flatten()
            .zip(samples)
            .map(|(nginx, own)| own / nginx)
            .collect();
        let [median, range] = summary(samples, 1);
        let [ratio, ratios] = summary(&ratios, 2);
        text += &format!("| {what} | {name} | {median} | {range} | {ratio} | {ratios} |\n");
    }
    text
}

/// The median, and from the least to the largest.
fn summary(samples: &[f64], digits: usize) -> [String; 2] {
    let Some([middle, first, last]) = results::spread(samples) else {
        return Default::default();
    };
    [
        format!("{middle:.digits$}"),
        format!("{first:.digits$} to {last:.digits$}"),
    ]
}

/// Puts a table between the marks in the document.
pub(crate) fn write(table: &str) -> Result<()> {
    results::put(DOCUMENT, BEGIN, END, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let row = Row {
            title: "a".to_owned(),
            unit: "us".to_owned(),
            samples: vec![
                ("gateway".to_owned(), vec![20.0, 40.0, 31.0]),
                (MEASURE.to_owned(), vec![10.0, 20.0, 10.0]),
            ],
        };
        assert_eq!(
            lines(&row),
            "| a, us | gateway | 31.0 | 20.0 to 40.0 | 2.00 | 2.00 to 3.10 |\n\
             |  | nginx | 10.0 | 10.0 to 20.0 | 1.00 | 1.00 to 1.00 |\n"
        );
    }
}
