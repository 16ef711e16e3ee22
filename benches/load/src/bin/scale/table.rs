//! The table of a results file, for the terminal and for docs/scaling.md.

use aimis_bench::results::{self, Results, Row, spread};
use anyhow::Result;

const DOCUMENT: &str = "docs/scaling.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench scale --write` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// A gateway with all it needs of its own.
pub(crate) const ALONE: &str = "alone";
/// One that shares it.
pub(crate) const SHARED: &str = "shared";

/// A gateway with little to keep in mind.
pub(crate) const FEW: &str = "few";
/// One with much.
pub(crate) const MANY: &str = "many";

/// Two lines of facts, then a line a row of results: medians and ranges, and what was added within a round.
pub(crate) fn of(results: &Results) -> String {
    let mut text = results::facts(results);
    text += "\n| | | alone | range | shared | range | added | range |\n|---|---|---:|---:|---:|---:|---:|---:|\n";
    let mut last = "";
    let (grown, shared): (Vec<&Row>, Vec<&Row>) = results.rows.iter().partition(|row| !row.of(MANY).is_empty());
    for row in shared {
        let (case, what) = row.title.split_once(": ").unwrap_or(("", &row.title));
        let named = if case == last { "" } else { case };
        last = case;
        text += &format!("| {named} | {what}, {} |{} |\n", row.unit, figures(row));
    }
    if !grown.is_empty() {
        text += "\n| | few | range | many | range | ratio | range |\n|---|---:|---:|---:|---:|---:|---:|\n";
    }
    for row in grown {
        let (few, many) = (row.of(FEW), row.of(MANY));
        let ratios: Vec<f64> = many.iter().zip(few).map(|(many, few)| many / few).collect();
        // What the one with little has none of has no ratio.
        let ratio = spread(&ratios).map_or_else(
            || " | ".to_owned(),
            |[middle, least, most]| format!(" {middle:.2} | {least:.2} to {most:.2}"),
        );
        text += &format!(
            "| {}, {} |{} |{} |{ratio} |\n",
            row.title,
            row.unit,
            cells(few),
            cells(many)
        );
    }
    text
}

fn figures(row: &Row) -> String {
    let (alone, shared) = (row.of(ALONE), row.of(SHARED));
    // What one has and the other does not is all added.
    let added: Vec<f64> = if alone.is_empty() {
        Vec::new()
    } else {
        shared.iter().zip(alone).map(|(shared, alone)| shared - alone).collect()
    };
    [alone, shared, &added].map(cells).join(" |")
}

/// The median, and from the least to the largest.
fn cells(samples: &[f64]) -> String {
    let Some([middle, least, most]) = spread(samples) else {
        return " | ".to_owned();
    };
    let large = [least, most].iter().any(|value| value.abs() >= 100.0);
    let digits = usize::from(!large);
    format!(" {middle:.digits$} | {least:.digits$} to {most:.digits$}")
}

/// Puts a table between the marks in the document.
pub(crate) fn write(table: &str) -> Result<()> {
    results::put(DOCUMENT, BEGIN, END, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_of_the_same_round() {
        let mut row = Row::new("callbacks: median", "us");
        for (alone, shared) in [(10.0, 12.0), (20.0, 21.0), (30.0, 60.0)] {
            row.add(SHARED, shared);
            row.add(ALONE, alone);
        }
        assert_eq!(
            figures(&row),
            " 20.0 | 10.0 to 30.0 | 21.0 | 12.0 to 60.0 | 2.0 | 1.0 to 30.0"
        );
        let mut row = Row::new("calls", "a question");
        row.add(SHARED, 2.0);
        assert_eq!(figures(&row), " |  | 2.0 | 2.0 to 2.0 | | ");
    }
}
