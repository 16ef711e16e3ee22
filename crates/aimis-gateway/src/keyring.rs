//! The tokens of one tenant: one that requests are signed with, and others that are live beside it.
//!
//! | a token is named by | callbacks | requests |
//! |---|---|---|
//! | `token_file` | taken | from the start; after a change of the file when the canary was answered |
//! | `next_token_file` | taken | when the canary was answered |
//! | `previous_token_file` | taken | only if the platform refuses the others |
//! | no file any more | taken for `rotation.overlap_s` | the same |
//!
//! The set never changes: a reload makes another [`Keyring`] out of this one. What does change is which of them is in
//! use, and that is one number, so that whoever holds a [`Key`] has one for signature *and* encryption.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aimis_core::cipher::FieldCipher;
use aimis_core::sign::{Signed, Signer, Timestamp};
use aimis_core::token::Fingerprint;

use crate::clock::Moment;

/// How long the others are not tried when the platform refused all: then it is not about tokens.
const HOPELESS: Duration = Duration::from_secs(5);

/// One token, made ready. What is encrypted with it can be signed with no other.
pub struct Key {
    fingerprint: Fingerprint,
    signer: Signer,
    cipher: FieldCipher,
}

impl Key {
    /// The token with this fingerprint.
    pub fn new(fingerprint: Fingerprint, signer: Signer, cipher: FieldCipher) -> Self {
        Self {
            fingerprint,
            signer,
            cipher,
        }
    }

    /// Which token it is.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Signature and timestamp for a request of `app_id` at `now`.
    pub fn sign(&self, app_id: &str, now: Timestamp) -> Signed {
        self.signer.sign(app_id, now)
    }

    /// Signs, and checks signatures.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The cipher of personal fields.
    pub fn cipher(&self) -> &FieldCipher {
        &self.cipher
    }
}

/// What names a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `token_file`, or the environment.
    Token,
    /// `next_token_file`.
    Next,
    /// `previous_token_file`.
    Previous,
    /// Nothing any more; it was in `token_file`.
    Overlap,
}

impl Source {
    /// For log and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Next => "next",
            Self::Previous => "previous",
            Self::Overlap => "overlap",
        }
    }
}

/// `[rotation]`, as far as it is about the choice.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// A new token is tried before it is used.
    pub canary: bool,
    /// How long a token stays live that nothing names.
    pub overlap: Duration,
    /// Refusals one behind the other until another token is used.
    pub refusals: usize,
}

/// Another token is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The one before.
    pub from: Fingerprint,
    /// The one now.
    pub to: Fingerprint,
}

/// One of the tokens.
pub struct Held {
    /// Itself.
    pub key: Arc<Key>,
    /// What names it.
    pub source: Source,
}

/// See the module's text.
pub struct Keyring {
    held: Vec<Held>,
    terms: Terms,
    current: AtomicUsize,
    /// Questions in a row for which the one in use was refused and another was not.
    streak: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// When each that nothing names ceases to be live; `None` while it is in use, and for those that are named.
    ends: Vec<Option<Moment>>,
    /// Until then the others are not tried.
    hopeless: Option<Moment>,
}

impl Keyring {
    /// Those that are named at the start, that of [`Source::Token`] first; it is in use.
    pub fn new(named: Vec<(Source, Key)>, terms: Terms) -> Self {
        let mut held: Vec<Held> = Vec::with_capacity(named.len());
        for (source, key) in named {
            if held.iter().all(|held| held.key.fingerprint != key.fingerprint) {
                held.push(Held {
                    key: Arc::new(key),
                    source,
                });
            }
        }
        let ends = held.iter().map(|_| None).collect();
        Self {
            held,
            terms,
            current: AtomicUsize::new(0),
            streak: AtomicUsize::new(0),
            state: Mutex::new(State { ends, hopeless: None }),
        }
    }

