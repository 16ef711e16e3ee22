//! What is asked of the store about one answer: whether it is there, to keep it, to end its generations.
//!
//! A *generation* is a random text under a key of its own: one for an API, one for each number of a patient. An answer is
//! kept together with the generations that it was asked under, and serves only while all of these are what they were. So one
//! act (dropping a generation) ends all answers about a patient, those that are still on their way among them, whatever they
//! were asked about and by whom. A generation that is lost ends them as well: by eviction, by a restart, by a failover to a
//! server that had not heard of the act. What is unsure is asked again.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};

use super::ask::{bytes, integer};
use super::script::Script;

/// Tells an entry from every other; also the token of whoever asked for it.
pub type Token = [u8; 16];

/// The keys of an answer. All have one hash tag, so that a cluster has them in one place.
#[derive(Clone, Debug)]
pub struct Names {
    /// The tenant's data key.
    pub data_key: String,
    /// The entry.
    pub entry: String,
    /// The lease of whoever asks for it.
    pub lease: String,
    /// Its generations.
    pub generations: Vec<String>,
}

/// What of an entry may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nothing.
    Nothing,
    /// What is fresh.
    Fresh,
    /// What is fresh, or serves while the next is asked for.
    WhileRevalidate,
    /// All that there is.
    Anything,
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct LookUp<'a> {
    /// Its keys.
    pub names: &'a Names,
    /// The data key that the caller goes by.
    pub key_id: [u8; 8],
    /// What may be used.
    pub usable: Use,
    /// The version that the caller has: its value is not sent again.
    pub have: Option<Token>,
    /// The oldest that may be used; `None` for any.
    pub max_age: Option<Duration>,
    /// Drawn by the caller for this question.
    pub token: Token,
    /// How long others wait for the caller's answer; `None` where they need not.
    pub lease: Option<Duration>,
    /// How long the question may take; `None` if it does not go to the platform.
    pub asks: Option<Duration>,
}

/// What the store knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The generations now, one behind the other; empty where one is missing and the question does not go on.
    pub generations: Bytes,
    /// The entry, also one that may not be used.
    pub found: Option<Found>,
    /// There was one that no gateway wrote so; it is gone.
    pub damaged: bool,
    /// Its value; empty if the caller has it, or may not use it.
    pub value: Bytes,
    /// Who asks for it just now.
    pub holder: Option<Token>,
    /// The tenant's data key, wrapped, where it is another than the caller's; empty where there is none.
    pub other_key: Bytes,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub version: Token,
    /// When it was asked for: milliseconds of the store's clock.
    pub asked_at_ms: u64,
    /// How long it serves: fresh, while the next is asked for, where the platform fails.
    pub lives: [Duration; 3],
}

/// What becomes of an entry when its question ends.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// There is an answer, kept in place of the entry.
    Entry {
        /// How long it serves: fresh, while the next is asked for, where the platform fails.
        lives_ms: [u64; 3],
        /// The value.
        value: &'a [u8],
    },
    /// The entry is not true any more.
    Forget,
    /// The entry stays.
    Leave,
}

/// The end of a question.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Its keys.
    pub names: &'a Names,
    /// The data key that the caller goes by.
    pub key_id: [u8; 8],
    /// The caller's, and the version of what is kept.
    pub token: Token,
    /// The generations that it was asked under.
    pub generations: &'a [u8],
    /// When it was asked: milliseconds of the store's clock.
    pub asked_at_ms: u64,
    /// What becomes of the entry.
    pub keep: Keep<'a>,
}

/// What came of the end of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its generations are what they were: its answer is good for whoever came before its end.
    pub current: bool,
    /// It is kept.
    pub kept: bool,
}

impl Found {
    /// How old it is by the store's clock.
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.asked_at_ms))
    }
}

