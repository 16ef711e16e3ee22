//! What a request asks the store, and what it hears: all limits and a look-up in one call.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value};

use super::script::Script;

/// Limits that one request can meet.
pub const MOST_LIMITS: usize = 4;

/// Bytes in front of an entry's value: version, guard, when it was made, until when it is fresh.
pub const ENTRY_HEAD: usize = 58;

/// The judge of requests. The time is the store's own.
const TEXT: &str = concat!("local clock = redis.call('TIME')\n", include_str!("ask.lua"));

/// The same, but for the time, which is the last two arguments: seconds and microseconds since 1970. For tests, since a
/// caller must not choose the time.
pub const ASK_AT: &str = concat!(
    "local clock = {ARGV[#ARGV - 1], ARGV[#ARGV]}\n",
    include_str!("ask.lua")
);

/// Tells two versions of one entry apart. The empty version, all zeroes, is none's.
pub type Version = [u8; 16];

/// What an entry depends on: it is of no use once its guard is another. All zeroes where no guard was ever set.
pub type Guard = [u8; 16];

/// Who holds a lease.
pub type Token = [u8; 16];

/// What one request asks. All keys have one hash tag, so that a cluster has them in one place.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// At most [`MOST_LIMITS`]. One that refuses takes nothing of the others.
    pub limits: &'a [Take<'a>],
    /// What is looked up before the limits of the platform are taken of.
    pub look_up: Option<LookUp<'a>>,
}

/// What a request takes of one limit.
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    /// Its key.
    pub key: &'a str,
    /// The time from one to the next; parts of a microsecond count.
    pub period: Duration,
    /// So many at once.
    pub burst: u32,
    /// How much the request counts; more than the burst costs all of it.
    pub weight: u32,
    /// How long the request may wait for its turn, which is taken now.
    pub max_wait: Duration,
    /// It is taken for a hit, and for one that another holds the lease of, as well.
    pub for_hits: bool,
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct LookUp<'a> {
    /// The entry's key.
    pub entry: &'a str,
    /// The key of its guard.
    pub guard: &'a str,
    /// The key of the lease.
    pub lease: &'a str,
    /// Whether an entry may be used at all; otherwise only guard and lease are of interest.
    pub usable: bool,
    /// The version that the caller has: its value is not sent again.
    pub have: Option<Version>,
    /// The oldest that may be used; `None` for any.
    pub max_age: Option<Duration>,
    /// How long beyond its freshness it may be used.
    pub stale: Duration,
    /// Take the lease on a miss: who asks, and for how long at most. With `None` there is no question of it.
    pub claim: Option<(Token, Duration)>,
}

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// What is left of each limit, in the order of the question; 0 for those that were not judged.
    pub left: [u32; MOST_LIMITS],
    /// The store's time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The guard as it is, where something was looked up.
    pub guard: Guard,
    /// The entry, also one that is too old. One with another guard is none.
    pub found: Option<Found>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on to the platform after `wait`; everything is taken, and the lease, if it was claimed.
    Granted {
        /// Zero for at once.
        wait: Duration,
    },
    /// It may not; nothing is taken.
    Refused {
        /// The limit's position in the question.
        limit: usize,
        /// When it may come again.
        wait: Duration,
    },
    /// [`Answer::found`] is its answer; only limits `for_hits` are taken.
    Hit,
    /// Another one asks the platform just now; only limits `for_hits` are taken.
    Held {
        /// How long the lease lasts at most.
        rest: Duration,
    },
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub version: Version,
    /// When it was made, by the store's time.
    pub made_ms: u64,
    /// Until when it is fresh.
    pub until_ms: u64,
    /// Its value; `None` if the caller has it, or it is of no use.
    pub value: Option<Bytes>,
}

/// An entry to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Its key.
    pub entry: &'a str,
    /// The key of its guard.
    pub guard_key: &'a str,
    /// The key of the lease.
    pub lease: &'a str,
    /// Never all zeroes.
    pub version: Version,
    /// The guard when the question began: [`Answer::guard`].
    pub guard: Guard,
    /// How long it is fresh.
    pub fresh: Duration,
    /// How long it is kept; zero keeps nothing and gives the lease back.
    pub kept: Duration,
    /// The value.
    pub value: &'a [u8],
    /// The lease to be given back.
    pub claim: Option<Token>,
}

