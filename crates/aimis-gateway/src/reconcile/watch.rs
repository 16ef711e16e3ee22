//! What lists showed of a patient's studies so far, and when that makes a callback a missed one. Pure.
//!
//! A callback would have come when something was added to a study: so it is missed when a list shows more than it
//! did, or shows anything of a study that was made while callbacks were looked after. What was there before is history.
//! That it was not told of, is for the inbox to say.

use std::collections::HashMap;
use std::time::Duration;

use crate::callback::event::Tag;
use crate::clock::Moment;

/// Studies of one patient and type that are remembered.
const MOST_STUDIES: usize = 256;

/// What lists of one patient and type showed.
#[derive(Default)]
pub(super) struct Studies(HashMap<Tag, Shown>);

/// What lists showed of one study.
struct Shown {
    has: u8,
    since: Moment,
    /// What is told of, or was there before; `None`: nothing.
    told: Option<u8>,
}

/// What a list shows of a study.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    /// The study and its report.
    pub(super) study: Tag,
    /// The study when it had none.
    pub(super) before_report: Tag,
    /// Bit 0 a report, bit 1 images.
    pub(super) has: u8,
    /// It was made when callbacks were looked after already.
    pub(super) is_recent: bool,
}

impl Studies {
    /// Notes what a list shows at `now`, and tells whether the inbox is to be asked: it shows something for `grace` that
    /// is not known to be told of.
    pub(super) fn see(&mut self, sight: Sight, now: Moment, grace: Duration) -> bool {
        let Sight { study, has, .. } = sight;
        if !self.0.contains_key(&study) {
            let known = self.0.remove(&sight.before_report);
            if known.is_none() && self.0.len() >= MOST_STUDIES {
                return false;
            }
            let first = Shown {
                has,
                since: now,
                told: (!sight.is_recent).then_some(has),
            };
            self.0.insert(study, known.unwrap_or(first));
        }
        let Some(shown) = self.0.get_mut(&study) else {
            return false;
        };
        if shown.has != has {
            (shown.has, shown.since) = (has, now);
        }
        let is_news = shown.told.is_none_or(|told| has & !told != 0);
        is_news && now.since(shown.since) >= grace
    }

    /// What the list shows of a study is told of.
    pub(super) fn told(&mut self, sight: Sight) {
        if let Some(shown) = self.0.get_mut(&sight.study) {
            shown.told = Some(shown.told.unwrap_or(0) | sight.has);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const GRACE: Duration = Duration::from_secs(600);

    fn sight(report: u8, has: u8, is_recent: bool) -> Sight {
        Sight {
            study: Tag::from_bytes([report; 16]),
            before_report: Tag::from_bytes([0; 16]),
            has,
            is_recent,
        }
    }

    #[test]
    fn a_recent_study_is_news_once_it_was_there_for_the_grace() {
        let clock = Clock::manual(0);
        let mut studies = Studies::default();
        let mut see = |has| studies.see(sight(1, has, true), clock.moment(), GRACE);
        assert!(!see(1));
        clock.advance(GRACE - Duration::from_secs(1));
        assert!(!see(1));
        clock.advance(Duration::from_secs(1));
        assert!(see(1) && see(1), "until it is told of");
        assert!(!see(3), "more of it has its own grace");
        clock.advance(GRACE);
        assert!(see(3));
        studies.told(sight(1, 3, true));
        assert!(!studies.see(sight(1, 3, true), clock.moment(), GRACE));
        assert!(!studies.see(sight(1, 1, true), clock.moment().after(GRACE), GRACE));
    }

    #[test]
    fn history_is_no_news_and_what_is_added_to_it_is() {
        let clock = Clock::manual(0);
        let mut studies = Studies::default();
        for has in [0, 1] {
            let mut studies = Studies::default();
            assert!(!studies.see(sight(1, has, false), clock.moment(), Duration::ZERO));
            assert!(studies.see(sight(1, 3, false), clock.moment(), Duration::ZERO), "{has}");
        }
        // The report gives the study another name.
        assert!(!studies.see(sight(0, 0, false), clock.moment(), Duration::ZERO));
        assert!(studies.see(sight(1, 1, false), clock.moment(), Duration::ZERO));
    }

    #[test]
    fn memory_is_bounded() {
        let clock = Clock::manual(0);
        let mut studies = Studies::default();
        for n in 0..2 * MOST_STUDIES {
            let mut tag = [1; 16];
            tag[..8].copy_from_slice(&(n as u64).to_be_bytes());
            let sight = Sight {
                study: Tag::from_bytes(tag),
                ..sight(0, 1, true)
            };
            studies.see(sight, clock.moment(), GRACE);
        }
        assert_eq!(studies.0.len(), MOST_STUDIES);
    }
}