    /// Made of those that are named now, and of what `before` had: which one was in use, and those that stay live for
    /// a while though nothing names them any more. Also tells if another is in use than before.
    pub fn following(mut self, before: &Self, now: Moment) -> (Self, Option<Switch>) {
        let was = before.current();
        let old_ends = before.lock().ends.clone();
        let mut ends: Vec<Option<Moment>> = self.held.iter().map(|_| None).collect();
        for (old, end) in before.held.iter().zip(old_ends) {
            let named = self.position(old.key.fingerprint).is_some();
            let in_use = old.key.fingerprint == was.fingerprint;
            let end = match (old.source, in_use) {
                (_, true) => None,
                (Source::Overlap, false) => end,
                (Source::Token, false) => Some(now.after(self.terms.overlap)),
                // Taken back by whoever named it.
                (Source::Next | Source::Previous, false) => Some(now),
            };
            if !named && end.is_none_or(|end| end > now) {
                self.held.push(Held {
                    key: Arc::clone(&old.key),
                    source: Source::Overlap,
                });
                ends.push(end);
            }
        }
        self.lock().ends = ends;
        let at = self.position(was.fingerprint).expect("what was in use is held");
        self.current.store(at, Ordering::Relaxed);
        let doubtful = matches!(self.held[at].source, Source::Overlap | Source::Previous);
        let switch = if doubtful && !self.terms.canary {
            let to = self.held[0].key.fingerprint;
            self.switch(to, now)
        } else {
            None
        };
        (self, switch)
    }

    /// The one in use.
    pub fn current(&self) -> &Arc<Key> {
        &self.held[self.current.load(Ordering::Relaxed)].key
    }

    /// All that are live, in an order that never changes.
    pub fn all(&self) -> &[Held] {
        &self.held
    }

    /// What names the one in use.
    pub fn current_source(&self) -> Source {
        self.held[self.current.load(Ordering::Relaxed)].source
    }

    /// Whether there is more than one.
    pub fn has_others(&self) -> bool {
        self.held.len() > 1
    }

    /// All but `refused`, in the order in which they are worth a try; none while that is known to be in vain.
    pub fn others(&self, refused: &Key, now: Moment) -> Vec<Arc<Key>> {
        if self.lock().hopeless.is_some_and(|until| now < until) {
            return Vec::new();
        }
        let current = self.current();
        let mut others = vec![Arc::clone(current)];
        others.extend(self.held.iter().map(|held| Arc::clone(&held.key)));
        others.retain(|key| key.fingerprint != refused.fingerprint);
        let mut seen = Vec::new();
        others.retain(|key| {
            let new = !seen.contains(&key.fingerprint);
            seen.push(key.fingerprint);
            new
        });
        others
    }

    /// The one to be tried with a question about nobody, to be used if the platform answers it.
    pub fn candidate(&self) -> Option<&Arc<Key>> {
        if !self.terms.canary {
            return None;
        }
        let next = self.held.iter().find(|held| held.source == Source::Next);
        let wanted = &next.unwrap_or(&self.held[0]).key;
        (wanted.fingerprint != self.current().fingerprint).then_some(wanted)
    }

    /// The platform took `key`.
    pub fn accepted(&self, key: &Key) {
        if self.streak.load(Ordering::Relaxed) > 0 && key.fingerprint == self.current().fingerprint {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    /// The platform refused `refused` and took `accepted` for the same question. When that happened so often in a row
    /// that the one is no longer good, the other is used, which is told.
    pub fn refused_for(&self, refused: &Key, accepted: &Key, now: Moment) -> Option<Switch> {
        if refused.fingerprint != self.current().fingerprint {
            return None;
        }
        let streak = self.streak.fetch_add(1, Ordering::Relaxed) + 1;
        if streak < self.terms.refusals {
            return None;
        }
        self.switch(accepted.fingerprint, now)
    }

    /// The platform refused all for the same question.
    pub fn refused_all(&self, now: Moment) {
        self.lock().hopeless = Some(now.after(HOPELESS));
    }

    /// Uses the token with this fingerprint from now on; `None` if it is in use, or not live.
    pub fn switch(&self, to: Fingerprint, now: Moment) -> Option<Switch> {
        let mut state = self.lock();
        let (at, from) = (self.position(to)?, self.current.load(Ordering::Relaxed));
        if at == from {
            return None;
        }
        state.ends[at] = None;
        if self.held[from].source == Source::Overlap {
            state.ends[from] = Some(now.after(self.terms.overlap));
        }
        self.streak.store(0, Ordering::Relaxed);
        self.current.store(at, Ordering::Relaxed);
        let from = self.held[from].key.fingerprint;
        Some(Switch { from, to })
    }

    /// When the first of those that nothing names ceases to be live.
    pub fn next_end(&self) -> Option<Moment> {
        self.lock().ends.iter().flatten().min().copied()
    }

    fn position(&self, fingerprint: Fingerprint) -> Option<usize> {
        self.held.iter().position(|held| held.key.fingerprint == fingerprint)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
