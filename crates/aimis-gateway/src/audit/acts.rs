//! Records of the command line: in a trail of their own beside the gateway's, each durable before what it is about is
//! shown or done.

use super::files::Trail;
use super::journal::{Bounds, Journal};
use super::open::{self, OpenError};
use super::record::Record;
use super::tags::Tagger;
use super::{bounds, read_keys};
use crate::clock::Clock;
use crate::config;

/// The trail of command lines, held by this one.
pub struct Acts {
    journal: Journal,
    clock: Clock,
}

impl Acts {
    /// Takes up the trail; waits for another command line that writes it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(settings: &config::Audit, clock: &Clock) -> Result<Self, OpenError> {
        let lock = open::lock(Trail::Acts, &settings.path, true)?;
        let keys = read_keys(settings)?.into();
        let (journal, _) = open::open(
            Bounds {
                export: false,
                ..bounds(settings)
            },
            Trail::Acts,
            keys,
            clock.now(),
            lock,
        )?;
        Ok(Self {
            journal,
            clock: clock.clone(),
        })
    }

    /// Makes the tags of persons.
    pub fn tagger(&self) -> &Tagger {
        &self.journal.keys.current().tagger
    }

    /// Adds records and makes them durable.
    ///
    /// # Errors
    /// When that fails; whether what they are about may be shown or done is for `on_failure` to say.
    pub fn record(&mut self, records: &[Record]) -> std::io::Result<()> {
        let now = self.clock.now();
        for record in records {
            self.journal.add(record.at, |line| record.write(line));
        }
        let mut kept = self.journal.sync(now);
        if kept.is_ok() && self.journal.is_full(now) {
            kept = self.journal.roll(now).and_then(|()| self.journal.prune(now)).map(drop);
        }
        kept
    }
}

impl Drop for Acts {
    fn drop(&mut self) {
        // What failed was told when it did.
        let _ = self.journal.close(self.clock.now());
    }
}
