//! Which traces are exported: decided once, where a trace enters the gateway, and kept to its end.

use super::context::{Parent, TraceId};
use crate::config;

/// Decides.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// Traces of a caller are exported as the caller says.
    by_parent: bool,
    /// Of `random_bits` those below are not exported.
    threshold: u64,
}

/// One more than there are values of the random part.
const ALL: u64 = 1 << 56;

impl Sampler {
    /// As `[traces]` has it.
    pub fn of(settings: &config::Traces) -> Self {
        use config::Sampler as S;
        let thousandths = match settings.sampler {
            S::AlwaysOn | S::ParentAlwaysOn => 1_000,
            S::AlwaysOff | S::ParentAlwaysOff => 0,
            S::TraceIdRatio | S::ParentTraceIdRatio => settings.ratio.thousandths(),
        };
        let by_parent = matches!(
            settings.sampler,
            S::ParentAlwaysOn | S::ParentAlwaysOff | S::ParentTraceIdRatio
        );
        Self::new(by_parent, thousandths)
    }

    fn new(by_parent: bool, thousandths: u64) -> Self {
        Self {
            by_parent,
            threshold: ALL - ALL / 1_000 * thousandths - if thousandths == 1_000 { ALL % 1_000 } else { 0 },
        }
    }

    /// Whether the spans of a caller's trace are exported.
    pub fn of_caller(self, parent: Parent) -> bool {
        if self.by_parent {
            parent.sampled
        } else {
            self.of_root(parent.trace)
        }
    }

    /// Whether those of a trace are that begins here. The same trace gets the same answer in every process, and in every
    /// other program that decides by these bits (OpenTelemetry, consistent probability sampling).
    pub fn of_root(self, trace: TraceId) -> bool {
        trace.random_bits() >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::context::SpanId;
    use super::*;

    fn trace(random: u64) -> TraceId {
        let mut bytes = [0xab; 16];
        bytes[8..].copy_from_slice(&random.to_be_bytes());
        TraceId::new(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn of_evenly_spread_ids_the_share_is_exported(thousandths in 0_u64..=1_000, by_parent: bool) {
            let sampler = Sampler::new(by_parent, thousandths);
            let ids = 10_000;
            let taken = (0..ids).filter(|n| sampler.of_root(trace(ALL / ids * n + ALL / ids / 2))).count() as u64;
            prop_assert!(taken.abs_diff(thousandths * ids / 1_000) <= 1, "{taken}");
        }

        #[test]
        fn a_larger_share_takes_all_that_a_smaller_one_takes(random: u64, a in 0_u64..=1_000, b in 0_u64..=1_000) {
            let (less, more) = (Sampler::new(false, a.min(b)), Sampler::new(false, a.max(b)));
            prop_assert!(!less.of_root(trace(random)) || more.of_root(trace(random)));
        }

        #[test]
        fn all_and_none_have_no_exception(random: u64) {
            prop_assert!(Sampler::new(false, 1_000).of_root(trace(random)));
            prop_assert!(!Sampler::new(false, 0).of_root(trace(random)));
        }

        #[test]
        fn the_callers_word_counts_where_it_is_asked_for(random: u64, sampled: bool, thousandths in 0_u64..=1_000) {
            let parent = Parent { trace: trace(random), span: SpanId::new([1; 8]).unwrap(), sampled };
            prop_assert_eq!(Sampler::new(true, thousandths).of_caller(parent), sampled);
            let own = Sampler::new(false, thousandths);
            prop_assert_eq!(own.of_caller(parent), own.of_root(parent.trace));
        }
    }
}
