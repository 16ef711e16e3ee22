//! What the tests of the inbox share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aimis_core::codes::Codes;
use aimis_core::sign::Timestamp;
use zeroize::Zeroizing;

use super::rules::Sharing;
use super::sqlite::{KeyFiles, OpenError, Parts, Role, Settings, Sqlite};
use super::{Filter, Inbox, Lease, Outcome, State, Summary};
use crate::callback::event::{NewEvent, Origin, Payload, QuarantineReason, Signed, Tags};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;

/// The first moment of every test.
pub(super) const START: u64 = 1_735_689_600_000;

/// A directory that goes with the test.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aimis-inbox-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where an inbox is opened, again and again.
pub(super) struct Bed {
    pub(super) dir: TempDir,
    pub(super) settings: Settings,
    pub(super) keys: KeyFiles,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// How often the process would have ended.
    pub(super) aborts: Arc<AtomicU64>,
}

impl Bed {
    pub(super) fn new() -> Self {
        let dir = TempDir::new();
        let settings = Settings {
            path: dir.path().join("data/inbox.db"),
            max_bytes: 64 << 20,
            quarantine_max_bytes: 16 << 20,
            delivered_body: Duration::from_secs(24 * 3600),
            delivered_record: Duration::from_secs(7 * 24 * 3600),
            acts: Duration::from_secs(180 * 24 * 3600),
            queue: 1024,
            batch: 256,
            wal_target_bytes: 1 << 20,
            wal_max_bytes: 8 << 20,
            busy_timeout: Duration::from_secs(5),
            sharing: Sharing {
                late: Duration::from_secs(60),
                bodies: 16,
            },
            allow_network_disk: false,
        };
        let keys = KeyFiles {
            current: dir.path().join("secrets/inbox.key"),
            previous: Vec::new(),
        };
        Self {
            dir,
            settings,
            keys,
            clock: Clock::manual(START),
            metrics: Metrics::new(&["north"], &[], &Codes::builtin()),
            aborts: Arc::default(),
        }
    }

    pub(super) fn open(&self) -> Sqlite {
        self.try_open(Role::Gateway).unwrap()
    }

    pub(super) fn try_open(&self, role: Role) -> Result<Sqlite, OpenError> {
        let aborts = Arc::clone(&self.aborts);
        let parts = Parts {
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics.inbox),
            abort: Arc::new(move |_| {
                aborts.fetch_add(1, Ordering::Relaxed);
            }),
        };
        Sqlite::open(self.settings.clone(), &self.keys, role, parts)
    }

    /// Goes on with what a killed process would leave: the files as they are now, without a word to their owner.
    pub(super) fn crash(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let left = self.dir.path().join(format!("left-{number}"));
        std::fs::create_dir(&left).unwrap();
        let path = left.join("inbox.db");
        for ending in ["", "-wal"] {
            let name = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
            std::fs::copy(name(&self.settings.path), name(&path)).unwrap();
        }
        self.settings.path = path;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Every byte that the inbox has on the disk, keys apart.
    pub(super) fn bytes_on_disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.settings.path.parent().unwrap()).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }
}

pub(super) fn north() -> TenantName {
    TenantName::new("north")
}

/// An arrival, described.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) study: u8,
    pub(super) report: u8,
    pub(super) body: String,
    pub(super) triple: Option<u8>,
    /// When it was signed, before now.
    pub(super) signed_ago_s: u64,
    pub(super) quarantine: Option<QuarantineReason>,
}

/// One that nothing speaks against.
pub(super) fn arrival(study: u8, body: &str) -> Arrival {
    Arrival {
        study,
        report: 0,
        body: body.to_owned(),
        triple: None,
        signed_ago_s: 0,
        quarantine: None,
    }
}

impl Arrival {
    pub(super) fn event(&self, tags: &Tags, now: Timestamp) -> NewEvent {
        let tenant = north();
        let (study, report) = (format!("S{}", self.study), format!("R{}", self.report));
        let signed = self.triple.map(|triple| {
            let signed_at = now.as_millis() - self.signed_ago_s * 1000;
            Signed {
                triple: tags.triple(&tenant, "900001", Timestamp::from_millis(triple.into()), b"signature"),
                signed_at: Timestamp::from_millis(signed_at),
                valid_until: Timestamp::from_millis(signed_at + 300_000),
            }
        });
        let identity = tags.identity(&tenant, "H1", &study, &report, 1);
        let gist = tags.gist(&tenant, identity, ["0", "", "", &self.body]);
        NewEvent {
            study: tags.study(&tenant, "H1", &study),
            identity,
            body: tags.body(&tenant, self.body.as_bytes()),
            payload: Payload::new(Zeroizing::new(self.body.clone().into_bytes())),
            signed,
            quarantine: self.quarantine,
            received_at: now,
            origin: Origin::Callback { gist },
            tenant,
        }
    }
}

/// Waits for an answer of the inbox.
pub(super) fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(answer)
}

pub(super) fn append(bed: &Bed, inbox: &dyn Inbox, arrival: &Arrival) -> super::Appended {
    wait(inbox.append(arrival.event(inbox.tags(), bed.now()))).unwrap()
}

pub(super) fn lease(inbox: &dyn Inbox, limit: usize) -> Vec<(Lease, String)> {
    let leases = wait(inbox.lease(&north(), limit, Duration::from_secs(60))).unwrap();
    let text = |payload: Payload| String::from_utf8(payload.as_bytes().to_vec()).unwrap();
    leases
        .events
        .into_iter()
        .map(|leased| (leased.lease, text(leased.payload)))
        .collect()
}

pub(super) fn settle(inbox: &dyn Inbox, lease: Lease, outcome: Outcome) {
    wait(inbox.settle(lease, outcome)).unwrap();
}

pub(super) fn list(inbox: &dyn Inbox) -> Vec<Summary> {
    wait(inbox.list(Filter::default(), None, 10_000)).unwrap()
}

pub(super) fn states(inbox: &dyn Inbox) -> Vec<State> {
    list(inbox).iter().map(|event| event.state).collect()
}
