//! Where callbacks are kept until the HIS has them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::number::{integer, millis, seconds, size};
use crate::config::kind::path::{path, secret_path};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;

section! {
    /// The inbox: where callbacks are kept until the HIS has them. It is opened only where there is a callback listener.
    pub struct Inbox {
        /// The database. Beside it stand its `-wal` and `-shm`; all of them are one, also in a backup, and on a disk of
        /// this machine. It must outlive the process: never an `emptyDir`.
        path: PathBuf = path().or("data/inbox.db");
        /// The key that seals what is kept: 32 bytes, or their 64 hex digits. It is made at the first start if it is
        /// not there. Keep a copy, and keep it apart from copies of the database: either is worthless without the other.
        key_file: PathBuf = secret_path().or("secrets/inbox.key");
        /// Keys that `key_file` had before: what they sealed can still be opened. One is needed as long as `inbox stats` shows events under its id.
        previous_key_files: Option<Vec<PathBuf>> = one_or_more(secret_path()).optional(Plain::List(vec!["secrets/inbox.previous.key".into()]));
        /// The most that database and write-ahead log may take. A sixteenth of it stays free for noting what became of events; when the rest is used
        /// up, or the disk has no more, the platform is told that its callback was not received.
        max_bytes: usize = size(16 << 20, 1 << 40).or("1GiB");
        /// The share of `max_bytes` that events in quarantine may take, so that forged ones cannot crowd out good ones.
        quarantine_percent: u64 = integer(1, 90).unit("percent").or(25);
        /// How long the content of a delivered event is kept, for delivering it again.
        delivered_body as "delivered_body_hours": u32 = integer(0, 8_760).unit("hours").or(24);
        /// How long it is remembered that an event was delivered. A callback that comes a second time is known as such for
        /// so long.
        delivered_record as "delivered_record_hours": u32 = integer(1, 87_600).unit("hours").or(168);
        /// How long it is remembered what operators did to events, and which ones they saw.
        acts as "acts_days": u32 = integer(1, 3_650).unit("days").or(180);
        /// Events that may wait for the disk; a further callback is refused.
        queue: usize = integer(1, 100_000).or(1_024);
        /// Events that share one write to the disk.
        batch: usize = integer(1, 10_000).or(256);
        /// The size at which the write-ahead log is brought into the database.
        wal_target_bytes: usize = size(256 << 10, 1 << 30).or("16MiB");
        /// The size at which everything waits until it has been: readers can hold it up. At most a quarter of `max_bytes`.
        wal_max_bytes: usize = size(1 << 20, 4 << 30).or("64MiB");
        /// How long a command line that works on the same database is waited for.
        busy_timeout as "busy_timeout_ms": Duration = millis(100, 60_000).or(5_000);
        /// One signature can belong to several callbacks, when the platform made them within one millisecond. Later
        /// than this after the first one, or after the time it was signed at, a further one is quarantined.
        shared_late as "shared_late_s": Duration = seconds(1, 3_600).or(60);
        /// As many different callbacks under one signature are taken for one millisecond's; further ones are quarantined.
        shared_bodies: u32 = integer(1, 1_000).or(16);
        /// Allows a database on a network disk, where locks and syncs may not do what they promise.
        allow_network_disk: bool = switch().or(false);
    }
}
