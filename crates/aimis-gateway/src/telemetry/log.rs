//! The log: one JSON object a line, written off the request's path.
//!
//! Each worker appends its lines to a lane of its own; one thread empties all lanes and writes them out.
//! A lane's lock is taken by its worker and, a few times a second, by that thread, so a request never
//! waits for a slow reader of the log. When the reader is so slow that a lane is full, lines are dropped
//! and counted (`aimis_log_dropped_total`), as are those that the output does not take: answers to patients' queries come before lines about them.
//!
//! What can be written is decided by types: a field's value is a [`Loggable`], and no type that can hold
//! a person, a secret or a text from outside is one.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use aimis_core::sign::Timestamp;

use super::event::Event;
use crate::clock::Clock;

/// Bytes that a lane keeps for a slow reader before it drops lines: about 3,000 of them.
const LANE_BYTES: usize = 1024 * 1024;
/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(10);

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is lost or refused that should not be; somebody has to act.
    Error,
    /// Something is likely to go wrong, or went wrong once.
    Warn,
    /// What happened: requests, starts, stops.
    Info,
    /// For the search of a fault.
    Debug,
}

impl Level {
    /// Every level, gravest first.
    pub const ALL: &'static [Level] = &[Level::Error, Level::Warn, Level::Info, Level::Debug];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    /// The text of `severity_text` (OpenTelemetry's short names).
    pub const fn severity(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        }
    }

    /// Position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A value that may stand in a log line. Implemented for nothing that can carry text from outside.
pub trait Loggable {
    /// Appends the value as JSON.
    fn write_json(&self, out: &mut Vec<u8>);
}

/// Text of the program itself.
impl Loggable for &'static str {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }
}

macro_rules! loggable_numbers {
    ($($number:ty),+) => { $(impl Loggable for $number {
        fn write_json(&self, out: &mut Vec<u8>) {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{self}");
        }
    })+ };
}
loggable_numbers!(u16, u32, u64, i64, usize);

/// Seconds, with microseconds behind the point.
impl Loggable for Duration {
    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "{}.{:06}", self.as_secs(), self.subsec_micros());
    }
}

/// An address from the configuration.
impl Loggable for SocketAddr {
    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\"{self}\"");
    }
}

/// The address of a machine on the LAN; where `log.client_address` asks for it.
impl Loggable for IpAddr {
    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\"{self}\"");
    }
}

/// The kind of a failure of the operating system, without the text around it.
impl Loggable for std::io::ErrorKind {
    fn write_json(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "\"{self}\"");
    }
}

/// Appends `text` as a JSON string; control characters are escaped, so no line can be forged.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every byte and a str is always JSON");
}

/// One line being written.
pub struct Line<'a>(pub(crate) &'a mut Vec<u8>);

impl Line<'_> {
    /// Adds a field.
    pub fn field(&mut self, name: &'static str, value: impl Loggable) -> &mut Self {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        value.write_json(self.0);
        self
    }

    /// Adds a field if there is a value.
    pub fn maybe(&mut self, name: &'static str, value: Option<impl Loggable>) -> &mut Self {
        if let Some(value) = value {
            self.field(name, value);
        }
        self
    }
}

/// A handle to write events with. Cloning shares the lane; a worker asks for one of its own.
#[derive(Clone)]
pub struct Log {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
}

struct Lane {
    pending: Mutex<Pending>,
}

/// Lines that are still to be written out.
#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    /// How many lines these are, by level.
    counts: [u64; 4],
}

impl Pending {
    /// Takes over what `other` has.
    fn append(&mut self, other: &mut Self) {
        self.lines.append(&mut other.lines);
        for (ours, theirs) in self.counts.iter_mut().zip(&mut other.counts) {
            *ours += std::mem::take(theirs);
        }
    }
}

struct Shared {
    clock: Clock,
    /// Index of the least grave level that is written.
    level: AtomicUsize,
    /// Fields that are the same in every line.
    constants: Vec<u8>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// The writer waits to be woken; whoever clears this has to wake it.
    asleep: AtomicBool,
    stopping: AtomicBool,
    writer: OnceLock<Thread>,
    /// Lines for which a lane had no room.
    dropped: AtomicU64,
    /// Lines that a lane took, by level.
    taken: [AtomicU64; 4],
    /// Lines of these that the output did not take, by level.
    lost: [AtomicU64; 4],
}

