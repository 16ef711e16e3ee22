//! The simulator from outside: what a client sees on the wire, and what is recorded of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests: what cannot go on fails")]

mod ask;
mod callbacks;
mod checks;
mod control;
mod faults;
mod lookups;
mod records;
