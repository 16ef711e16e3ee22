//! The end of the process when the state of the store is unknown.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::sqlite::Abort;
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;

/// How long the log gets to write its last line: it gathers lines for a hundredth of a second.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Tells what happened, in the log and on standard error, and ends the process without another word: what runs
/// down in an orderly way might still write. Whoever started it (systemd, Kubernetes) starts it again, and the next
/// start reads what is on the disk.
pub fn end_process(log: Log) -> Abort {
    Arc::new(move |what| {
        log.write(&Event::InboxBroken { what });
        // The log may have no reader left; nobody can be told if this has none either.
        let _ = writeln!(
            std::io::stderr(),
            "aimis-gateway: {what}; ending, so that nothing more is acknowledged"
        );
        std::thread::park_timeout(LAST_WORDS);
        std::process::abort();
    })
}
