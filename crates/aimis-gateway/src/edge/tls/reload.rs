//! Looks at the files again and again, and takes over what has changed, if it is good.
//!
//! Content is compared, not times, and the files are opened by name each time: a mounted secret is a
//! swapped link, and a file on a network says nothing when it changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::door::Live;
use super::files::{FileError, Files, Identity, Offer};
use crate::clock::{Clock, Moment};
use crate::config::LanTls;
use crate::telemetry::event::{CertificateState, Event};
use crate::telemetry::labels::{ListenerName, ReloadResult};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// From here on before its end an operator is told.
const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);
/// How often he is told.
const WARN_EVERY: Duration = Duration::from_hours(24);

/// What the files held when they were looked at.
type Seen = Result<[u8; 32], FileError>;

/// Watches over the files of one listener.
pub struct Reloader {
    listener: ListenerName,
    settings: LanTls,
    offer: Offer,
    live: Live,
    seen: Seen,
    not_after: u64,
    told: Option<(CertificateState, Moment)>,
    metrics: Arc<Metrics>,
    log: Log,
    clock: Clock,
}

/// The first identity of a listener, and what it was made of.
pub struct First {
    /// Whose it is.
    pub listener: ListenerName,
    /// In use from the start.
    pub identity: Identity,
    /// The files' content.
    pub digest: [u8; 32],
    /// What is offered to be spoken.
    pub offer: Offer,
}

impl First {
    /// Reads the files for the start.
    ///
    /// # Errors
    /// What is wrong with the first of them that is of no use.
    pub fn read(settings: &LanTls, offer: Offer, listener: ListenerName) -> Result<Self, FileError> {
        let files = Files::read(listener, settings)?;
        Ok(Self {
            listener,
            identity: files.identity(settings, offer)?,
            digest: files.digest(),
            offer,
        })
    }
}

impl Reloader {
    /// Watches over `settings`, of which `first` is in use.
    pub fn new(settings: LanTls, live: Live, first: &First, metrics: Arc<Metrics>, log: Log, clock: Clock) -> Self {
        let mut reloader = Self {
            listener: first.listener,
            settings,
            offer: first.offer,
            live,
            seen: Ok(first.digest),
            not_after: first.identity.not_after,
            told: None,
            metrics,
            log,
            clock,
        };
        reloader.note_expiry();
        reloader
    }

    /// Looks at the files for ever, also when `look` changes.
    pub async fn run(mut self, mut look: watch::Receiver<u64>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.reload_interval) => {}
                Ok(()) = look.changed() => {}
            }
            let (settings, offer, seen) = (self.settings.clone(), self.offer, self.seen.clone());
            let listener = self.listener;
            // Off the thread that accepts: a network mount that hangs must hold up nobody.
            let looked = tokio::task::spawn_blocking(move || self::look(&settings, offer, listener, &seen)).await;
            if let Ok(Some((seen, built))) = looked {
                self.seen = seen;
                self.take(built);
            }
            self.note_expiry();
        }
    }

    fn take(&mut self, built: Result<Identity, FileError>) {
        match built {
            Ok(identity) => {
                self.not_after = identity.not_after;
                self.live.store(identity.config);
                self.told = None;
                self.metrics.tls_reloads(ReloadResult::Ok).inc();
                self.log.write(&Event::TlsReloaded {
                    listener: self.listener,
                    days: self.days_left(),
                });
            }
            Err(error) => {
                self.metrics.tls_reloads(ReloadResult::Failed).inc();
                self.log.write(&Event::TlsReloadFailed { error: &error });
            }
        }
    }

    /// Exports the certificate's end, and tells when it is near or past: at once, then daily.
    fn note_expiry(&mut self) {
        self.metrics
            .certificate_not_after(self.listener)
            .set(self.not_after as f64);
        let left = self.seconds_left();
        let state = if left <= 0 {
            CertificateState::Expired
        } else if left.unsigned_abs() <= WARN_BEFORE.as_secs() {
            CertificateState::Expiring
        } else {
            return self.told = None;
        };
        let now = self.clock.moment();
        let told = self
            .told
            .is_some_and(|(told, at)| told == state && now.since(at) < WARN_EVERY);
        if !told {
            self.told = Some((state, now));
            self.log.write(&Event::CertificateExpires {
                listener: self.listener,
                state,
                days: self.days_left(),
            });
        }
    }

    fn seconds_left(&self) -> i64 {
        let seconds = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        seconds(self.not_after) - seconds(self.clock.now().as_millis() / 1000)
    }

    /// Whole days that are left; below 0 when it is over.
    fn days_left(&self) -> i64 {
        self.seconds_left().div_euclid(24 * 3600)
    }
}

/// What the files hold and make, if they hold something else than `last`.
fn look(
    settings: &LanTls,
    offer: Offer,
    listener: ListenerName,
    last: &Seen,
) -> Option<(Seen, Result<Identity, FileError>)> {
    let read = || {
        let files = Files::read(listener, settings);
        let seen: Seen = match &files {
            Ok(files) => Ok(files.digest()),
            Err(error) => Err(error.clone()),
        };
        (seen, files)
    };
    let build = |files: Result<Files, FileError>| files.and_then(|files| files.identity(settings, offer));
    let (seen, files) = read();
    if seen == *last {
        return None;
    }
    let built = build(files);
    if built.is_err() {
        // They may have been exchanged between two reads: the second look decides.
        let (again, files) = read();
        if again == *last {
            return None;
        }
        if again != seen {
            return Some((again, build(files)));
        }
    }
    Some((seen, built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_change_are_not_looked_at_twice() {
        let settings = LanTls {
            cert_file: "/nowhere/lan.pem".into(),
            key_file: "/nowhere/lan.key".into(),
            client_ca_file: None,
            client_auth: crate::config::ClientAuth::Required,
            reload_interval: Duration::from_secs(1),
        };

        let (seen, built) = look(&settings, Offer::Http1, ListenerName::Lan, &Ok([0; 32])).unwrap();

        let error = built.err().unwrap();
        assert_eq!(error.to_string(), "lan.tls.cert_file /nowhere/lan.pem: no such file");
        assert!(look(&settings, Offer::Http1, ListenerName::Lan, &seen).is_none());
    }
}
