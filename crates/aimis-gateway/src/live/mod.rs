//! What is in force, and how it is replaced while requests go on.
//!
//! ```text
//! SIGHUP, a file, an overlap's end ──> reload: read, check, build ──> Generation ──> Live
//!                                         └─ of no use: what was stays, and it is told
//! a worker, for each request ──> Live: one load; a request keeps the generation it began with
//! rotation ──> a tenant's Keyring: which of its tokens is in use
//! ```
//!
//! | file | is about |
//! |---|---|
//! | `contents` | what the files hold |
//! | `held` | keys that only a restart changes |
//! | `reload` | from the sources to the next generation |
//! | `rotated` | what is told of a key that took another's place |
//! | `rotation` | a new token is tried before it is used |
//!
//! # What always holds
//!
//! 1. A generation is never changed and is swapped as a whole. What is of no use in any part changes nothing.
//! 2. A request ends under the generation that it began with.
//! 3. What stays itself keeps what is known of it: tenants (name and appId) their quotas, breakers, answers, the memory
//!    of what they sent and the token in use; clients (name) their quotas; connections, as long as nothing about the way
//!    to the platform is new. Series of metrics go on; those of a tenant that is gone are exported no more.

mod contents;
mod held;
pub mod reload;
pub mod rotated;
pub(crate) mod rotation;

use std::io;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::audit::KeyRing;
use crate::callback::deliver::Target;
use crate::callback::hospital::Hospitals;
use crate::callback::inbox::Inbox;
use crate::client::failures::Failures;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::limit::Limits;
use crate::prepare::Prepared;
use crate::pull::Pull;
use crate::seen::Seen;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tenants::TenantLabels;
use crate::upstream;
use crate::upstream::addresses::Resolver;
use crate::upstream::connect::Connector;
use contents::Contents;

/// The generation in force; readers never wait.
pub struct Live(ArcSwap<Generation>);

impl Live {
    /// Begins with `first`.
    pub fn new(first: Generation) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(first)))
    }

    /// The generation in force, for a look at it; whoever keeps it uses [`Self::get`].
    pub fn look(&self) -> Guard<Arc<Generation>> {
        self.0.load()
    }

    /// The generation in force.
    pub fn get(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    fn replace(&self, next: Generation) {
        self.0.store(Arc::new(next));
    }
}

/// Everything that requests go by, made of one configuration and its files.
pub struct Generation {
    /// What it was made of; where only a restart changes a key, what is in force.
    pub config: Config,
    /// What its files held.
    contents: Contents,
    /// What requests are judged by.
    pub snapshot: Arc<Snapshot>,
    /// What workers know of the platform together.
    pub shared: Arc<upstream::Shared>,
    /// How much may be asked.
    pub limits: Arc<Limits>,
    /// Failed sign-ins.
    pub failures: Arc<Failures>,
    /// The road of a HIS that fetches its events; `None` where no callbacks are taken.
    pub pull: Option<Arc<Pull>>,
    /// Patients that were asked about lately; `None` where nobody looks for callbacks that were missed.
    pub seen: Option<Arc<Seen>>,
    /// What callbacks are judged by; `None` where none are taken.
    pub hospitals: Option<Arc<Hospitals>>,
    /// Where events go.
    pub targets: Vec<Arc<Target>>,
    /// Opens connections to the platform.
    pub connector: Connector,
    /// The same for as long as `connector` opens the same connections.
    way: Arc<Way>,
    /// The counters, by the positions of its tenants.
    pub metrics: Arc<Metrics>,
}

/// Everything that connections to the platform depend on.
#[derive(PartialEq)]
struct Way {
    platform: config::Platform,
    files: Contents,
    tenants: Vec<ProxyOf>,
}

/// The lines of a tenant about its proxy, and what the password's file holds.
type ProxyOf = (
    Option<config::ProxyChoice>,
    Option<config::Text>,
    Option<std::path::PathBuf>,
    Contents,
);

impl Way {
    fn of(config: &Config, contents: &Contents) -> Self {
        let tenants = config.tenants.iter().enumerate().map(|(index, tenant)| {
            (
                tenant.proxy.clone(),
                tenant.proxy_user.clone(),
                tenant.proxy_password_file.clone(),
                contents.under(&format!("tenants[{index}].proxy_")),
            )
        });
        Self {
            platform: config.platform.clone(),
            files: contents.under("platform."),
            tenants: tenants.collect(),
        }
    }
}

