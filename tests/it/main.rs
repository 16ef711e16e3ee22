//! The gateway from outside: real sockets, the simulator as the platform, promises by name.
#![allow(
    unreachable_pub,
    missing_docs,
    reason = "one test binary: its modules have no outside"
)]
#![allow(clippy::unwrap_used, reason = "in a test a failed unwrap is the failure")]
#![allow(dead_code, reason = "support/ serves tests that come and go")]

mod answer_dialects;
mod audit;
mod authorization;
mod awkward_clients;
mod broken_platform;
mod cache;
mod callback;
mod codes;
mod command_line;
mod corpus;
mod crash;
mod crowd;
mod delivery;
mod deploy;
mod descriptors;
mod doctor;
mod documentation;
mod emptiness;
mod explain;
mod fidelity;
mod forward;
mod front;
mod host;
mod hostile_bodies;
mod inbox_command;
mod isolation;
mod lan_tls;
mod limits;
mod log_fields;
mod merged_list;
mod metrics;
mod monitoring;
mod openapi;
mod privacy;
mod probes;
mod pull;
mod reconcile;
mod refusals;
mod reload;
mod resilience;
mod rotation;
mod shared_cache;
mod skew;
mod smuggling;
mod stopping;
mod store;
mod support;
mod tls;
mod traces;
mod way_out;