/// The script that judges.
pub(super) fn script() -> Script {
    Script::new(TEXT)
}

/// The script that keeps.
pub(super) fn put_script() -> Script {
    Script::new(include_str!("put.lua"))
}

impl Ask<'_> {
    /// Writes keys and arguments.
    pub fn write(&self, cmd: &mut Cmd) {
        debug_assert!(self.limits.len() <= MOST_LIMITS);
        let keys = self.limits.len() + if self.look_up.is_some() { 3 } else { 0 };
        cmd.arg(keys);
        for limit in self.limits {
            cmd.arg(limit.key);
        }
        if let Some(look_up) = &self.look_up {
            cmd.arg(look_up.entry).arg(look_up.guard).arg(look_up.lease);
        }
        cmd.arg(self.limits.len());
        for limit in self.limits {
            cmd.arg(micros(limit.period))
                .arg(limit.burst)
                .arg(limit.weight)
                .arg(micros(limit.max_wait))
                .arg(u8::from(limit.for_hits));
        }
        if let Some(look_up) = &self.look_up {
            let (token, life) = match &look_up.claim {
                Some((token, life)) => (&token[..], *life),
                None => (&[][..], Duration::ZERO),
            };
            cmd.arg(u8::from(look_up.usable))
                .arg(look_up.have.as_ref().map_or(&[][..], |version| &version[..]))
                .arg(look_up.max_age.map_or(-1, millis))
                .arg(millis(look_up.stale))
                .arg(token)
                .arg(millis(life).max(1));
        }
    }
}

impl Put<'_> {
    pub(super) fn write(&self, cmd: &mut Cmd) {
        cmd.arg(3)
            .arg(self.entry)
            .arg(self.guard_key)
            .arg(self.lease)
            .arg(&self.version[..])
            .arg(&self.guard[..])
            .arg(millis(self.fresh))
            .arg(millis(self.kept))
            .arg(self.value)
            .arg(self.claim.as_ref().map_or(&[][..], |token| &token[..]));
    }
}

impl Answer {
    /// Reads what the script says about `limits` limits; `None` if that is something else.
    pub fn read(value: Value, limits: usize) -> Option<Self> {
        let Value::Array(told) = value else { return None };
        if told.len() != 10 + limits || limits > MOST_LIMITS {
            return None;
        }
        let mut told = told.into_iter();
        let status = integer(&told.next()?)?;
        let which = integer(&told.next()?)?;
        let wait = Duration::from_micros(integer(&told.next()?)?);
        let now_ms = integer(&told.next()?)?;
        let version = bytes(told.next()?)?;
        let guard = bytes(told.next()?)?;
        let made_ms = integer(&told.next()?)?;
        let until_ms = integer(&told.next()?)?;
        let value = bytes(told.next()?)?;
        let rest = Duration::from_millis(integer(&told.next()?)?);
        let mut left = [0; MOST_LIMITS];
        for (left, told) in left.iter_mut().zip(told) {
            *left = u32::try_from(integer(&told)?).unwrap_or(u32::MAX);
        }
        let verdict = match status {
            0 => Verdict::Granted { wait },
            1 => Verdict::Refused {
                limit: usize::try_from(which)
                    .ok()?
                    .checked_sub(1)
                    .filter(|limit| *limit < limits)?,
                wait,
            },
            2 => Verdict::Hit,
            3 => Verdict::Held { rest },
            _ => return None,
        };
        let found = match version.len() {
            0 => None,
            _ => Some(Found {
                version: version[..].try_into().ok()?,
                made_ms,
                until_ms,
                value: (!value.is_empty()).then(|| value.into()),
            }),
        };
        let guard = match guard.len() {
            0 => Guard::default(),
            _ => guard[..].try_into().ok()?,
        };
        Some(Self {
            verdict,
            left,
            now_ms,
            guard,
            found,
        })
    }
}

/// Microseconds with what is left of one, rounded up: nobody gets more than the quota.
fn micros(time: Duration) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}