/// What every generation is made with.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) resolver: Resolver,
    /// What replicas share, where they share anything.
    pub(crate) store: Option<Arc<Store>>,
    /// Where callbacks are kept, if any are taken.
    pub(crate) inbox: Option<Arc<dyn Inbox>>,
    /// The keys of the audit trail, where there is one.
    pub(crate) audit: Option<KeyRing>,
    /// True: whoever waits for events is answered.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Generation {
    /// The first.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn first(
        config: Config,
        prepared: Prepared,
        metrics: Arc<Metrics>,
        around: &Around,
    ) -> io::Result<Self> {
        let contents = Contents::of(&config);
        Self::made(config, contents, prepared, metrics, None, around)
    }

    /// The next. `contents` were looked at before the files were read for `prepared`, so what changes between is seen
    /// the next time.
    fn next(&self, config: Config, contents: Contents, prepared: Prepared, around: &Around) -> io::Result<Self> {
        let snapshot = &prepared.snapshot;
        let labels = TenantLabels::new(&snapshot.tenants.names(), config.telemetry.tenant_labels);
        let metrics = self.metrics.again(labels, &snapshot.apis.names(), &snapshot.codes);
        Self::made(config, contents, prepared, metrics, Some(self), around)
    }

    fn made(
        config: Config,
        contents: Contents,
        prepared: Prepared,
        metrics: Arc<Metrics>,
        before: Option<&Self>,
        around: &Around,
    ) -> io::Result<Self> {
        let Around {
            clock,
            log,
            resolver,
            store,
            inbox,
            audit,
            stop,
        } = around;
        let mut snapshot = prepared.snapshot;
        // Under the key that will be in force with it, if that is another.
        let tagger = snapshot.audit.take();
        snapshot.audit = tagger.or_else(|| audit.as_ref().map(KeyRing::tagger));
        let snapshot = Arc::new(snapshot);
        let shared = before.map(|before| &*before.shared);
        let limits = before.map(|before| &*before.limits);
        let way = Way::of(&config, &contents);
        let kept = before.filter(|before| *before.way == way);
        let failures = before.filter(|before| before.config.lan.max_failed_sign_ins == config.lan.max_failed_sign_ins);
        let failures = failures.map_or_else(
            || {
                let (most, interval) = (config.lan.max_failed_sign_ins, config.log.repeat_interval);
                Arc::new(Failures::new(most, interval, clock.clone()))
            },
            |before| Arc::clone(&before.failures),
        );
        let pull = inbox.as_ref().map(|inbox| {
            let (inbox, stop) = (Arc::clone(inbox), stop.clone());
            let pull = Pull::new(&config, inbox, &metrics, clock.clone(), stop);
            Arc::new(match before.and_then(|before| before.pull.as_deref()) {
                Some(before) => pull.following(before),
                None => pull,
            })
        });
        let seen = before.and_then(|before| before.seen.as_deref());
        let of_store = |contents: &Contents| contents.under("store.");
        if let (Some(store), Some(target), Some(before)) = (store, prepared.store, before)
            && of_store(&contents) != of_store(&before.contents)
        {
            store.follow(target);
        }
        Ok(Self {
            seen: Seen::after(seen, &config, clock, metrics.reconcile.patients.clone()).map(Arc::new),
            shared: upstream::Shared::after(shared, &config, &snapshot, clock, &metrics, log)?,
            limits: Limits::after(limits, &config, &snapshot, store.as_ref(), clock, &metrics, log),
            failures,
            pull,
            hospitals: prepared.callbacks.map(|callbacks| Arc::new(callbacks.hospitals)),
            targets: targets(&config, &contents, prepared.targets, before),
            connector: match kept {
                Some(before) => before.connector.clone(),
                None => prepared.connector.with_resolver(resolver.clone()),
            },
            way: kept.map_or_else(|| Arc::new(way), |before| Arc::clone(&before.way)),
            metrics,
            snapshot,
            config,
            contents,
        })
    }

    /// Whether connections that were opened under `before` are as good as those of this one.
    pub(crate) fn has_way_of(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.way, &before.way)
    }
}

/// The targets, and those that were there before themselves: what is under way there goes on.
fn targets(config: &Config, contents: &Contents, read: Vec<Target>, before: Option<&Generation>) -> Vec<Arc<Target>> {
    let lines = |config: &Config, contents: &Contents, name: &str| {
        let index = config.tenants.iter().position(|tenant| &*tenant.name == name)?;
        let files = contents.under(&format!("tenants[{index}].callback.target"));
        Some((config.tenants[index].callback.clone(), files))
    };
    let kept = |target: &Target| {
        let before = before?;
        let name = target.tenant().as_str();
        let same = lines(config, contents, name) == lines(&before.config, &before.contents, name);
        let mut old = before.targets.iter();
        old.find(|old| same && old.tenant().as_str() == name).cloned()
    };
    read.into_iter()
        .map(|target| kept(&target).unwrap_or_else(|| Arc::new(target)))
        .collect()
}
