//! Notices when far more answers hold nothing than before.
//!
//! A wrong encryption switch, a changed token or a wrong `hospitalId` fails nothing: the platform finds nobody, and
//! a doctor sees an empty list. The share of empty answers in a window is compared with the time before the window.
//! An episode is told once. It ends when the share has fallen half of the way back, so that a share that sways around
//! the threshold is not told again and again, nor one that stays high for days.
//!
//! Pure: time and totals come from outside. Memory is bounded, however long window and baseline are.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::Emptiness;

/// Parts of the window, and of the baseline: what is older than one of them leaves it by such a part at a time.
const WINDOW_PARTS: u32 = 30;
const BASELINE_PARTS: u32 = 48;

/// Answers, and how many of them were empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub answers: u64,
    /// The empty ones.
    pub empty: u64,
}

/// A share of empty answers that has jumped, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// In the window.
    pub share: u32,
    /// Before it.
    pub baseline: u32,
}

/// One tenant's share of empty answers over time.
pub struct EmptyShare {
    settings: Emptiness,
    window: VecDeque<Bucket>,
    baseline: VecDeque<Bucket>,
    total: Counts,
    /// The baseline, in percent, from which the share has jumped; `None` outside of an episode.
    jumped_from: Option<f64>,
}

/// What was counted in a part of the time.
struct Bucket {
    since: Moment,
    counts: Counts,
}

impl EmptyShare {
    /// Nothing was counted yet.
    pub fn new(settings: Emptiness) -> Self {
        Self {
            settings,
            window: VecDeque::new(),
            baseline: VecDeque::new(),
            total: Counts::default(),
            jumped_from: None,
        }
    }

    /// Takes what was counted until `now`, since the start of the process; tells a jump once.
    pub fn observe(&mut self, now: Moment, total: Counts) -> Option<Jump> {
        let fresh = total.since(self.total);
        self.total = total;
        let (window, baseline) = (self.settings.window, self.settings.baseline);
        add(&mut self.window, now, fresh, window / WINDOW_PARTS);
        while let Some(old) = take_older(&mut self.window, now, window) {
            add(&mut self.baseline, old.since, old.counts, baseline / BASELINE_PARTS);
        }
        let oldest = window + baseline;
        while take_older(&mut self.baseline, now, oldest).is_some() {}
        self.judge()
    }

    fn judge(&mut self) -> Option<Jump> {
        let least = self.settings.min_answers;
        let share = sum(&self.window).percent(least)?;
        let threshold = f64::from(self.settings.jump_points);
        if let Some(from) = self.jumped_from {
            if share < from + threshold / 2.0 {
                self.jumped_from = None;
            }
            return None;
        }
        let baseline = sum(&self.baseline).percent(least)?;
        if share < baseline + threshold {
            return None;
        }
        self.jumped_from = Some(baseline);
        Some(Jump {
            share: share.round() as u32,
            baseline: baseline.round() as u32,
        })
    }
}

impl Counts {
    fn since(self, earlier: Self) -> Self {
        Self {
            answers: self.answers.saturating_sub(earlier.answers),
            empty: self.empty.saturating_sub(earlier.empty),
        }
    }

    fn add(&mut self, more: Self) {
        self.answers += more.answers;
        self.empty += more.empty;
    }

    /// The share of the empty ones, from 0 to 100; `None` of fewer answers than `least`.
    fn percent(self, least: u64) -> Option<f64> {
        (self.answers >= least.max(1)).then(|| 100.0 * self.empty as f64 / self.answers as f64)
    }
}

/// Adds to the last bucket, unless that is older than `width`. Nothing makes no bucket.
fn add(buckets: &mut VecDeque<Bucket>, at: Moment, counts: Counts, width: Duration) {
    if counts == Counts::default() {
        return;
    }
    match buckets.back_mut() {
        Some(last) if at.since(last.since) < width => last.counts.add(counts),
        _ => buckets.push_back(Bucket { since: at, counts }),
    }
}

/// The oldest bucket, if it is of `age` by now.
fn take_older(buckets: &mut VecDeque<Bucket>, now: Moment, age: Duration) -> Option<Bucket> {
    let old = buckets.front().is_some_and(|bucket| now.since(bucket.since) >= age);
    if old { buckets.pop_front() } else { None }
}

