//! From the sources to the next generation: everything is read, checked and built, and then swapped whole.
//!
//! Reading happens off the control thread, since a network mount that hangs must hold up neither probes nor the next
//! connection. What is of no use is told once for each content, not at every look.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use super::contents::{self, Contents};
use super::rotated::Rotated;
use super::{Around, Generation, Live, held};
use crate::audit;
use crate::callback::deliver::Target;
use crate::callback::hospital::Hospitals;
use crate::callback::inbox;
use crate::clock::Moment;
use crate::config::{self, Config, ConfigError, LogLevel, SourceFile, Sources};
use crate::forward::cache::Cache;
use crate::prepare::{Before, PrepareError, Prepared, prepare_after};
use crate::telemetry::event::Event;
use crate::telemetry::labels::SwitchReason;
use crate::telemetry::log::Level;

/// How often it is asked whether it is time to look. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_millis(200);
/// Looks at files that may be written just then, until they are the same twice.
const LOOKS: usize = 3;
/// How long a token stays live beyond its overlap while the files are of no use, until it is tried again.
const AFTER_FAILURE: Duration = Duration::from_mins(1);
/// Complaints of one reload that are told; the command `check` tells all.
const MOST_PROBLEMS: usize = 5;

/// Keys that only a restart changes.
#[derive(Debug)]
pub struct HeldKeys(pub Vec<String>);

/// Why what there is now cannot be put in force.
#[derive(Debug)]
pub enum ReloadError {
    /// The configuration itself.
    Config(ConfigError),
    /// It is good, but not with those of its keys that only a restart changes.
    Together(ConfigError),
    /// A file that it names.
    Prepare(PrepareError),
    /// The configuration, or a file that it names, is no regular file: what it had was read at the start.
    Pipe(std::path::PathBuf),
    /// The keys of the audit trail.
    AuditKeys(audit::RekeyError),
    /// The keys of the inbox.
    InboxKeys(inbox::RekeyError),
    /// The system denied something.
    System(std::io::ErrorKind),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = |f: &mut fmt::Formatter<'_>, error: &ConfigError| {
            for (index, problem) in error.problems.iter().take(MOST_PROBLEMS).enumerate() {
                write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
            }
            match error.problems.len().saturating_sub(MOST_PROBLEMS) {
                0 => Ok(()),
                more => write!(f, "; and {more} more: run aimis-gateway check"),
            }
        };
        match self {
            Self::Config(error) => problems(f, error),
            Self::Together(error) => {
                f.write_str("not while keys that only a restart changes are as they were: ")?;
                problems(f, error)
            }
            Self::Prepare(error) => write!(f, "{error}"),
            Self::Pipe(path) => write!(
                f,
                "{}: is no regular file and cannot be read again; put a file there",
                path.display()
            ),
            Self::AuditKeys(error) => write!(f, "{error}"),
            Self::InboxKeys(error) => write!(f, "{error}"),
            Self::System(kind) => write!(f, "the system denied a resource: {kind}"),
        }
    }
}

impl std::error::Error for ReloadError {}

/// What a reload put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys that have another value by now, which only a restart puts in force.
    pub restart_needed: Vec<String>,
}

/// An order to look at everything at once; answered with whether it could be put in force.
pub(crate) type Order = oneshot::Sender<Result<Reloaded, Arc<ReloadError>>>;

/// What follows a new generation beside the workers, which look for themselves.
pub(crate) struct Followers {
    /// What callbacks are judged by.
    pub(crate) hospitals: Option<Arc<ArcSwap<Hospitals>>>,
    /// Where events go.
    pub(crate) targets: watch::Sender<Vec<Arc<Target>>>,
    /// Answers that may not be true any more.
    pub(crate) cache: Arc<Cache>,
    /// Those who watch files of their own look at them when this changes.
    pub(crate) look: watch::Sender<u64>,
}

