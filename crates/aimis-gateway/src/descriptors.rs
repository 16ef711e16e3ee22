//! Room for connections: the limit of open files is raised to what the configuration can need.
//!
//! Many a system starts its services with a soft limit of 1024, which the default of `lan.max_connections`
//! alone uses up; accepting fails then long before the configured bound. The hard limit is the
//! administrator's, and is kept.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Whether there is room for what the configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Enough,
    /// The hard limit is lower than that, and used to the full.
    Short,
}

/// Descriptors beside connections to callers, platform and probes: files, timers, the log, connections that are
/// told to go (128 of them).
const SPARE: u64 = 256;

/// What a configuration can use with `workers` threads.
pub fn needed(config: &Config, workers: usize) -> u64 {
    // A connection of a caller has one request at a time, and a request one connection to the platform.
    let upstream = workers
        .saturating_mul(config.platform.max_connections_per_worker)
        .min(config.lan.max_connections);
    let callback = config.callback.as_ref().map_or(0, |callback| callback.max_connections);
    [
        config.lan.max_connections,
        config.telemetry.max_connections,
        upstream,
        callback,
    ]
    .into_iter()
    .fold(SPARE, |sum, part| sum.saturating_add(part as u64))
}

/// Raises the process's soft limit to `needed`, as far as the hard limit allows.
pub fn raise(needed: u64) -> Room {
    let limit = getrlimit(Resource::Nofile);
    let (current, room) = plan(limit.current, limit.maximum, needed);
    let raised = match current {
        None => true,
        Some(_) => setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                maximum: limit.maximum,
            },
        )
        .is_ok(),
    };
    if raised { room } else { Room::Short }
}

/// The new soft limit, if it has to change, and what it leaves.
fn plan(soft: Option<u64>, hard: Option<u64>, needed: u64) -> (Option<u64>, Room) {
    let Some(soft) = soft.filter(|soft| *soft < needed) else {
        return (None, Room::Enough);
    };
    match hard {
        Some(hard) if hard < needed => ((hard > soft).then_some(hard), Room::Short),
        _ => (Some(needed), Room::Enough),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        assert_eq!(plan(Some(1024), Some(4096), 2000), (Some(2000), Room::Enough));
        assert_eq!(plan(Some(1024), None, 2000), (Some(2000), Room::Enough));
        assert_eq!(plan(Some(1024), Some(1500), 2000), (Some(1500), Room::Short));
        assert_eq!(plan(Some(40), Some(40), 2000), (None, Room::Short));
        assert_eq!(plan(Some(4096), Some(4096), 2000), (None, Room::Enough));
        assert_eq!(plan(None, None, 2000), (None, Room::Enough));
    }
}