impl Seen {
    /// The part of the answer from `version` to `holder`.
    pub(super) fn read(told: &mut impl Iterator<Item = Value>) -> Option<Self> {
        let version = bytes(told.next()?)?;
        let generations = bytes(told.next()?)?.into();
        let asked_at_ms = integer(&told.next()?)?;
        let mut lives = [Duration::ZERO; 3];
        for life in &mut lives {
            *life = Duration::from_millis(integer(&told.next()?)?);
        }
        let value = bytes(told.next()?)?.into();
        let holder = bytes(told.next()?)?;
        Some(Self {
            generations,
            value,
            holder: holder.try_into().ok(),
            damaged: !matches!(version.len(), 0 | 16),
            found: version.try_into().ok().map(|version| Found {
                version,
                asked_at_ms,
                lives,
            }),
            other_key: Bytes::new(),
        })
    }
}

/// The script that ends a question.
pub const KEEP: &str = include_str!("keep.lua");
/// The script that ends generations.
pub const FORGET: &str = include_str!("forget.lua");

/// The scripts.
pub(super) struct Scripts {
    pub(super) keep: Script,
    pub(super) forget: Script,
    pub(super) adopt: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            keep: Script::new(KEEP),
            forget: Script::new(FORGET),
            adopt: Script::new(include_str!("adopt.lua")),
        }
    }
}

impl Names {
    fn count(&self) -> usize {
        3 + self.generations.len()
    }

    fn write(&self, cmd: &mut Cmd) {
        cmd.arg(&self.data_key)
            .arg(&self.entry)
            .arg(&self.lease)
            .arg(&self.generations);
    }
}

impl<'a> LookUp<'a> {
    /// The same for one that does not go to the platform.
    #[must_use]
    pub fn only(self) -> Self {
        Self {
            lease: None,
            asks: None,
            ..self
        }
    }

    /// Gives its lease back, since nobody is asked after all.
    pub fn given_up(&self) -> End<'a> {
        End {
            names: self.names,
            key_id: self.key_id,
            token: self.token,
            generations: &[],
            asked_at_ms: 0,
            keep: Keep::Leave,
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.names.count()
    }

    pub(super) fn write_keys(&self, cmd: &mut Cmd) {
        self.names.write(cmd);
    }

    pub(super) fn write_arguments(&self, cmd: &mut Cmd) {
        let usable = match self.usable {
            Use::Nothing => 0,
            Use::Fresh => 1,
            Use::WhileRevalidate => 2,
            Use::Anything => 3,
        };
        cmd.arg(&self.key_id[..])
            .arg(usable)
            .arg(self.have.as_ref().map_or(&[][..], |version| &version[..]))
            .arg(self.max_age.map_or(-1, millis))
            .arg(&self.token[..])
            .arg(self.lease.map_or(0, millis))
            .arg(self.asks.map_or(0, millis));
    }
}

impl End<'_> {
    /// Bytes of what is kept.
    pub(super) fn length(&self) -> usize {
        match self.keep {
            Keep::Entry { value, .. } => value.len(),
            Keep::Forget | Keep::Leave => 0,
        }
    }

    /// Writes keys and arguments.
    pub fn write(&self, cmd: &mut Cmd) {
        cmd.arg(self.names.count());
        self.names.write(cmd);
        let (what, lives, value) = match self.keep {
            Keep::Entry { lives_ms, value } => ("keep", lives_ms, value),
            Keep::Forget => ("forget", [0; 3], &[][..]),
            Keep::Leave => ("leave", [0; 3], &[][..]),
        };
        cmd.arg(&self.key_id[..])
            .arg(&self.token[..])
            .arg(self.generations)
            .arg(what)
            .arg(&self.token[..])
            .arg(self.asked_at_ms)
            .arg(&lives)
            .arg(value);
    }

    /// Reads what the script says.
    pub fn read(value: &Value) -> Ended {
        let told = if let Value::Int(told) = value { *told } else { 0 };
        Ended {
            current: told > 0,
            kept: told == 2,
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