/// Keeps the writing thread; its end writes out what is left.
pub struct LogGuard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts the writing thread.
    ///
    /// `instance` tells this process from others of its kind (`service.instance.id`).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        clock: Clock,
        level: Level,
        instance: &'static str,
        output: Box<dyn Write + Send>,
    ) -> std::io::Result<(Log, LogGuard)> {
        let mut constants = Vec::new();
        Line(&mut constants)
            .field("service.name", "aimis-gateway")
            .field("service.version", crate::VERSION)
            .field("service.instance.id", instance);
        let shared = Arc::new(Shared {
            clock,
            level: AtomicUsize::new(level.index()),
            constants,
            lanes: Mutex::default(),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
            dropped: AtomicU64::new(0),
            taken: Default::default(),
            lost: Default::default(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("aimis-log".to_owned())
            .spawn(move || theirs.write_until_stopped(output))?;
        let _ = shared.writer.set(thread.thread().clone());
        let log = Log {
            lane: shared.new_lane(),
            shared: Arc::clone(&shared),
        };
        Ok((
            log,
            LogGuard {
                shared,
                thread: Some(thread),
            },
        ))
    }

    /// A handle with a lane of its own, for a worker.
    pub fn own_lane(&self) -> Log {
        Log {
            lane: self.shared.new_lane(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether events of this level are written.
    pub fn enabled(&self, level: Level) -> bool {
        level.index() <= self.shared.level.load(Ordering::Relaxed)
    }

    /// From now on events down to this level are written, by every handle.
    pub fn set_level(&self, level: Level) {
        self.shared.level.store(level.index(), Ordering::Relaxed);
    }

    /// Writes one event, if its level is enabled. Never waits.
    pub fn write(&self, event: &Event<'_>) {
        let level = event.level();
        if !self.enabled(level) {
            return;
        }
        let mut pending = lock(&self.lane.pending);
        if pending.lines.len() > LANE_BYTES {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lines = &mut pending.lines;
        lines.extend_from_slice(b"{\"timestamp\":\"");
        write_rfc3339(lines, self.shared.clock.now());
        lines.push(b'"');
        let mut line = Line(lines);
        line.field("severity_text", level.severity())
            .field("event.name", event.name())
            .field("message", event.message());
        event.fields(&mut line);
        lines.extend_from_slice(&self.shared.constants);
        lines.extend_from_slice(b"}\n");
        pending.counts[level.index()] += 1;
        // Under the lane's lock, so that no line is counted as lost before it is counted as taken.
        self.shared.taken[level.index()].fetch_add(1, Ordering::Relaxed);
        drop(pending);
        self.shared.wake();
    }

    /// Lines written so far at `level`, and lines dropped so far at any: read at scrape time. A line counts as
    /// written when it is taken, and is moved to the dropped if the output does not take it.
    pub fn counts(&self, level: Level) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lost = count(&self.shared.lost[level.index()]);
        let all_lost: u64 = self.shared.lost.iter().map(count).sum();
        let written = count(&self.shared.taken[level.index()]).saturating_sub(lost);
        (written, count(&self.shared.dropped) + all_lost)
    }
}

impl Shared {
    fn new_lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            pending: Mutex::default(),
        });
        lock(&self.lanes).push(Arc::clone(&lane));
        lane
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    fn write_until_stopped(&self, mut output: Box<dyn Write + Send>) {
        let mut gathered = Pending::default();
        loop {
            let last = self.stopping.load(Ordering::Acquire);
            for lane in lock(&self.lanes).iter() {
                gathered.append(&mut lock(&lane.pending));
            }
            let Pending { lines, counts } = &mut gathered;
            if !lines.is_empty() {
                // Only the metrics are left to tell that the log itself cannot be written. How much of it got
                // through, the failure does not say; all of it counts as lost.
                if output.write_all(lines).and_then(|()| output.flush()).is_err() {
                    for (lost, count) in self.lost.iter().zip(&*counts) {
                        lost.fetch_add(*count, Ordering::Relaxed);
                    }
                }
                *counts = [0; 4];
                lines.clear();
                lines.shrink_to(LANE_BYTES);
                std::thread::park_timeout(GATHER);
                continue;
            }
            if last {
                return;
            }
            self.asleep.store(true, Ordering::Release);
            // A line may have come between the look and the store; its writer saw nobody asleep.
            if lock(&self.lanes)
                .iter()
                .all(|lane| lock(&lane.pending).lines.is_empty())
                && !self.stopping.load(Ordering::Acquire)
            {
                std::thread::park();
            }
        }
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The writer does not panic; if it did, its lines are lost and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

/// A lane is only bytes: whatever panicked while holding it left whole or half a line, no broken state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends `2025-01-01T00:00:00.000Z`.
pub(crate) fn write_rfc3339(out: &mut Vec<u8>, at: Timestamp) {
    let millis = at.as_millis();
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil_from_days(days);
    let (second, milli) = (in_day / 1000, in_day % 1000);
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milli:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
    );
}

/// Days since 1970-01-01 to year, month, day of the Gregorian calendar. Eras of 400 years start on
/// 1 March, which puts the leap day last (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(millis: u64) -> String {
        let mut text = Vec::new();
        write_rfc3339(&mut text, Timestamp::from_millis(millis));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_735_689_600_123), "2025-01-01T00:00:00.123Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(4_107_542_399_000), "2100-02-28T23:59:59.000Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_control_character_cannot_start_a_line() {
        let mut out = Vec::new();
        write_string(&mut out, "a\nb\u{1b}[31m\"");
        assert_eq!(out, br#""a\nb\u001b[31m\"""#);
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_out_when_the_guard_is_gone() {
        let sink = Sink::default();
        let clock = Clock::manual(0);
        let (log, guard) = Log::start(clock, Level::Info, "test", Box::new(sink.clone())).unwrap();

        std::thread::scope(|scope| {
            for _ in 0..4 {
                let log = log.own_lane();
                scope.spawn(move || (0..500).for_each(|_| log.write(&Event::Draining)));
            }
        });
        drop(guard);

        let text = String::from_utf8(lock(&sink.0).clone()).unwrap();
        assert_eq!(text.lines().count(), 2000);
        assert_eq!(log.counts(Level::Info), (2000, 0));
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn lines_that_the_output_does_not_take_count_as_dropped() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (log, guard) = Log::start(Clock::manual(0), Level::Info, "test", Box::new(Full)).unwrap();

        (0..3).for_each(|_| log.own_lane().write(&Event::Draining));
        log.write(&Event::Notice { text: "one" });
        drop(guard);

        assert_eq!(log.counts(Level::Info), (0, 4));
        assert_eq!(log.counts(Level::Warn), (0, 4));
    }
}