/// Looks at the sources, and puts in force what is new and good.
pub(crate) struct Reload {
    live: Arc<Live>,
    /// Where the configuration comes from; `None` where that cannot change, as in a test.
    sources: Option<Sources>,
    around: Around,
    followers: Followers,
    seen: Seen,
    looked_at: Moment,
    failed: bool,
}

/// What was seen of the sources, good or not.
#[derive(Clone, PartialEq)]
struct Seen {
    file: contents::Seen,
    files: Contents,
}

/// What there is now.
struct Found {
    seen: Seen,
    result: Result<Candidate, ReloadError>,
}

/// What could be put in force.
struct Candidate {
    config: Config,
    held: Vec<String>,
    prepared: Prepared,
    /// Other keys for the audit trail.
    audit: Option<Arc<audit::Keys>>,
}

impl Reload {
    pub(crate) fn new(live: Arc<Live>, sources: Option<Sources>, around: Around, followers: Followers) -> Self {
        let seen = Seen {
            file: file_of(sources.as_ref()),
            files: live.look().contents.clone(),
        };
        Self {
            looked_at: around.clock.moment(),
            live,
            sources,
            around,
            followers,
            seen,
            failed: false,
        }
    }

    /// Follows orders, files and clocks for as long as it is let to.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let order = tokio::select! {
                Some(order) = orders.recv() => Some(order),
                () = tokio::time::sleep(TICK) => None,
            };
            if order.is_none() && !self.is_time() {
                continue;
            }
            let forced = order.is_some() || self.has_ended();
            if order.is_some() {
                self.followers.look.send_modify(|looks| *looks += 1);
            }
            self.looked_at = self.around.clock.moment();
            let result = self.look(forced).await;
            if let Some(order) = order {
                // Whoever asked may not wait for it.
                let _ = order.send(result);
            }
        }
    }

    fn is_time(&self) -> bool {
        let poll = self.live.look().config.reload.poll;
        let since = self.around.clock.moment().since(self.looked_at);
        // An overlap that has ended is no reason to tell at every tick that the files are of no use.
        let ended = self.has_ended() && (!self.failed || since >= AFTER_FAILURE);
        !poll.is_zero() && since >= poll || ended
    }

    /// A token that nothing names any more has been live for long enough.
    fn has_ended(&self) -> bool {
        let now = self.around.clock.moment();
        let generation = self.live.look();
        let mut tenants = generation.snapshot.tenants.all().iter();
        tenants.any(|tenant| tenant.keyring.next_end().is_some_and(|end| end <= now))
    }

    async fn look(&mut self, forced: bool) -> Result<Reloaded, Arc<ReloadError>> {
        let (sources, before) = (self.sources.clone(), self.live.get());
        let (seen, now) = (self.seen.clone(), self.around.clock.moment());
        let ring = self.around.audit.clone();
        let search = move || {
            let there = There {
                sources: sources.as_ref(),
                before: &before,
                audit: ring.as_ref(),
                now,
            };
            there.find((!forced).then_some(&seen))
        };
        let Ok(found) = tokio::task::spawn_blocking(search).await else {
            // A defect; the panic has a line of its own.
            return Err(Arc::new(ReloadError::System(std::io::ErrorKind::Other)));
        };
        let Some(Found { seen, result }) = found else {
            return Ok(Reloaded::default());
        };
        let files = seen.files.clone();
        self.seen = seen;
        let taken = match result {
            // Last of all that may fail; what opens with the keys before opens with these, too.
            Ok(candidate) => match self.rekey_inbox(&candidate.config).await {
                Ok(rekeyed) => self.take(candidate, files, rekeyed),
                Err(error) => Err(ReloadError::InboxKeys(error)),
            },
            Err(error) => Err(error),
        };
        match taken {
            Ok(reloaded) => {
                self.failed = false;
                Ok(reloaded)
            }
            Err(error) => {
                self.failed = true;
                self.live.look().metrics.reloads.failed();
                self.around.log.write(&Event::ConfigReloadFailed { error: &error });
                Err(Arc::new(error))
            }
        }
    }

    async fn rekey_inbox(&self, config: &Config) -> Result<Option<inbox::Rekeyed>, inbox::RekeyError> {
        match &self.around.inbox {
            Some(inbox) => inbox.rekey((&config.inbox).into()).await,
            None => Ok(None),
        }
    }

    /// Puts `candidate` in force.
    fn take(
        &mut self,
        candidate: Candidate,
        files: Contents,
        inbox: Option<inbox::Rekeyed>,
    ) -> Result<Reloaded, ReloadError> {
        let Candidate {
            config,
            held,
            mut prepared,
            audit,
        } = candidate;
        prepared.snapshot.audit = audit.as_ref().map(|keys| keys.tagger().clone());
        let before = self.live.get();
        let switches = prepared.switches.clone();
        let Around { clock, log, .. } = &self.around;
        let next = before.next(config, files, prepared, &self.around);
        let next = next.map_err(|error| ReloadError::System(error.kind()))?;
        keep_choices(&before, &next, &switches, clock.moment());
        let lost = lost(&before, &next);

        let audit = self.around.audit.as_ref().zip(audit);
        let audit = audit.and_then(|(ring, keys)| ring.put(keys));
        log.set_level(level(next.config.log.level));
        self.live.replace(next);
        let next = self.live.get();
        if let (Some(theirs), Some(ours)) = (&self.followers.hospitals, &next.hospitals) {
            theirs.store(Arc::clone(ours));
        }
        self.followers.targets.send_replace(next.targets.clone());
        let cache = &self.followers.cache;
        if before.config.platform.base_url != next.config.platform.base_url {
            cache.drop_all(None, None);
            for tenant in before.snapshot.tenants.all() {
                cache.shared().inspect(|shared| shared.shred_soon(tenant.name.as_str()));
            }
        }
        for name in &lost {
            cache.drop_all(Some(name), None);
            cache.shared().inspect(|shared| shared.shred_soon(name));
            if next
                .snapshot
                .tenants
                .all()
                .iter()
                .all(|tenant| tenant.name.as_str() != name)
            {
                next.metrics.forget_tenant(name);
            }
        }
        self.tell(&before, &next, &held, &switches);
        for rotated in [
            audit.map(|(before, now)| Rotated::Audit { before, now }),
            inbox.map(Rotated::Inbox),
        ]
        .into_iter()
        .flatten()
        {
            self.around.log.write(&Event::KeyRotated(rotated));
        }
        Ok(Reloaded { restart_needed: held })
    }

    fn tell(
        &self,
        before: &Generation,
        next: &Generation,
        held: &[String],
        switches: &[(usize, crate::keyring::Switch)],
    ) {
        let Around { clock, log, .. } = &self.around;
        let seconds = clock.now().as_millis() as f64 / 1000.0;
        for tenant in next.snapshot.tenants.all() {
            let old = before.snapshot.tenants.all().iter().find(|old| old.is_same(tenant));
            let known = |fingerprint| {
                old.is_some_and(|old| {
                    old.keyring
                        .all()
                        .iter()
                        .any(|held| held.key.fingerprint() == fingerprint)
                })
            };
            for held in tenant.keyring.all() {
                if !known(held.key.fingerprint()) {
                    log.write(&Event::SecretLoaded {
                        tenant: &tenant.name,
                        fingerprint: held.key.fingerprint(),
                        source: held.source,
                    });
                    next.metrics.secret_loaded(tenant.name.as_str(), seconds);
                }
            }
        }
        for (tenant, switch) in switches {
            next.metrics.reloads.switched(*tenant, SwitchReason::File);
            log.write(&Event::TokenSwitched {
                tenant: &next.snapshot.tenants.all()[*tenant].name,
                switch: *switch,
                reason: SwitchReason::File,
            });
        }
        if !held.is_empty() {
            let keys = HeldKeys(held.to_vec());
            log.write(&Event::RestartNeeded { keys: &keys });
        }
        next.metrics.reloads.succeeded(seconds);
        log.write(&Event::ConfigReloaded {
            tenants: next.snapshot.tenants.all().len(),
            clients: next.config.clients.len(),
        });
    }
}

