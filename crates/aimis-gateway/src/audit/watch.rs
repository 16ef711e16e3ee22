//! Verifying while the gateway runs: all files, from time to time, at a pace that nobody feels.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::files::Trail;
use super::keys::Keys;
use super::lane::Shared;
use super::told::Told;
use super::verify::{Expected, Report, verify};
use crate::clock::Clock;
use crate::telemetry::audit::AuditMetrics;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;

/// Bytes that are read without a pause, and the pause: 50 MiB a second.
const STRIDE: usize = 1 << 20;
/// See [`STRIDE`].
const PAUSE: Duration = Duration::from_millis(20);

/// Verifies now and every `interval`, until `stopping`.
pub(super) fn run(
    directory: &Path,
    shared: &Shared,
    interval: Duration,
    stopping: &AtomicBool,
    clock: &Clock,
    log: &Log,
    metrics: &AuditMetrics,
) {
    while !stopping.load(Ordering::Acquire) {
        let written = shared.written.load(Ordering::Acquire);
        once(
            directory,
            &shared.keys.load_full(),
            written,
            stopping,
            clock,
            log,
            metrics,
        );
        let done = clock.moment();
        loop {
            let left = interval.saturating_sub(clock.moment().since(done));
            if left.is_zero() || stopping.load(Ordering::Acquire) {
                break;
            }
            std::thread::park_timeout(left);
        }
    }
}

/// What this process knows of a trail from having written it: files that were removed whole, and an end that was put back, look
/// sound in themselves.
pub(super) fn expected(trail: Trail, written: u64) -> Expected {
    Expected {
        at_least: (trail == Trail::Gateway && written > 0).then_some(written),
        ..Expected::default()
    }
}

fn once(
    directory: &Path,
    keys: &Keys,
    written: u64,
    stopping: &AtomicBool,
    clock: &Clock,
    log: &Log,
    metrics: &AuditMetrics,
) {
    let mut stride = 0;
    let mut pace = |bytes: usize| {
        stride += bytes;
        if stride >= STRIDE {
            stride = 0;
            std::thread::park_timeout(PAUSE);
        }
        !stopping.load(Ordering::Acquire)
    };
    let mut reports: Vec<Report> = Vec::new();
    for trail in Trail::ALL {
        match verify(directory, *trail, keys, &expected(*trail, written), &mut pace) {
            Ok(report) => reports.extend(report),
            Err(error) => return log.write(&Event::Audit(Told::Unread(error.kind()))),
        }
    }
    if stopping.load(Ordering::Acquire) {
        // What was read only in part says nothing.
        return;
    }
    let count = reports
        .iter()
        .map(|report| report.problems.len() as u64 + report.more)
        .sum();
    metrics.problems.set(i64::try_from(count).unwrap_or(i64::MAX));
    if let Some(first) = reports.iter().find_map(|report| report.problems.first()) {
        return log.write(&Event::Audit(Told::Damaged(first, count)));
    }
    metrics.verified.set(clock.now().as_millis() as f64 / 1000.0);
    let all = Report {
        lines: reports.iter().map(|report| report.lines).sum(),
        ..Report::default()
    };
    log.write(&Event::Audit(Told::Verified(&all)));
}
