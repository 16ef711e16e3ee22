//! The buffers that kept bodies lie in: wiped when a body goes, and then given to the next.
//!
//! A full cache lets an answer go for each that comes. Asked for memory of its own each time, the allocator would merge
//! what was freed, split it again and touch headers that nobody touched for minutes: that took longer than
//! the copy. A buffer that was just wiped is at hand. So bodies have buffers of few sizes, and those that are free wait
//! here, up to a bound.

use std::sync::{Arc, Mutex, PoisonError};

use aimis_core::wiped::wipe;
use bytes::Bytes;

/// Below this the allocator has lists of its own.
const SMALLEST: usize = 1 << 10;
/// From here on a buffer is so large that getting it costs nothing beside filling it.
const LARGEST: usize = 256 << 10;
/// Sizes between a power of two and the next: a body has at most a quarter of its size more than it needs.
const STEPS: usize = 4;
const SIZES: usize = (LARGEST.ilog2() - SMALLEST.ilog2()) as usize * STEPS;

/// Buffers that are free.
pub(super) struct Buffers {
    free: Mutex<Free>,
    most_bytes: usize,
}

struct Free {
    by_size: [Vec<Vec<u8>>; SIZES],
    bytes: usize,
}

/// A body in its buffer.
struct Body {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.home.take_back(wipe(std::mem::take(&mut self.bytes)));
    }
}

impl Buffers {
    /// None yet. Those that are free never take more than `most_bytes` together.
    pub(super) fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(Free {
                by_size: [const { Vec::new() }; SIZES],
                bytes: 0,
            }),
            most_bytes,
        })
    }

    /// A copy of `body`, wiped when the last reference to it goes.
    pub(super) fn keep(self: &Arc<Self>, body: &[u8]) -> Bytes {
        let mut bytes = self.give(body.len());
        bytes.extend_from_slice(body);
        Bytes::from_owner(Body {
            bytes,
            home: Arc::clone(self),
        })
    }

    fn give(&self, length: usize) -> Vec<u8> {
        let Some((at, room)) = size(length) else {
            return Vec::with_capacity(length);
        };
        let mut free = self.lock();
        if let Some(buffer) = free.by_size[at].pop() {
            free.bytes -= room;
            return buffer;
        }
        Vec::with_capacity(room)
    }

    fn take_back(&self, wiped: Vec<u8>) {
        let room = wiped.capacity();
        // The allocator may have given more than it was asked for; such a one goes back to it.
        let Some((at, _)) = size(room).filter(|(_, size)| *size == room) else {
            return;
        };
        let mut free = self.lock();
        if free.bytes + room <= self.most_bytes {
            free.bytes += room;
            free.by_size[at].push(wiped);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that the buffer of a body takes.
pub(super) fn room(length: usize) -> usize {
    size(length).map_or(length, |(_, room)| room)
}

/// Which of the sizes a body of `length` bytes needs, and how much that is; `None` where its buffer is one of its own.
fn size(length: usize) -> Option<(usize, usize)> {
    if !(SMALLEST..LARGEST).contains(&length) {
        return None;
    }
    let power = length.ilog2();
    let step = (1 << power) / STEPS;
    let steps = (length - (1 << power)).div_ceil(step);
    let at = (power - SMALLEST.ilog2()) as usize * STEPS + steps;
    // A full step up to the next power of two is that power itself.
    (at < SIZES).then_some((at, (1 << power) + steps * step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_lies_in_the_buffer_of_one_that_went() {
        let buffers = Buffers::new(1 << 20);
        let free = || {
            let free = buffers.lock();
            (free.bytes, free.by_size.iter().map(Vec::len).sum::<usize>())
        };
        drop(buffers.keep(&[b'1'; 4000]));
        assert_eq!(free(), (4096, 1));

        let second = buffers.keep(&[b'2'; 4090]);

        assert_eq!(free(), (0, 0));
        assert_eq!(second, [b'2'; 4090][..]);
    }

    #[test]
    fn free_buffers_never_take_more_than_they_may() {
        let buffers = Buffers::new(10_000);
        let bodies: Vec<Bytes> = (0..8).map(|_| buffers.keep(&[1; 4096])).collect();
        drop(bodies);

        assert_eq!(buffers.lock().bytes, 2 * 4096);
        assert_eq!(buffers.lock().by_size.iter().map(Vec::len).sum::<usize>(), 2);
    }

    proptest! {
        #[test]
        fn a_buffer_fits_and_is_at_most_a_quarter_too_large(length in 0..200_000usize) {
            prop_assert!((length..=length + length / STEPS).contains(&room(length)));
            if let Some((at, room)) = size(length) {
                prop_assert_eq!(size(room), Some((at, room)));
            }
        }
    }
}
