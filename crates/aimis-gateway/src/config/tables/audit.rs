//! The audit trail: who asked about whom, chained and kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::header::{HeaderKey, header};
use crate::config::kind::number::{integer, millis, size};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::syslog::{Syslog, syslog};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;

/// Six months, as the law counts them at most (docs/audit.md): logs are kept for no less.
pub const SHORTEST_RETENTION_DAYS: u32 = 184;

section! {
    /// The audit trail: one record for each look-up, each delivery, and each act of an operator that shows or drops what
    /// is kept of a patient; chained under a key, so that a change shows. Without this table there is none. See
    /// docs/audit.md.
    pub struct Audit {
        /// The directory of the files, on a disk that outlives the process. Each gateway needs one of its own.
        path: PathBuf = path().or("data/audit");
        /// The key of the chain and of the patients' tags: 32 bytes, or their 64 hex digits. It is made at the first start
        /// if it is not there. Keep a copy apart from the files: without it nothing can be verified or found.
        key_file: PathBuf = secret_path().or("secrets/audit.key");
        /// Keys that `key_file` had before. Each is needed as long as there are files that were written under it.
        previous_key_files: Option<Vec<PathBuf>> = one_or_more(secret_path()).optional(Plain::List(vec!["secrets/audit.previous.key".into()]));
        /// What becomes of look-ups, and of what else would be recorded, while records cannot be written.
        on_failure: OnFailure = one_of().or("continue");
        /// When records are durable: safe from a loss of power.
        fsync: Fsync = one_of().or("interval");
        /// How often records are made durable under `fsync = "interval"`.
        fsync_interval as "fsync_interval_ms": Duration = millis(10, 60_000).or(1_000);
        /// Records of one thread that may wait to be written.
        queue: usize = integer(64, 1_000_000).or(8_192);
        /// How long an answer waits for its record: for a place where `queue` is full, and for the disk where each record
        /// is made durable. Then `on_failure` holds.
        max_wait as "max_wait_ms": Duration = millis(1, 60_000).or(2_000);
        /// The size at which a file is closed and the next begun; so it is at midnight in China, too.
        max_file_bytes: usize = size(64 << 10, 4 << 30).or("64MiB");
        /// The most that all files may take. Nothing is removed for it: what is over it is a disk that is full.
        max_bytes: usize = size(1 << 20, 16 << 40).or("16GiB");
        /// How long records are kept, in days; 0 keeps them for ever. Less than 184, which is six months, is refused without
        /// `allow_short_retention`.
        retention_days: u32 = integer(0, 36_500).unit("days").or(365);
        /// Allows a `retention_days` below six months: for tests, or where another copy is kept (`syslog`).
        allow_short_retention: bool = switch().or(false);
        /// The header in which the hospital's system may name the user behind a look-up. 1 to 64 letters, digits, `.`, `_`
        /// and `-`, with nine digits at most, are recorded as they are; what could be a person's number or name is recorded as a
        /// keyed tag.
        operator_header: HeaderKey = header().or("X-Operator-Id");
        /// How often the gateway verifies all files; 0: never.
        verify_interval_hours: u32 = integer(0, 8_760).unit("hours").or(24);
        /// Where each record is sent as well, as RFC 5424 has it: a unix datagram socket, or a server by UDP or TCP.
        syslog: Option<Syslog> = syslog().optional("tcp://10.0.0.9:601");
        /// Facility of these messages: 13 is "log audit".
        syslog_facility: u32 = integer(0, 23).or(13);
        /// Records that may wait for the syslog server; further ones are in the files only, and counted.
        syslog_queue: usize = integer(64, 1_000_000).or(8_192);
    }
}

choices! {
    /// What becomes of look-ups while the audit trail cannot be written.
    pub enum OnFailure {
        /// They are answered; records wait in memory as long as `queue` has room, and what is lost is counted and told.
        Continue = "continue",
        /// They are refused (800202): nobody sees what is not recorded.
        Refuse = "refuse",
    }
}

choices! {
    /// When records are durable.
    pub enum Fsync {
        /// Before the look-up is answered: the answer waits for the disk.
        Each = "each",
        /// Within `fsync_interval_ms`; a loss of power, not of the process, can take the last ones.
        Interval = "interval",
        /// When the system writes them, and at the end of a file.
        Off = "off",
    }
}
