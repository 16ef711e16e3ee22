//! What the tests of the inbox in a database share: a server, and a database for each of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aimis_core::codes::Codes;

use super::{Contact, OpenError, Parts, Postgres, Reach, Settings, Time};
use crate::callback::inbox::rules::Sharing;
use crate::callback::inbox::sqlite::{KeyFiles, Role};
use crate::callback::inbox::testing::{START, TempDir};
use crate::clock::Clock;
use crate::config::DatabaseUrl;
use crate::telemetry::metrics::Metrics;

#[path = "../../../../../../tests/it/support/postgres.rs"]
pub(super) mod server;

/// Where inboxes on one database are opened.
pub(in crate::callback::inbox) struct DatabaseBed {
    pub(super) _dir: Arc<TempDir>,
    pub(super) database: String,
    pub(super) settings: Settings,
    pub(super) keys: KeyFiles,
    pub(in crate::callback::inbox) clock: Clock,
    /// How often contact was lost.
    pub(super) lost: Arc<AtomicU64>,
    pub(super) found: Arc<AtomicU64>,
}

impl DatabaseBed {
    pub(super) fn new() -> Self {
        let (database, url) = server::shared().database();
        Self::at(database, &url)
    }

    /// A database that one test uses again and again: made anew each time.
    pub(in crate::callback::inbox) fn again() -> Self {
        static DATABASE: OnceLock<Mutex<(String, String)>> = OnceLock::new();
        let database = DATABASE.get_or_init(|| Mutex::new(server::shared().database()));
        let (database, url) = database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        server::shared().sql(
            &database,
            "SET client_min_messages = error; DROP SCHEMA IF EXISTS aimis_inbox CASCADE",
        );
        Self::at(database, &url)
    }

    pub(super) fn at(database: String, url: &str) -> Self {
        let dir = Arc::new(TempDir::new());
        let key = dir.path().join("inbox.key");
        std::fs::write(&key, [7; 32]).unwrap();
        Self {
            _dir: dir,
            database,
            settings: Settings {
                reach: Reach {
                    url: DatabaseUrl::parse(url).unwrap(),
                    password_file: None,
                    ca_file: None,
                    connect_timeout: Duration::from_secs(5),
                    answer_timeout: Duration::from_secs(10),
                    statement_timeout: Duration::from_secs(10),
                    lock_timeout: Duration::from_secs(10),
                    read_timeout: Duration::from_secs(30),
                    reconnect_max: Duration::from_millis(100),
                    keepalive: Duration::from_secs(5),
                    tcp_user_timeout: Duration::from_secs(10),
                },
                start_timeout: Duration::from_secs(5),
                poll: Duration::from_millis(100),
                max_bytes: 64 << 20,
                quarantine_max_bytes: 16 << 20,
                delivered_body: Duration::from_secs(24 * 3600),
                delivered_record: Duration::from_secs(7 * 24 * 3600),
                acts: Duration::from_secs(180 * 24 * 3600),
                queue: 1024,
                batch: 256,
                sharing: Sharing {
                    late: Duration::from_secs(60),
                    bodies: 16,
                },
            },
            keys: KeyFiles {
                current: key,
                previous: Vec::new(),
            },
            clock: Clock::manual(START),
            lost: Arc::default(),
            found: Arc::default(),
        }
    }

    pub(in crate::callback::inbox) fn open(&self) -> Postgres {
        self.try_open(Role::Gateway).unwrap()
    }

    pub(super) fn try_open(&self, role: Role) -> Result<Postgres, OpenError> {
        let (lost, found) = (Arc::clone(&self.lost), Arc::clone(&self.found));
        let parts = Parts {
            clock: self.clock.clone(),
            time: Time::Given(self.clock.clone()),
            abort: Arc::new(|_| {}),
            metrics: Arc::clone(&Metrics::new(&["north"], &[], &Codes::builtin()).inbox),
            on_contact: Arc::new(move |contact, _| {
                let counter = if contact == Contact::There { &found } else { &lost };
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        };
        Postgres::open(self.settings.clone(), &self.keys, role, parts)
    }
}
