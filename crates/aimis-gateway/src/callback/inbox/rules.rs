//! What every store decides alike, without a store: how an arrival is taken, and what the end of a lease makes of an
//! event.

use std::time::Duration;

use aimis_core::sign::Timestamp;

use super::{Kind, Outcome, Reason, State};
use crate::callback::event::{QuarantineReason, Signed, Verified};

/// When a shared signature is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// So long after the first body, or after the signed time, a further body is late.
    pub late: Duration,
    /// So many different bodies are ordinary.
    pub bodies: u32,
}

/// What a store knows about an arrival before it takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The state of the event with the same identity and body.
    pub(super) same: Option<State>,
    /// Whether the HIS was, or will be, told of another body under that identity after it.
    pub(super) superseded: bool,
    /// Whether this very body came under this very signature before.
    pub(super) repeated: bool,
    /// Whether a list told of it before, and no callback has been taken for that event's yet.
    pub(super) listed: bool,
    /// Whether an event of the same identity with another body was taken that was not quarantined.
    pub(super) other_body: bool,
    /// Other bodies that came under the same signature.
    pub(super) sharers: u32,
    /// When the first of them came.
    pub(super) first_at: Option<Timestamp>,
}

/// How an arrival is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) kind: Kind,
    pub(super) verified: Verified,
    /// The same event is in quarantine, and nothing speaks against this arrival of it: it goes through after all.
    pub(super) releases: bool,
}

/// Judges an arrival.
pub(super) fn judge(
    signed: Option<Signed>,
    quarantine: Option<QuarantineReason>,
    received_at: Timestamp,
    known: Known,
    sharing: Sharing,
) -> Judgement {
    let verified = match signed {
        None => Verified::Unsigned,
        Some(_) if known.sharers == 0 => Verified::Signed,
        Some(_) => Verified::Shared,
    };
    let after = |start: Timestamp| received_at.as_millis().saturating_sub(start.as_millis());
    let late = |start: Timestamp| u128::from(after(start)) > sharing.late.as_millis();
    let shared = signed.filter(|_| known.sharers > 0).and_then(|signed| {
        if known.sharers >= sharing.bodies {
            Some(QuarantineReason::SharedOften)
        } else {
            (late(signed.signed_at) || known.first_at.is_some_and(late)).then_some(QuarantineReason::SharedLate)
        }
    });
    let against = quarantine.or(shared);
    let kind = match (known.same, against) {
        (Some(State::Quarantined), None) => Kind::Accepted,
        (Some(State::Quarantined), Some(_)) => Kind::Duplicate,
        // What was said before holds again: the HIS is told once more, or it would stay with what came between. The
        // very same request sent again says nothing new.
        (Some(_), None) if known.superseded && !known.repeated => Kind::Updated,
        (Some(_), Some(reason)) if known.superseded && !known.repeated => Kind::Quarantined(reason),
        (Some(_), _) => Kind::Duplicate,
        (None, Some(reason)) => Kind::Quarantined(reason),
        (None, None) if known.listed => Kind::Duplicate,
        (None, None) if known.other_body => Kind::Updated,
        (None, None) => Kind::Accepted,
    };
    Judgement {
        kind,
        verified,
        releases: known.same == Some(State::Quarantined) && against.is_none(),
    }
}

/// Judges what a study list tells of a study that `has` these things (bit 0 a report, bit 1 images), where callbacks
/// came of the statuses `told`.
pub(super) fn judge_listed(quarantine: Option<QuarantineReason>, has: u8, told: &[u8], same: Option<State>) -> Kind {
    let known = told.iter().fold(0, |known, status| known | status);
    if same.is_some() || (!told.is_empty() && has & !known == 0) {
        return Kind::Duplicate;
    }
    quarantine.map_or(Kind::Accepted, Kind::Quarantined)
}

/// What the end of a lease makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) state: State,
    /// Only where it is still to be delivered.
    pub(super) due_at: Option<Timestamp>,
    pub(super) attempts: u32,
    /// `None`: as it was.
    pub(super) reason: Option<Reason>,
    pub(super) parks: bool,
}

/// No pause between deliveries is longer: a wrong clock, or a wrong `Retry-After`, does not put an event off for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(48 * 3600);

/// The end of the lease of an event that has been tried `attempts` times.
pub(super) fn settle(outcome: Outcome, attempts: u32, now: Timestamp) -> Settled {
    let ended = |state, reason| Settled {
        state,
        due_at: None,
        attempts,
        reason,
        parks: false,
    };
    // As if it had not been leased.
    let returned = |reason: Option<Reason>| {
        let attempts = attempts.saturating_sub(1);
        Settled {
            state: if attempts == 0 { State::Ready } else { State::Retrying },
            due_at: Some(now),
            attempts,
            parks: reason.is_some(),
            reason,
        }
    };
    match outcome {
        Outcome::Delivered => ended(State::Delivered, None),
        Outcome::Dead { reason } => ended(State::Dead, Some(reason)),
        Outcome::Retry { after, reason } => Settled {
            state: State::Retrying,
            due_at: Some(later(now, after.min(LONGEST_PAUSE))),
            attempts,
            reason: Some(reason),
            parks: false,
        },
        Outcome::Parked { reason } => returned(Some(reason)),
        Outcome::Unused => returned(None),
    }
}

