//! The search for callbacks that were missed: study lists of the platform against what callbacks told.
//!
//! ```text
//! forward road ──► seen ──► poll ──► list ──► watch ──► callback::listed ──► inbox.append
//!                            │ patientStudies, as the lowest of batches
//! ```
//!
//! Nobody documents that the platform sends a callback twice, so one that was lost is lost (platform-api.md, section 8).
//! The only other place where it says what there is are study lists. Asking for all of them is out of the question, so
//! this asks about patients whom the HIS asked about lately ([`crate::seen`]), a few an hour, and only while nobody else
//! wants the quota.
//!
//! # What always holds
//!
//! 1. What a callback told of is not told of again: the inbox looks for it in the transaction that stores the event. And
//!    the first callback that comes behind an event of ours and says the same is a duplicate of it.
//! 2. A study counts only if it was made since its tenant wanted this (the inbox remembers when), or if a list showed
//!    less of it before: the history of a patient is never delivered. How far back is `reconcile.window_hours`, which is no
//!    longer than the inbox remembers what it delivered.
//! 3. Something counts as missed when lists showed it for `reconcile.grace_s`, so that a callback that is only late comes
//!    first.
//! 4. A question goes only when nobody waits and most of the quota is left, so it takes nothing of a clinic's share, nor
//!    of other batches'.
//! 5. Patients are in memory only. No line, metric or file has one.
//!
//! This names both roads, which do not know each other.

mod list;
mod poll;
mod watch;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::LocalSet;

use crate::callback::Invalidate;
use crate::callback::inbox::Inbox;
use crate::clock::Clock;
use crate::config::{Config, Platform as PlatformSettings};
use crate::forward::ask::Asker;
use crate::forward::cache::Cache;
use crate::limit::Limits;
use crate::seen::Seen;
use crate::snapshot::Snapshot;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::throttle::Throttle;
use crate::upstream::connect::Connector;
use crate::upstream::{Platform, Shared};
use poll::Poller;

/// How often it is asked whether a question is due. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_millis(250);

/// What the search works with.
pub(crate) struct Parts {
    pub(crate) seen: Arc<Seen>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) invalidate: Vec<Arc<dyn Invalidate>>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) connector: Connector,
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
    /// Which day it is, as signatures have it.
    pub(crate) signing_clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Log,
    pub(crate) stop: Receiver<bool>,
}

/// Starts it, on a thread of its own with its own connections to the platform.
///
/// # Errors
/// When the system gives no thread or no timer.
pub(crate) fn start(config: &Config, parts: Parts) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (config, platform) = (config.clone(), config.platform.clone());
    std::thread::Builder::new()
        .name("aimis-reconcile".to_owned())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, run(config, platform, parts));
            // A name that is being looked up must not hold up the stop.
            runtime.shutdown_background();
        })
}

async fn run(config: Config, settings: PlatformSettings, parts: Parts) {
    let Parts {
        seen,
        inbox,
        invalidate,
        snapshot,
        connector,
        shared,
        limits,
        cache,
        clock,
        signing_clock,
        metrics,
        log,
        mut stop,
    } = parts;
    let platform = Platform::new(&settings, connector, &clock, &shared, log.clone());
    let asker = Asker::new(platform, limits, cache, Arc::clone(&snapshot), Arc::clone(&metrics));
    let wanted = config
        .tenants
        .iter()
        .enumerate()
        .filter(|(_, tenant)| tenant.callback.reconcile);
    let mut pollers: Vec<Poller> = wanted
        .map(|(tenant, settings)| Poller {
            tenant: Arc::clone(&snapshot.tenants.all()[tenant]),
            link_hosts: settings.callback.link_hosts.clone(),
            settings: config.reconcile.clone(),
            since: None,
            next_at: clock.moment(),
            studies: std::collections::HashMap::new(),
            seen: Arc::clone(&seen),
            inbox: Arc::clone(&inbox),
            invalidate: invalidate.clone(),
            snapshot: Arc::clone(&snapshot),
            asker: asker.clone(),
            clock: clock.clone(),
            signing_clock: signing_clock.clone(),
            metrics: Arc::clone(&metrics),
            log: log.clone(),
            failures: Throttle::new(config.log.repeat_interval, clock.clone()),
        })
        .collect();
    let search = async {
        loop {
            for poller in &mut pollers {
                poller.poll().await;
            }
            asker.platform().close_idle();
            tokio::time::sleep(TICK).await;
        }
    };
    // What is under way is dropped: an event is stored whole or not at all, and lists are asked for again.
    tokio::select! {
        () = search => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
