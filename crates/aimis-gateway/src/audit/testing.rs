//! A trail of tests: in a directory of its own, on a disk that fails when told to.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aimis_core::order::Patient;
use aimis_core::sign::Timestamp;

use super::files::Trail;
use super::journal::{Bounds, Journal};
use super::keys::Keys;
use super::open::{Found, lock, open};
use super::record::{Kind, Record};
use super::verify::{Expected, Report, verify};
use crate::callback::inbox::testing::TempDir;
use crate::tenant::TenantName;

/// What the disk does not do.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) full: AtomicBool,
    pub(super) unsynced: AtomicBool,
}

impl Faults {
    pub(super) fn writing(&self) -> io::Result<()> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    pub(super) fn syncing(&self) -> io::Result<()> {
        match self.unsynced.load(Ordering::Relaxed) {
            true => Err(io::Error::other("no sync")),
            false => Ok(()),
        }
    }
}

/// The moment at which trails of tests begin.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000);

pub(super) fn later(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + seconds * 1_000)
}

/// A directory with a trail, under keys of one byte each: the current one first.
pub(super) struct Bed {
    pub(super) directory: TempDir,
    pub(super) keys: Vec<u8>,
    pub(super) file: u64,
    pub(super) all: u64,
}

impl Bed {
    pub(super) fn new() -> Self {
        Self {
            directory: TempDir::new(),
            keys: vec![1],
            file: 4_096,
            all: 1 << 30,
        }
    }

    pub(super) fn keys(&self) -> Arc<Keys> {
        let keys: Vec<[u8; 32]> = self.keys.iter().map(|byte| [*byte; 32]).collect();
        Arc::new(Keys::new(&keys[0], &keys[1..]))
    }

    pub(super) fn try_open(&self, now: Timestamp) -> Result<(Journal, Found), String> {
        let bounds = Bounds {
            directory: self.directory.path().to_owned(),
            file: self.file,
            all: self.all,
            export: false,
            retention: Some(std::time::Duration::from_secs(86_400 * 10)),
        };
        let told = |error: super::open::OpenError| error.to_string();
        let lock = lock(Trail::Gateway, self.directory.path(), false).map_err(told)?;
        open(bounds, Trail::Gateway, self.keys(), now, lock).map_err(told)
    }

    pub(super) fn open(&self) -> Journal {
        let (journal, found) = self.try_open(NOW).unwrap();
        assert!(found.anomalies.is_empty(), "{found:?}");
        journal
    }

    /// A trail with so many look-ups, closed, over several files.
    pub(super) fn with(records: u64) -> Self {
        let bed = Self::new();
        let mut journal = bed.open();
        look_ups(&mut journal, 0..records);
        journal.close(later(records)).unwrap();
        bed
    }

    pub(super) fn verify(&self) -> Report {
        self.verify_expecting(&Expected::default())
    }

    pub(super) fn verify_expecting(&self, expected: &Expected) -> Report {
        let report = verify(
            self.directory.path(),
            Trail::Gateway,
            &self.keys(),
            expected,
            &mut |_| true,
        );
        report.unwrap().unwrap()
    }

    /// The files, in their order.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let names = super::files::list(Trail::Gateway, self.directory.path()).unwrap();
        let path = |name: &super::files::Name| name.path(Trail::Gateway, self.directory.path());
        names.iter().map(path).collect()
    }
}

/// Adds look-ups and makes them durable, file after file.
pub(super) fn look_ups(journal: &mut Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let now = later(number);
        if journal.is_full(now) {
            journal.roll(now).unwrap();
        }
        let record = look_up(journal, number);
        journal.add(record.at, |line| record.write(line));
    }
    journal.sync(later(0)).unwrap();
}

pub(super) fn look_up(journal: &Journal, number: u64) -> Record {
    let mut record = Record::new(Kind::Lookup, later(number));
    record.tenant = Some(TenantName::new("north"));
    let phone = phone(number);
    let patient = Patient::new(None, Some(&phone));
    record.subject = journal.keys.current().tagger.patient("north", &patient);
    record.count = Some(number);
    record
}

/// The telephone of the patient with this number.
pub(super) fn phone(number: u64) -> String {
    format!("1380013{:04}", number % 10_000)
}
