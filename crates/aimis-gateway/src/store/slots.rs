//! The breakers of a cluster: one for each slot that a call failed in. A tenant's keys are all in one slot, and a slot is on
//! one node, so what fails for the tenants of a node is not held against those of another.
//!
//! Closed, until so many calls in a row failed there; then open, but for one call every `store.retry_ms`, which finds out
//! whether the node, or another in its place, is there. The store as a whole is away only when no node answers the keeper.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;

/// The breakers of the slots in which something failed.
pub(super) struct Slots {
    most: u32,
    bad: Mutex<HashMap<u16, Slot>>,
    /// How many there are: as a rule none, which costs a call nothing.
    count: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    /// Calls that failed one behind the other.
    failures: u32,
    /// Nobody is asked before, where it is open.
    again_at: Option<Moment>,
}

impl Slots {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            bad: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Whether a call may be made; while it is open, one in each `pause`.
    pub(super) fn may(&self, slot: u16, now: Moment, pause: Duration) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut bad = self.lock();
        let Some(again_at) = bad.get_mut(&slot).and_then(|slot| slot.again_at.as_mut()) else {
            return true;
        };
        let may = *again_at <= now;
        if may {
            *again_at = now.after(pause);
        }
        may
    }

    /// A call was answered.
    pub(super) fn good(&self, slot: u16) {
        if self.count.load(Ordering::Acquire) > 0 {
            let mut bad = self.lock();
            bad.remove(&slot);
            self.count.store(bad.len(), Ordering::Release);
        }
    }

    /// A call failed.
    pub(super) fn bad(&self, slot: u16, now: Moment, pause: Duration) {
        let mut bad = self.lock();
        let of = bad.entry(slot).or_default();
        of.failures = of.failures.saturating_add(1);
        if of.failures >= self.most {
            of.again_at = Some(now.after(pause));
        }
        self.count.store(bad.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, Slot>> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of a key: CRC-16 (XMODEM) of what is between its first braces, or of all of it.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    let crc = hashed.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            let carry = crc & 0x8000 != 0;
            (crc << 1) ^ if carry { 0x1021 } else { 0 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_key_is_in_the_slot_that_the_specification_names() {
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!(
            slot_of("aimis:{first-hospital}:quota:tenant"),
            slot_of("first-hospital")
        );
        assert_eq!(slot_of("foo{}{bar}"), slot_of("foo{}{bar}"));
        assert_ne!(slot_of("foo{}{bar}"), slot_of("bar"));
    }

    #[test]
    fn what_fails_in_one_slot_is_not_held_against_another() {
        let (clock, pause) = (Clock::manual(0), Duration::from_secs(1));
        let slots = Slots::new(3);
        for _ in 0..2 {
            slots.bad(7, clock.moment(), pause);
            assert!(slots.may(7, clock.moment(), pause));
        }
        slots.bad(7, clock.moment(), pause);

        assert!(!slots.may(7, clock.moment(), pause));
        assert!(slots.may(8, clock.moment(), pause));

        clock.advance(pause);
        let asked = [(); 3].map(|()| slots.may(7, clock.moment(), pause));
        assert_eq!(asked, [true, false, false], "one finds out");
        slots.bad(7, clock.moment(), pause);
        assert!(!slots.may(7, clock.moment(), pause));
        clock.advance(pause);
        assert!(slots.may(7, clock.moment(), pause));
        slots.good(7);
        assert_eq!(slots.count.load(Ordering::Relaxed), 0);
        slots.bad(7, clock.moment(), pause);
        assert!(slots.may(7, clock.moment(), pause), "it begins anew");
    }
}
