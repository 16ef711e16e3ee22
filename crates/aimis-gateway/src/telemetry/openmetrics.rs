//! The OpenMetrics text format, which can carry exemplars: made from the Prometheus text format, which cannot.
//!
//! The two differ little: the family of a counter is called without `_total`, and the end is marked. An exemplar
//! stands behind the bucket it fell into, so that whoever sees slow requests finds the log line of one.

use std::collections::HashMap;
use std::fmt::Write as _;

use http::HeaderValue;

/// Media type of the format.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a scrape that sends this `Accept` takes the format. Prometheus names it first; who names nothing, a browser
/// or curl, gets the older one.
pub fn is_wanted(accept: Option<&HeaderValue>) -> bool {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
        // Version 0.0.1, which Prometheus would take as well, has no one else who asks for it.
        named && parts.all(|part| !matches!(part, "version=0.0.1" | "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// What `text`, in the Prometheus text format, is in this one. Exemplars are found by the series they belong to.
pub fn from_text(text: &str, exemplars: &HashMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len() + exemplars.len() * 128 + 8);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(about) = line.strip_prefix("# HELP ") {
            // The type follows, and tells whether it is a counter that the help is of.
            let counter = lines.peek().is_some_and(|next| next.ends_with(" counter"));
            describe(&mut out, "HELP", about, counter);
        } else if let Some(about) = line.strip_prefix("# TYPE ") {
            describe(&mut out, "TYPE", about, about.ends_with(" counter"));
        } else {
            out.push_str(line);
            let exemplar = line.rsplit_once(' ').and_then(|(series, _)| exemplars.get(series));
            if let Some(exemplar) = exemplar {
                let _ = write!(out, " # {exemplar}");
            }
            out.push('\n');
        }
    }
    out.push_str("# EOF\n");
    out
}

fn describe(out: &mut String, what: &str, about: &str, counter: bool) {
    let (name, rest) = about.split_once(' ').unwrap_or((about, ""));
    let name = if counter {
        name.strip_suffix("_total").unwrap_or(name)
    } else {
        name
    };
    let _ = writeln!(out, "# {what} {name} {rest}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_lose_their_suffix_buckets_get_their_exemplar_and_the_end_is_marked() {
        let text = "# HELP a_total Help of a.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n\
                    # HELP b Help of b_total.\n# TYPE b histogram\nb_bucket{le=\"1\"} 2\nb_bucket{le=\"+Inf\"} 2\nb_sum 1\n\
                    b_count 2\n";
        let exemplars = HashMap::from([("b_bucket{le=\"1\"}".to_owned(), "{request_id=\"r\"} 0.5".to_owned())]);
        assert_eq!(
            from_text(text, &exemplars),
            "# HELP a Help of a.\n# TYPE a counter\na_total{x=\"1\"} 5\n\
             # HELP b Help of b_total.\n# TYPE b histogram\nb_bucket{le=\"1\"} 2 # {request_id=\"r\"} 0.5\n\
             b_bucket{le=\"+Inf\"} 2\nb_sum 1\nb_count 2\n# EOF\n"
        );
    }

    #[test]
    fn it_is_sent_to_who_asks_for_it() {
        let wanted = |accept: &str| is_wanted(Some(&HeaderValue::from_str(accept).unwrap()));
        assert!(wanted(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain"
        ));
        assert!(wanted(
            "text/plain, application/openmetrics-text; version=1.0.0; charset=utf-8"
        ));
        assert!(wanted("application/openmetrics-text"));
        for other in [
            "",
            "*/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=0.0.1;q=0.75,text/plain",
            "application/openmetrics-text;q=0",
        ] {
            assert!(!wanted(other), "{other}");
        }
        assert!(!is_wanted(None));
    }
}