/// Where to look, and what what is found is compared with.
struct There<'t> {
    sources: Option<&'t Sources>,
    before: &'t Generation,
    /// The keys of the audit trail, where there is one.
    audit: Option<&'t audit::KeyRing>,
    now: Moment,
}

impl There<'_> {
    /// What there is now; `None` if that is what was `last` seen. Does not return a failure that is over by then.
    fn find(&self, last: Option<&Seen>) -> Option<Found> {
        let mut found = self.find_once(last)?;
        for _ in 1..LOOKS {
            if found.result.is_ok() {
                break;
            }
            // It may have been looked at while it was written.
            match self.find_once(Some(&found.seen)) {
                None => break,
                Some(again) if last == Some(&again.seen) => return None,
                Some(again) => found = again,
            }
        }
        Some(found)
    }

    fn find_once(&self, last: Option<&Seen>) -> Option<Found> {
        let file = file_of(self.sources);
        let pipe = |path: &Path| ReloadError::Pipe(path.to_owned());
        let loaded = match self.sources {
            Some(Sources {
                file: Some(SourceFile::Path(path)),
                ..
            }) if contents::is_pipe(path) => Err(pipe(path)),
            Some(sources) => config::load(sources)
                .map(|loaded| loaded.config)
                .map_err(ReloadError::Config),
            None => Ok(self.before.config.clone()),
        };
        let seen = Seen {
            file,
            files: Contents::of(loaded.as_ref().unwrap_or(&self.before.config)),
        };
        if last == Some(&seen) {
            return None;
        }
        let candidate = |config| match seen.files.pipe() {
            Some(path) => Err(pipe(path)),
            None => self.candidate(config),
        };
        let result = loaded.and_then(candidate);
        Some(Found { seen, result })
    }

    fn candidate(&self, mut config: Config) -> Result<Candidate, ReloadError> {
        let before = self.before;
        let held = held::hold(&before.config, &mut config);
        if !held.is_empty() {
            config::check_again(&config).map_err(ReloadError::Together)?;
        }
        let audit = match self.audit.zip(config.audit.as_ref()) {
            Some((ring, settings)) => ring.read(settings).map_err(ReloadError::AuditKeys)?,
            None => None,
        };
        let before = Before {
            snapshot: &before.snapshot,
            config: &before.config,
            now: self.now,
        };
        let prepared = prepare_after(&config, Some(before)).map_err(ReloadError::Prepare)?;
        Ok(Candidate {
            config,
            held,
            prepared,
            audit: audit.map(Arc::new),
        })
    }
}

fn file_of(sources: Option<&Sources>) -> contents::Seen {
    match sources?.file.as_ref()? {
        SourceFile::Path(path) => contents::seen(path),
        SourceFile::Text { .. } => None,
    }
}

/// A token may have been switched while the files were read.
fn keep_choices(before: &Generation, next: &Generation, switches: &[(usize, crate::keyring::Switch)], now: Moment) {
    for (index, tenant) in next.snapshot.tenants.all().iter().enumerate() {
        let old = before.snapshot.tenants.all().iter().find(|old| old.is_same(tenant));
        if let Some(old) = old.filter(|_| switches.iter().all(|(switched, _)| *switched != index)) {
            tenant.keyring.switch(old.keyring.current().fingerprint(), now);
        }
    }
}

/// Names of tenants that are gone, or another hospital's now.
fn lost(before: &Generation, next: &Generation) -> Vec<String> {
    let tenants = next.snapshot.tenants.all();
    let gone = before.snapshot.tenants.all().iter();
    let gone = gone.filter(|old| tenants.iter().all(|tenant| !tenant.is_same(old)));
    gone.map(|old| old.name.as_str().to_owned()).collect()
}

/// The log's level under a configuration.
pub(crate) fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    }
}
