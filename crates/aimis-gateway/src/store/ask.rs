//! What a request asks the store, and what it hears: all limits and a look-up in one call.

use std::time::Duration;

use redis::{Cmd, Value};

use super::look::{LookUp, Seen};
use super::script::Script;

/// Limits that one request can meet.
pub const MOST_LIMITS: usize = 4;

/// The judge of requests. The time is the store's own.
const TEXT: &str = concat!(
    "local clock = redis.call('TIME')\n",
    include_str!("look.lua"),
    include_str!("ask.lua")
);

/// The same, but for the time, which is the last two arguments: seconds and microseconds since 1970. For tests, since a
/// caller must not choose the time.
pub const ASK_AT: &str = concat!(
    "local clock = {ARGV[#ARGV - 1], ARGV[#ARGV]}\n",
    include_str!("look.lua"),
    include_str!("ask.lua")
);

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

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// What is left of each limit, in the order of the question; 0 for those that were not judged.
    pub left: [u32; MOST_LIMITS],
    /// The store's time, in milliseconds since 1970.
    pub now_ms: u64,
    /// What was seen where something was looked up.
    pub seen: Seen,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on to the platform; everything is taken, and the lease, if it was wanted.
    Granted(Granted),
    /// It may not; nothing is taken.
    Refused {
        /// The limit's position in the question.
        limit: usize,
        /// When it may come again.
        wait: Duration,
    },
    /// What was found is its answer; only limits `for_hits` are taken.
    Hit {
        /// It is no longer fresh, and the caller may ask for the next: everything is taken for that, and the lease.
        refresh: Option<Granted>,
    },
    /// Another one asks the platform just now; only limits `for_hits` are taken.
    Held {
        /// How long the lease lasts at most.
        rest: Duration,
    },
    /// The tenant has another data key than the caller goes by; nothing is taken.
    OtherKey,
}

/// A question may go to the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// When; zero for at once.
    pub wait: Duration,
}

/// The script that judges.
pub(super) fn script() -> Script {
    Script::new(TEXT)
}

impl Ask<'_> {
    /// A key of it: all are in one place of a cluster. Empty where there is none.
    pub(super) fn first_key(&self) -> &str {
        let limit = self.limits.first().map(|limit| limit.key);
        limit
            .or_else(|| Some(self.look_up?.names.data_key.as_str()))
            .unwrap_or_default()
    }

    /// Writes keys and arguments.
    pub fn write(&self, cmd: &mut Cmd) {
        debug_assert!(self.limits.len() <= MOST_LIMITS);
        let keys = self.limits.len() + self.look_up.as_ref().map_or(0, LookUp::keys);
        cmd.arg(keys);
        for limit in self.limits {
            cmd.arg(limit.key);
        }
        if let Some(look_up) = &self.look_up {
            look_up.write_keys(cmd);
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
            look_up.write_arguments(cmd);
        }
    }
}

impl Answer {
    /// Reads what the script says about `limits` limits; `None` if that is something else.
    pub fn read(value: Value, limits: usize) -> Option<Self> {
        let Value::Array(told) = value else { return None };
        if told.len() != 13 + limits || limits > MOST_LIMITS {
            return None;
        }
        let mut told = told.into_iter();
        let status = integer(&told.next()?)?;
        let which = integer(&told.next()?)?;
        let wait = Duration::from_micros(integer(&told.next()?)?);
        let now_ms = integer(&told.next()?)?;
        let mut seen = Seen::read(&mut told)?;
        let rest = Duration::from_millis(integer(&told.next()?)?);
        let mut left = [0; MOST_LIMITS];
        for (left, told) in left.iter_mut().zip(told) {
            *left = u32::try_from(integer(&told)?).unwrap_or(u32::MAX);
        }
        let verdict = match status {
            0 => Verdict::Granted(Granted { wait }),
            1 => Verdict::Refused {
                limit: usize::try_from(which)
                    .ok()?
                    .checked_sub(1)
                    .filter(|limit| *limit < limits)?,
                wait,
            },
            2 => Verdict::Hit { refresh: None },
            3 => Verdict::Held { rest },
            4 => Verdict::Hit {
                refresh: Some(Granted { wait }),
            },
            5 => {
                seen.other_key = std::mem::take(&mut seen.value);
                Verdict::OtherKey
            }
            _ => return None,
        };
        Some(Self {
            verdict,
            left,
            now_ms,
            seen,
        })
    }
}

/// Microseconds with what is left of one, rounded up: nobody gets more than the quota.
fn micros(time: Duration) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:03}", nanos / 1_000, nanos % 1_000)
}

pub(super) fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}
