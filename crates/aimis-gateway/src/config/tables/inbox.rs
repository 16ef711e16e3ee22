//! Where callbacks are kept until the HIS has them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::kind::database::{DatabaseUrl, database_url};
use crate::config::kind::number::{integer, millis, seconds, size};
use crate::config::kind::path::{path, path as file, secret_path};
use crate::config::kind::{Kind, one_or_more, switch};
use crate::config::plain::Plain;
use crate::config::section::section;

section! {
    /// The inbox: where callbacks are kept until the HIS has them. It is opened only where there is a callback listener.
    pub struct Inbox {
        /// The database. Beside it stand its `-wal` and `-shm`; all of them are one, also in a backup, and on a disk of
        /// this machine. It must outlive the process: never an `emptyDir`.
        path: PathBuf = path().or("data/inbox.db");
        /// A PostgreSQL database that several gateways share instead of `path`: what one of them took another one delivers.
        /// `sslmode=verify-full` is the default; `sslmode=disable` is for this machine. Several hosts, with commas between
        /// them, are tried in turn until one takes writes. Connect directly, or through a pooler in session mode.
        database_url: Option<DatabaseUrl> = database_url().optional("postgres://aimis@db.hospital:5432/aimis");
        /// The password of the user in `database_url`.
        database_password_file: Option<PathBuf> = secret_path().optional("secrets/inbox.database.password");
        /// The authorities, in PEM, one of which signed the certificate of the database; without it, those that browsers know.
        database_ca_file: Option<PathBuf> = file().optional("secrets/database-ca.pem");
        /// Allows `sslmode=disable` to other machines: the password is not sent in the clear, and contents are sealed, but
        /// whoever is on the way can change what the database is told.
        database_allow_plaintext: bool = switch().or(false);
        /// How long a connection to the database may take to be there.
        database_connect_timeout as "database_connect_timeout_ms": Duration = millis(100, 60_000).or(3_000);
        /// How long the database is waited for at the start, before the gateway gives up.
        database_start_timeout as "database_start_timeout_ms": Duration = millis(0, 600_000).or(30_000);
        /// How long a callback waits for its commit before it is refused, and how long the database may be silent before it
        /// counts as away and its connections are given up. A process that stops waits for it twice as long at most.
        database_answer_timeout as "database_answer_timeout_ms": Duration = millis(100, 60_000).or(2_500);
        /// How long the database works on one statement before it gives it up by itself.
        database_statement_timeout as "database_statement_timeout_ms": Duration = millis(100, 60_000).or(5_000);
        /// How long a statement may wait for another gateway that works on the same study.
        database_lock_timeout as "database_lock_timeout_ms": Duration = millis(50, 60_000).or(2_000);
        /// How long a statement of a command line or a page may take that looks at many events.
        database_read_timeout as "database_read_timeout_ms": Duration = millis(1_000, 3_600_000).or(60_000);
        /// The longest pause between attempts to reach a database that is away.
        database_reconnect_max as "database_reconnect_max_ms": Duration = millis(50, 60_000).or(2_000);
        /// A connection that is silent for so long is probed...
        database_keepalive as "database_keepalive_s": Duration = seconds(1, 3_600).or(5);
        /// ...and one that does not take what is sent for so long is given up.
        database_tcp_user_timeout as "database_tcp_user_timeout_ms": Duration = millis(500, 600_000).or(10_000);
        /// How often is looked for what other gateways did, when the database did not tell by itself.
        database_poll as "database_poll_ms": Duration = millis(50, 60_000).or(1_000);
        /// The key that seals what is kept: 32 bytes, or their 64 hex digits. It is made at the first start if it is
        /// not there; with `database_url` it never is, since all gateways need the same one. Keep a copy, and keep it apart from copies of the database: either is worthless without the other.
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

impl Inbox {
    /// The longest that the inbox takes to stop: a database is waited for, and then for what is cancelled there.
    pub(crate) fn longest_stop(&self) -> Duration {
        let waits = self.database_url.as_ref().map(|_| self.database_answer_timeout * 2);
        waits.unwrap_or_default()
    }
}
