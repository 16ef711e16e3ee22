//! A whole inbox from one store into another: everything as it is, sealed as it is, in one transaction of the target.
//!
//! Keys do not travel: both stores are opened with the same files. What was written is read again and compared row by row
//! before it is committed, so the copy is whole or not there at all, and can be begun again.

use std::path::{Path, PathBuf};

use super::postgres::{self, Postgres};
use super::sqlite::{self, KeyFiles, Role, Sqlite};

/// What there is one of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of the key that seals the tags' key, and that key sealed.
    pub(super) tag_key: (Vec<u8>, Vec<u8>),
    pub(super) tenants: Vec<Tenant>,
    /// The number that comes next.
    pub(super) next: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) parked: bool,
    pub(super) reconciled_from: Option<i64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) seq: i64,
    pub(super) id: Vec<u8>,
    pub(super) tenant: String,
    pub(super) study: Vec<u8>,
    pub(super) identity: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) state: i16,
    pub(super) verified: i16,
    pub(super) reason: Option<String>,
    pub(super) received_at: i64,
    pub(super) since: i64,
    pub(super) queued_at: i64,
    pub(super) due_at: i64,
    pub(super) place: i64,
    pub(super) head: bool,
    pub(super) attempts: i32,
    pub(super) leases: i64,
    pub(super) bytes: i64,
    pub(super) gist: Option<Vec<u8>>,
    /// The id of its key, and the sealed payload.
    pub(super) payload: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) triple: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) first_at: i64,
    pub(super) forget_at: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) number: i64,
    pub(super) at: i64,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) events: Vec<u8>,
}

/// Rows that are read and written at a time.
pub(super) const PAGE: i64 = 500;

/// A store that is read from, or written to, alone; everything in one transaction.
pub(super) trait Store {
    fn head(&mut self) -> Result<Head, CopyError>;
    fn events(&mut self, after: i64) -> Result<Vec<Event>, CopyError>;
    fn signatures(&mut self, after: Option<&Signature>) -> Result<Vec<Signature>, CopyError>;
    fn notes(&mut self, after: i64) -> Result<Vec<Note>, CopyError>;

    fn write_head(&mut self, head: &Head) -> Result<(), CopyError>;
    fn write_events(&mut self, events: &[Event]) -> Result<(), CopyError>;
    fn write_signatures(&mut self, signatures: &[Signature]) -> Result<(), CopyError>;
    fn write_notes(&mut self, notes: &[Note]) -> Result<(), CopyError>;
    fn commit(&mut self) -> Result<(), CopyError>;
}

/// Why nothing was copied. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file cannot be opened.
    #[error(transparent)]
    File(#[from] sqlite::OpenError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// A gateway works on it.
    #[error("gateways work on the database: stop them, so that nothing comes meanwhile")]
    InUse,
    /// Something is in the target.
    #[error("the target has events, signatures or notes of its own: an inbox is copied into an empty one only")]
    NotEmpty,
    /// A statement failed.
    #[error("{store}: a statement failed ({word}); nothing was copied")]
    Failed {
        /// In which store.
        store: &'static str,
        /// How.
        word: &'static str,
    },
    /// What was written reads otherwise.
    #[error("what was written reads otherwise than what was read ({0}); nothing was copied")]
    Differs(&'static str),
    /// The system denied a resource.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] std::io::Error),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Events.
    pub events: u64,
    /// Of them, those with their content.
    pub payloads: u64,
    /// Bytes of sealed content.
    pub bytes: u64,
    /// Remembered signatures.
    pub signatures: u64,
    /// Notes of what operators did.
    pub acts: u64,
}

/// Which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// From this file into the database.
    FromFile(PathBuf),
    /// From the database into this file.
    ToFile(PathBuf),
}

