//! Dates: a text is read as one moment or refused, and what was read is written so that it is read the same.

use aimis_core::datetime::{CANONICAL_LEN, Edge, Spelling, parse};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "datetime",
    seeds: SEEDS,
    corpus: None,
    run,
};

const SEEDS: &[&str] = &[
    "2024-01-05 09:03:00",
    "2024-1-5 9:03",
    "2024/01/05 09:03:00",
    "2024.01.05",
    "2024年1月5日",
    "2024年1月5日 9时3分0秒",
    "2024-01-05T09:03:00.123",
    "20240105",
    "20240105090300",
    "2024-01-05 24:00:00",
    "２０２４－０１－０５　０９：０３：００",
    "2024-02-29",
    "2023-02-29",
    "9999-12-31 23:59:59",
    "0001-01-01",
    "05/01/2024",
    "24-01-05",
    "2024-01-05T09:03:00Z",
    "2024-01-05T09:03:00+08:00",
    "2024-01-05 09:03 AM",
    "2024-01-05 下午 3:00",
    "2024-01-05 01:03:00.000 +0000",
    "2024-01-05T09:03:00-05:30",
    "/Date(1704067200000)/",
    "/Date(-1704067200000+0800)/",
    "1704416580",
    "1704416580000",
    "",
];

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for edge in [Edge::Begin, Edge::End, Edge::Exact] {
        match parse(&text, edge) {
            Ok((moment, spelling)) => {
                let canonical = moment.to_string();
                assert_eq!(canonical.len(), CANONICAL_LEN);
                assert!(is_real(&canonical), "{canonical} is in no calendar");
                assert_eq!(
                    spelling == Spelling::Canonical,
                    canonical == text,
                    "the spelling is wrong for {canonical}"
                );
                let again = parse(&canonical, edge);
                assert_eq!(
                    again,
                    Ok((moment, Spelling::Canonical)),
                    "{canonical} is not read as itself"
                );
            }
            // The hint reaches logs and callers, so it must not repeat a text that may be personal.
            Err(problem) => {
                let hint = format!("{problem} {} {}", problem.as_str(), problem.hint_zh());
                assert!(
                    text.chars().count() < 12 || !hint.contains(text.as_ref()),
                    "the hint repeats the text"
                );
            }
        }
    }
    if let (Ok((begin, _)), Ok((end, _))) = (parse(&text, Edge::Begin), parse(&text, Edge::End)) {
        assert!(begin <= end, "a window of one text ends before it begins");
    }
}

/// A second opinion on the calendar.
fn is_real(canonical: &str) -> bool {
    let parts: Vec<u16> = canonical
        .split(['-', ' ', ':'])
        .filter_map(|part| part.parse().ok())
        .collect();
    let [year, month, day, hour, minute, second] = parts[..] else {
        return false;
    };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let day_is_real = days
        .get(usize::from(month).wrapping_sub(1))
        .is_some_and(|last| (1..=*last).contains(&day));
    year >= 1 && day_is_real && hour < 24 && minute < 60 && second < 60
}
