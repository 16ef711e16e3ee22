//! The nearest known name to a mistyped one.

/// The candidate that was most likely meant, if any is near enough.
///
/// Near is: at most a third of the shorter name's letters differ (but one may always), or the typed name is the beginning
/// of the known one, as `deadline` of `deadline_ms`.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normal(typed);
    if typed.len() > 100 {
        return None; // no key is that long, and the distance costs length times length
    }
    known
        .into_iter()
        .filter_map(|candidate| {
            let name = normal(candidate);
            let begins = typed.len() >= 3 && name.starts_with(&typed);
            let distance = if begins { 1 } else { distance(&typed, &name) };
            let bearable = (typed.chars().count().min(name.chars().count()) / 3).max(1);
            (distance <= bearable).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normal(name: &str) -> String {
    name.replace(['-', ' '], "_").to_lowercase()
}

/// Insertions, deletions, replacements and swaps of neighbours between two names (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["base_url", "connect_to", "deadline_ms", "max_body"];
        for (typed, expected) in [
            ("base_ur", Some("base_url")),
            ("bsae_url", Some("base_url")),
            ("base-url", Some("base_url")),
            ("BaseUrl", Some("base_url")),
            ("deadline", Some("deadline_ms")),
            ("maxbody", Some("max_body")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
    }
}