/// The moment `wait` after `start`.
pub(super) fn later(start: Timestamp, wait: Duration) -> Timestamp {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(start.as_millis().saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::event::Tag;

    const SHARING: Sharing = Sharing {
        late: Duration::from_secs(60),
        bodies: 16,
    };
    const T: u64 = 1_735_689_600_000;

    fn judged(received: u64, sharers: u32, first_at: Option<u64>) -> (Kind, Verified) {
        let signed = Signed {
            triple: Tag::from_bytes([0; 16]),
            signed_at: Timestamp::from_millis(T),
            valid_until: Timestamp::from_millis(T + 300_000),
        };
        let known = Known {
            sharers,
            first_at: first_at.map(Timestamp::from_millis),
            ..Known::default()
        };
        let judgement = judge(Some(signed), None, Timestamp::from_millis(received), known, SHARING);
        (judgement.kind, judgement.verified)
    }

    #[test]
    fn a_signature_is_shared_within_its_millisecond_only() {
        use QuarantineReason::{SharedLate, SharedOften};
        let quarantined = |reason| (Kind::Quarantined(reason), Verified::Shared);
        let ordinary = (Kind::Accepted, Verified::Shared);

        assert_eq!(
            judged(T + 290_000, 0, None),
            (Kind::Accepted, Verified::Signed),
            "late, and alone"
        );
        assert_eq!(judged(T + 60_000, 1, Some(T)), ordinary);
        assert_eq!(
            judged(T + 60_001, 1, Some(T + 60_000)),
            quarantined(SharedLate),
            "after the signed time"
        );
        assert_eq!(judged(T, 1, Some(T - 60_000)), ordinary);
        assert_eq!(
            judged(T, 1, Some(T - 60_001)),
            quarantined(SharedLate),
            "after the first body"
        );
        assert_eq!(judged(T, 15, Some(T)), ordinary, "the sixteenth");
        assert_eq!(judged(T, 16, Some(T)), quarantined(SharedOften), "the seventeenth");
    }

    #[test]
    fn an_arrival_with_nothing_against_it_frees_the_same_one_from_quarantine() {
        let arrive = |same, quarantine| {
            let known = Known {
                same: Some(same),
                ..Known::default()
            };
            let judgement = judge(None, quarantine, Timestamp::from_millis(T), known, SHARING);
            (judgement.kind, judgement.releases)
        };

        assert_eq!(arrive(State::Quarantined, None), (Kind::Accepted, true));
        assert_eq!(
            arrive(State::Quarantined, Some(QuarantineReason::LinkHost)),
            (Kind::Duplicate, false)
        );
        assert_eq!(arrive(State::Delivered, None), (Kind::Duplicate, false));
        assert_eq!(arrive(State::Dead, None), (Kind::Duplicate, false));
    }

    #[test]
    fn what_was_said_before_holds_again_unless_it_is_the_same_request() {
        let arrive = |superseded, repeated, quarantine| {
            let known = Known {
                same: Some(State::Delivered),
                other_body: superseded,
                superseded,
                repeated,
                ..Known::default()
            };
            judge(None, quarantine, Timestamp::from_millis(T), known, SHARING).kind
        };
        let reason = QuarantineReason::LinkHost;

        assert_eq!(arrive(false, false, None), Kind::Duplicate);
        assert_eq!(arrive(true, false, None), Kind::Updated);
        assert_eq!(arrive(true, true, None), Kind::Duplicate, "the platform asks again");
        assert_eq!(arrive(true, false, Some(reason)), Kind::Quarantined(reason));
        assert_eq!(arrive(true, true, Some(reason)), Kind::Duplicate);
    }

    #[test]
    fn a_list_tells_of_what_no_callback_told() {
        let listed = |has, told: &[u8]| judge_listed(None, has, told, None);
        for (has, told) in [(0, &[][..]), (1, &[0]), (2, &[0, 1]), (3, &[1]), (3, &[0, 2])] {
            assert_eq!(listed(has, told), Kind::Accepted, "{has} {told:?}");
        }
        for (has, told) in [
            (0, &[0][..]),
            (0, &[3]),
            (1, &[1]),
            (1, &[3]),
            (3, &[1, 2]),
            (3, &[3, 1]),
        ] {
            assert_eq!(listed(has, told), Kind::Duplicate, "{has} {told:?}");
        }
        let reason = QuarantineReason::LinkHost;
        assert_eq!(judge_listed(Some(reason), 1, &[], None), Kind::Quarantined(reason));
        assert_eq!(
            judge_listed(Some(reason), 1, &[], Some(State::Quarantined)),
            Kind::Duplicate
        );
    }

    #[test]
    fn no_pause_is_for_ever_and_an_unused_lease_is_no_attempt() {
        let now = Timestamp::from_millis(T);
        let reason = Reason::word("timeout");

        let retry = Outcome::Retry {
            after: Duration::MAX,
            reason,
        };

        assert_eq!(
            settle(retry, 3, now).due_at,
            Some(Timestamp::from_millis(T + 48 * 3_600_000))
        );
        let unused = settle(Outcome::Unused, 1, now);
        assert_eq!((unused.state, unused.attempts, unused.parks), (State::Ready, 0, false));
        let parked = settle(
            Outcome::Parked {
                reason: Reason::status(410),
            },
            2,
            now,
        );
        assert_eq!(
            (parked.state, parked.attempts, parked.parks),
            (State::Retrying, 1, true)
        );
    }
}