fn sum(buckets: &VecDeque<Bucket>) -> Counts {
    let mut sum = Counts::default();
    buckets.iter().for_each(|bucket| sum.add(bucket.counts));
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A tenant whose answers a test makes up, minute by minute.
    struct Tenant {
        clock: Clock,
        total: Counts,
        share: EmptyShare,
    }

    impl Tenant {
        fn new() -> Self {
            Self {
                clock: Clock::manual(0),
                total: Counts::default(),
                share: EmptyShare::new(Emptiness {
                    window: 30 * MINUTE,
                    baseline: 24 * 60 * MINUTE,
                    min_answers: 20,
                    jump_points: 30,
                }),
            }
        }

        /// Every minute `answers`, `empty` of them empty; what was told in that time.
        fn pass(&mut self, minutes: u32, answers: u64, empty: u64) -> Vec<Jump> {
            let mut told = Vec::new();
            for _ in 0..minutes {
                self.clock.advance(MINUTE);
                self.total.add(Counts { answers, empty });
                told.extend(self.share.observe(self.clock.moment(), self.total));
            }
            told
        }
    }

    #[test]
    fn a_jump_is_told_once_and_again_after_it_fell_back() {
        let mut tenant = Tenant::new();
        assert_eq!(tenant.pass(120, 10, 1), []);

        let told = tenant.pass(30, 10, 10);
        assert_eq!(
            told,
            [Jump {
                share: 40,
                baseline: 10
            }],
            "as soon as a third of the window is empty"
        );
        assert_eq!(tenant.pass(60, 10, 10), [], "it goes on");
        assert_eq!(tenant.pass(60, 10, 1), [], "it falls back");
        assert_eq!(tenant.pass(30, 10, 10).len(), 1);
    }

    #[test]
    fn a_share_that_sways_around_the_threshold_is_told_once() {
        let mut tenant = Tenant::new();
        tenant.pass(120, 10, 1);
        let mut told = tenant.pass(30, 10, 4);
        for _ in 0..10 {
            told.extend(tenant.pass(20, 10, 3));
            told.extend(tenant.pass(20, 10, 5));
        }
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn too_few_answers_tell_nothing() {
        let mut few_before = Tenant::new();
        assert_eq!(few_before.pass(19, 1, 0), []);
        assert_eq!(few_before.pass(31, 0, 0), []);
        assert_eq!(few_before.pass(30, 10, 10), []);

        let mut few_now = Tenant::new();
        few_now.pass(60, 10, 0);
        few_now.pass(31, 0, 0);
        assert_eq!(few_now.pass(19, 1, 1), []);
        assert_eq!(
            few_now.pass(1, 1, 1),
            [Jump {
                share: 100,
                baseline: 0
            }]
        );
    }

    #[test]
    fn a_tenant_that_always_finds_little_is_told_of_nothing() {
        let mut tenant = Tenant::new();
        assert_eq!(tenant.pass(600, 10, 9), []);
        assert_eq!(tenant.pass(60, 10, 10), []);
    }

    #[test]
    fn what_is_older_than_the_baseline_is_forgotten() {
        let mut tenant = Tenant::new();
        tenant.pass(60, 10, 0);
        tenant.pass(25 * 60, 0, 0);
        assert_eq!(tenant.pass(60, 10, 10), [], "there is nothing left to compare with");
    }

    #[test]
    fn a_pause_takes_the_window_into_the_baseline() {
        let mut tenant = Tenant::new();
        tenant.pass(3, 10, 0);
        tenant.clock.advance(60 * MINUTE);
        assert_eq!(
            tenant.pass(2, 10, 10),
            [Jump {
                share: 100,
                baseline: 0
            }]
        );
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_shares_are_shares(steps in proptest::collection::vec((0..4000_u64, 0..50_u64, 0..50_u64), 1..400)) {
            let mut tenant = Tenant::new();
            for (seconds, answers, empty) in steps {
                tenant.clock.advance(Duration::from_secs(seconds));
                tenant.total.add(Counts { answers: answers + empty, empty });
                if let Some(jump) = tenant.share.observe(tenant.clock.moment(), tenant.total) {
                    prop_assert!(jump.share <= 100 && jump.baseline + 29 < jump.share, "{:?}", jump);
                }
                prop_assert!(tenant.share.window.len() <= 31);
                prop_assert!(tenant.share.baseline.len() <= 50);
            }
        }
    }
}
