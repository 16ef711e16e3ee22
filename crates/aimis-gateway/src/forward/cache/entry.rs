//! A kept answer, and what it may still serve for.

use std::sync::Arc;
use std::time::Duration;

use super::buffers::{Buffers, room};
use super::key::PatientTags;
use super::terms::Life;
use crate::clock::Moment;
use crate::tenant::TenantName;
use crate::upstream::reply::Reply;

/// What an entry costs beside its body, as measured: itself, its places in the store, the index and the list of ends.
pub(super) const OVERHEAD: usize = 1088;

/// What an answer is about: whatever it can be dropped by.
#[derive(Clone)]
pub struct Subject {
    /// Whose.
    pub tenant: TenantName,
    /// Position of its API.
    pub api: usize,
    /// Its patient.
    pub patient: PatientTags,
}

/// A kept answer. Its body lies in memory of its own, wiped when the last reference to it goes.
pub struct Entry {
    reply: Reply,
    subject: Subject,
    asked_at: Moment,
    life: Life,
    /// Of a copy of what replicas share: which of theirs it is.
    original: Option<Original>,
}

/// What replicas share, as far as it tells one of them from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Drawn for it.
    pub version: [u8; 16],
    /// When it was asked for, by the store's clock.
    pub asked_at_ms: u64,
}

/// What an entry may serve for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// In place of the platform's answer.
    Fresh,
    /// At once, while the platform is asked for the next; as well as where the platform fails.
    WhileRevalidate,
    /// Where the platform fails.
    IfError,
    /// Nothing more.
    Dead,
}

impl Entry {
    /// Keeps a copy of `reply`. Its age counts from `asked_at`, when the platform was asked: it may have made the
    /// answer at any time since.
    pub(super) fn new(reply: &Reply, buffers: &Arc<Buffers>, subject: Subject, asked_at: Moment, life: Life) -> Self {
        Self {
            reply: reply.alone(|body| buffers.keep(body)),
            subject,
            asked_at,
            life,
            original: None,
        }
    }

    /// The same as a copy of what replicas share.
    #[must_use]
    pub(super) fn of(self, original: Original) -> Self {
        Self {
            original: Some(original),
            ..self
        }
    }

    /// Which entry of those that replicas share it is a copy of.
    pub(super) fn version(&self) -> Option<[u8; 16]> {
        self.original.map(|original| original.version)
    }

    /// Whether all that is said of an entry with its version is what was said when it was opened.
    pub(super) fn is_of(&self, original: Original, life: Life) -> bool {
        let millis = |life: Life| [life.fresh, life.while_revalidate, life.if_error].map(|part| part.as_millis());
        self.original == Some(original) && millis(self.life) == millis(life)
    }

    /// The answer.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Time since it was asked for.
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.asked_at)
    }

    /// Seconds that it is still fresh; below 0 since when it is not.
    pub fn ttl(&self, now: Moment) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.life.fresh) - seconds(self.age(now))
    }

    /// When nothing can be served from it any more.
    pub fn end(&self) -> Moment {
        self.asked_at.after(self.life.longest())
    }

    /// What it may serve for now.
    pub fn freshness(&self, now: Moment) -> Freshness {
        let age = self.age(now);
        if age < self.life.fresh {
            Freshness::Fresh
        } else if age < self.life.while_revalidate {
            Freshness::WhileRevalidate
        } else if age < self.life.if_error {
            Freshness::IfError
        } else {
            Freshness::Dead
        }
    }

    /// Bytes that it takes, roughly.
    pub fn cost(&self) -> usize {
        Self::cost_of(&self.reply)
    }

    /// Bytes that an entry of `reply` would take.
    pub fn cost_of(reply: &Reply) -> usize {
        room(reply.body().len()) + OVERHEAD
    }
}
