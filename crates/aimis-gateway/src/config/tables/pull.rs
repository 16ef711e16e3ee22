//! How a HIS that cannot be called fetches its events.

use std::time::Duration;

use crate::config::kind::Kind;
use crate::config::kind::number::{integer, seconds};
use crate::config::section::section;

section! {
    /// How a HIS that cannot be called fetches its events: `GET` and `POST /inbox/v1/{tenant}/events` at `lan.listen`, for
    /// tenants without `callback.target`. Which clients may is said by `clients.inbox`; without any `[[clients]]`, the
    /// programs on this machine. It works only where there is a callback listener.
    pub struct Pull {
        /// The most events in an answer; a request that asks for more gets so many.
        max_events: usize = integer(1, 1_000).or(100);
        /// The longest a request waits for an event (`wait`); one that asks for longer waits so long.
        max_wait as "max_wait_s": Duration = seconds(0, 300).or(30);
        /// Requests that wait at a time; a further one is answered 503.
        max_waiting: usize = integer(1, 10_000).or(64);
        /// How long an event is the HIS's before it is given out again. It must be able to keep all events of an answer
        /// in that time, and to say so.
        lease as "lease_s": Duration = seconds(1, 86_400).or(300);
        /// When an event comes again that the HIS did not take, where it does not say.
        retry as "retry_s": Duration = seconds(0, 86_400).or(60);
        /// An event that was given out so often and is not taken is a dead letter and waits for an operator; 0: never.
        max_attempts: u32 = integer(0, 10_000).or(20);
    }
}
