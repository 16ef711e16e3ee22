//! The moments for which the gateway itself signed: a callback signed for one of them is our own request, sent back.
//!
//! Our headers to the platform have the very form of a callback's, so whoever sees one request, in a proxy's log
//! for instance, could sign callbacks with it for as long as its time is accepted. Each attempt therefore leaves its
//! millisecond here, in a ring of bits: an attempt costs one atomic operation and no lock, whichever worker makes
//! it. The memory is bounded: 8 bytes for each 32 ms of the window, doubled, from a tenant's first request on. Of
//! thousands of hospitals most are quiet.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aimis_core::sign::Timestamp;

/// Milliseconds of one cell; its bits.
const SPAN: u64 = 32;

/// The moments that one tenant's requests were signed for.
pub struct Sent {
    /// Each cell: the turn of the ring in the upper half, a bit for each of its milliseconds in the lower. The
    /// first turn is 1, so that an empty cell is that of no turn.
    cells: OnceLock<Box<[AtomicU64]>>,
    /// How many there are once there are any.
    count: usize,
}

impl Sent {
    /// Keeps moments for twice `window_ms` at least: a clock that is corrected meanwhile signs some out of order.
    pub fn new(window_ms: u64) -> Self {
        let count = (window_ms.max(1) * 2).div_ceil(SPAN).next_power_of_two();
        Self {
            cells: OnceLock::new(),
            count: usize::try_from(count).expect("windows are minutes, bounded by the configuration"),
        }
    }

    /// Notes that a request was signed for `at`.
    pub fn remember(&self, at: Timestamp) {
        let cells = self
            .cells
            .get_or_init(|| (0..self.count).map(|_| AtomicU64::new(0)).collect());
        let (cell, turn, bit) = place(cells, at);
        // Relaxed: a moment is noted before its request leaves, and comes back through the network.
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            match (held >> 32).cmp(&turn) {
                std::cmp::Ordering::Equal => Some(held | bit),
                std::cmp::Ordering::Less => Some(turn << 32 | bit),
                // A moment of a turn that is long over: outside of any window.
                std::cmp::Ordering::Greater => None,
            }
        });
    }

    /// Whether a request was signed for `at`, as far back as the ring goes.
    pub fn contains(&self, at: Timestamp) -> bool {
        let Some(cells) = self.cells.get() else { return false };
        let (cell, turn, bit) = place(cells, at);
        let held = cell.load(Ordering::Relaxed);
        held >> 32 == turn && held & bit != 0
    }
}

fn place(cells: &[AtomicU64], at: Timestamp) -> (&AtomicU64, u64, u64) {
    let number = at.as_millis() / SPAN;
    let count = cells.len() as u64;
    let index = usize::try_from(number % count).expect("below the length of a slice");
    let turn = (number / count + 1) & u64::from(u32::MAX);
    (&cells[index], turn, 1 << (at.as_millis() % SPAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const WINDOW: u64 = 360_000;

    #[test]
    fn the_memory_is_that_of_the_window() {
        let cells = |window| {
            let sent = Sent::new(window);
            assert!(sent.cells.get().is_none(), "a tenant that never asked costs nothing");
            sent.remember(Timestamp::from_millis(1_735_689_600_000));
            sent.cells.get().map(|cells| cells.len())
        };
        assert_eq!((cells(WINDOW), cells(0)), (Some(32_768), Some(1)));
    }

    #[test]
    fn what_was_sent_is_known_until_the_window_is_over_and_forgotten_at_last() {
        let sent = Sent::new(WINDOW);
        let start = 1_735_689_600_000;
        sent.remember(Timestamp::from_millis(start));
        for later in (0..=2 * WINDOW).step_by(31) {
            sent.remember(Timestamp::from_millis(start + later));
        }
        assert!(sent.contains(Timestamp::from_millis(start)));

        for later in (0..=8 * WINDOW).step_by(31) {
            sent.remember(Timestamp::from_millis(start + later));
        }
        assert!(!sent.contains(Timestamp::from_millis(start)));
    }

    proptest! {
        #[test]
        fn within_the_window_it_is_a_set(
            start in 1_735_689_600_000_u64..1_735_699_600_000,
            steps in prop::collection::vec(0..2_000_u64, 0..200),
            asked in prop::collection::vec(0..WINDOW, 0..200),
        ) {
            let (sent, mut model, mut at) = (Sent::new(WINDOW), BTreeSet::new(), start);
            for step in steps {
                at += step;
                sent.remember(Timestamp::from_millis(at));
                model.insert(at);
            }
            let asked = asked.into_iter().map(|back| at.saturating_sub(back)).chain(model.clone());
            for at in asked.filter(|asked| at - asked <= WINDOW) {
                prop_assert_eq!(sent.contains(Timestamp::from_millis(at)), model.contains(&at));
            }
        }
    }
}
