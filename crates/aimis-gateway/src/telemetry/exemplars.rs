//! One request for each bucket of the durations: the last that fell into it.
//!
//! A request leaves its id, or that of its trace where its spans are exported, where no other is just leaving one, and waits for nobody. There are as many places as there
//! are buckets, so the memory is bounded and never grows. An id is no label: it makes no series.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::traces::TraceId;
use crate::edge::request_id::RequestId;

/// The exemplars of a family of histograms with the same bounds.
pub(super) struct Exemplars {
    bounds: &'static [f64],
    /// For each histogram, a place for each bound, and one for what lies beyond the last.
    places: Vec<Mutex<Option<Exemplar>>>,
}

#[derive(Clone, Copy)]
struct Exemplar {
    named: Named,
    value: f64,
}

/// What a request is found by.
#[derive(Clone, Copy)]
pub enum Named {
    /// In the log.
    Request(RequestId),
    /// Where traces are kept.
    Trace(TraceId),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(id) => write!(f, "request_id=\"{}\"", id.as_str()),
            Self::Trace(id) => write!(f, "trace_id=\"{}\"", String::from_utf8_lossy(&id.text())),
        }
    }
}

impl Exemplars {
    /// None yet, for so many histograms.
    pub(super) fn new(histograms: usize, bounds: &'static [f64]) -> Self {
        let places = histograms * (bounds.len() + 1);
        Self {
            bounds,
            places: (0..places).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Notes that a request was counted with `value` in a histogram.
    pub(super) fn note(&self, histogram: usize, value: f64, named: Named) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let place = &self.places[histogram * (self.bounds.len() + 1) + bucket];
        if let Ok(mut place) = place.try_lock() {
            *place = Some(Exemplar { named, value });
        }
    }

    /// By the series that each belongs to. `series` makes that of a histogram's bucket.
    pub(super) fn by_series(&self, series: impl Fn(usize, &str) -> String) -> HashMap<String, String> {
        let mut all = HashMap::new();
        for (at, place) in self.places.iter().enumerate() {
            let (histogram, bucket) = (at / (self.bounds.len() + 1), at % (self.bounds.len() + 1));
            let held = *place.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(Exemplar { named, value }) = held else {
                continue;
            };
            let bound = self.bounds.get(bucket).map_or("+Inf".to_owned(), f64::to_string);
            let exemplar = format!("{{{named}}} {value}");
            all.insert(series(histogram, &bound), exemplar);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_request_of_each_bucket_is_kept() {
        let exemplars = Exemplars::new(2, &[0.5, 1.0]);
        let id = |text: &'static str| Named::Request(RequestId::from_caller(&HeaderValue::from_static(text)).unwrap());
        exemplars.note(0, 0.5, id("on-the-edge"));
        exemplars.note(1, 0.6, id("first"));
        exemplars.note(1, 0.7, id("second"));
        exemplars.note(1, 9.0, Named::Trace(TraceId::new([0x1f; 16]).unwrap()));

        let all = exemplars.by_series(|histogram, bound| format!("{histogram}/{bound}"));
        let expected = [
            ("0/0.5", "{request_id=\"on-the-edge\"} 0.5"),
            ("1/1", "{request_id=\"second\"} 0.7"),
            ("1/+Inf", "{trace_id=\"1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\"} 9"),
        ];
        assert_eq!(
            all,
            expected
                .map(|(series, text)| (series.to_owned(), text.to_owned()))
                .into()
        );
    }
}
