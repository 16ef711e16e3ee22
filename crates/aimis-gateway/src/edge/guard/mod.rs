//! The byte guard: reads what a client sends before hyper does, and lets only one reading of it through.
//!
//! hyper tolerates much that two programs in a row may read differently (security.md, "What hyper leaves to
//! us"). Here every request has one reading or none: each head is judged whole before hyper sees a byte of
//! it, and the body's framing is followed so that the next head is found where the last body ends.
//!
//! ```text
//! stream -> GuardedIo (time) -> HeadGuard (this) -> hyper -> service
//! ```
//!
//! [`wire`] is the pure state machine, made of `head` (with `line`) and `chunks`; [`io`] puts it in
//! front of a stream. A refused head reaches the service as a [`HeadFault`], through hyper and behind the
//! answers to earlier requests, so its refusal is made, counted and logged like every other.

mod chunks;
pub mod fault;
mod head;
pub mod io;
mod line;
pub mod wire;

pub use fault::HeadFault;