/// Copies a whole inbox. `file` are the settings of the one in the file but for its path.
///
/// # Errors
/// [`CopyError`]; the target is as it was then.
pub fn copy(
    way: Way,
    mut file: sqlite::Settings,
    database: postgres::Settings,
    keys: &KeyFiles,
    parts: impl Fn() -> super::Parts,
) -> Result<Copied, CopyError> {
    let (path, into_database) = match way {
        Way::FromFile(path) => (path, true),
        Way::ToFile(path) => (path, false),
    };
    file.path = path;
    // Dropped behind all that has files open.
    let mut made = Made::of(&file.path);
    let roles = if into_database {
        (Role::Command, Role::Gateway)
    } else {
        (Role::Gateway, Role::Command)
    };
    // Each is opened as ever once, which checks versions and keys, and makes the target.
    let (file_parts, database_parts) = (parts(), parts());
    let look_at_file = || {
        let parts = sqlite::Parts {
            clock: file_parts.clock,
            metrics: file_parts.metrics,
            abort: file_parts.abort,
        };
        Sqlite::open(file.clone(), keys, roles.0, parts).map(drop)
    };
    let look_at_database = || {
        let parts = postgres::Parts {
            clock: database_parts.clock,
            time: postgres::Time::Database,
            metrics: database_parts.metrics,
            on_contact: database_parts.on_contact,
            abort: database_parts.abort,
        };
        Postgres::open(database.clone(), keys, roles.1, parts).map(drop)
    };
    // The source first: where it is not there, nothing is made.
    if into_database {
        look_at_file()?;
        look_at_database()?;
    } else {
        look_at_database()?;
        look_at_file()?;
    }
    let mut file = sqlite::Whole::open(&file)?;
    let mut database = postgres::Whole::open(&database)?;
    let copied = if into_database {
        transfer(&mut file, &mut database)
    } else {
        transfer(&mut database, &mut file)
    }?;
    made.stays();
    Ok(copied)
}

/// What opening the target makes, and what goes again where nothing was copied.
struct Made {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Made {
    /// What is not there yet of an inbox in this file.
    fn of(path: &Path) -> Self {
        let beside = ["", "-wal", "-shm", "-lock"].map(|ending| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        });
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        Self {
            files: beside.into_iter().filter(|file| !file.exists()).collect(),
            directories: above.take_while(|above| !above.exists()).map(PathBuf::from).collect(),
        }
    }

    fn stays(&mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
        for directory in &self.directories {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

fn transfer(from: &mut dyn Store, to: &mut dyn Store) -> Result<Copied, CopyError> {
    let is_empty = to.events(0)?.is_empty() && to.signatures(None)?.is_empty() && to.notes(0)?.is_empty();
    if !is_empty {
        return Err(CopyError::NotEmpty);
    }
    let mut copied = Copied::default();
    let head = from.head()?;
    to.write_head(&head)?;
    let mut after = 0;
    loop {
        let page = from.events(after)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        to.write_events(&page)?;
        copied.events += page.len() as u64;
        for (_, sealed) in page.iter().filter_map(|event| event.payload.as_ref()) {
            copied.payloads += 1;
            copied.bytes += sealed.len() as u64;
        }
    }
    let mut last = None;
    loop {
        let mut page = from.signatures(last.as_ref())?;
        to.write_signatures(&page)?;
        copied.signatures += page.len() as u64;
        last = page.pop();
        if last.is_none() {
            break;
        }
    }
    let mut after = 0;
    loop {
        let page = from.notes(after)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        to.write_notes(&page)?;
        copied.acts += page.len() as u64;
    }
    same(from, to)?;
    to.commit()?;
    Ok(copied)
}

/// Reads both from the beginning and compares everything.
fn same(one: &mut dyn Store, other: &mut dyn Store) -> Result<(), CopyError> {
    let equal = |same: bool, what| if same { Ok(()) } else { Err(CopyError::Differs(what)) };
    equal(one.head()? == other.head()?, "tenants or keys")?;
    let mut after = 0;
    loop {
        let page = one.events(after)?;
        equal(page == other.events(after)?, "events")?;
        let Some(last) = page.last() else { break };
        after = last.seq;
    }
    let mut last = None;
    loop {
        let mut page = one.signatures(last.as_ref())?;
        equal(page == other.signatures(last.as_ref())?, "signatures")?;
        last = page.pop();
        if last.is_none() {
            break;
        }
    }
    let mut after = 0;
    loop {
        let page = one.notes(after)?;
        equal(page == other.notes(after)?, "notes")?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
    }
}
