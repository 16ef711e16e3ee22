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

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::LocalSet;

use crate::callback::Invalidate;
use crate::callback::inbox::Inbox;
use crate::clock::Clock;
use crate::forward::ask::Asker;
use crate::forward::cache::Cache;
use crate::live::{Generation, Live};
use crate::telemetry::log::Log;
use crate::telemetry::throttle::Throttle;
use crate::upstream::Platform;
use poll::{Poller, Progress};

/// How often it is asked whether a question is due. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_millis(250);

/// How often it is asked whether a reload made somebody want the search.
const IDLE_TICK: Duration = Duration::from_secs(5);

/// What the search works with.
pub(crate) struct Parts {
    pub(crate) live: Arc<Live>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) invalidate: Vec<Arc<dyn Invalidate>>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) stop: Receiver<bool>,
}

/// Starts it, on a thread of its own with its own connections to the platform.
///
/// # Errors
/// When the system gives no thread or no timer.
pub(crate) fn start(parts: Parts) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("aimis-reconcile".to_owned())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, run(parts));
            // A name that is being looked up must not hold up the stop.
            runtime.shutdown_background();
        })
}

async fn run(parts: Parts) {
    let mut stop = parts.stop.clone();
    // What is under way is dropped: an event is stored whole or not at all, and lists are asked for again.
    tokio::select! {
        () = search(&parts) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn search(parts: &Parts) {
    let mut round = Round::first(parts);
    loop {
        if !Arc::ptr_eq(&parts.live.look(), &round.generation) {
            round = round.next(parts);
        }
        for poller in &mut round.pollers {
            poller.poll().await;
        }
        round.asker.platform().close_idle();
        tokio::time::sleep(if round.pollers.is_empty() { IDLE_TICK } else { TICK }).await;
    }
}

/// The search under one generation.
struct Round {
    generation: Arc<Generation>,
    asker: Asker,
    pollers: Vec<Poller>,
}

impl Round {
    fn first(parts: &Parts) -> Self {
        let generation = parts.live.get();
        let platform = platform(&generation, parts);
        Self::made(generation, platform, parts, Vec::new())
    }

    /// The same under the generation in force: who stays goes on where it was.
    fn next(self, parts: &Parts) -> Self {
        let generation = parts.live.get();
        let platform = if generation.has_way_of(&self.generation) {
            let settings = &generation.config.platform;
            self.asker.platform().following(settings, &generation.shared)
        } else {
            platform(&generation, parts)
        };
        Self::made(generation, platform, parts, self.pollers)
    }

    fn made(generation: Arc<Generation>, platform: Platform, parts: &Parts, before: Vec<Poller>) -> Self {
        let asker = Asker::new(
            platform,
            Arc::clone(&generation.limits),
            Arc::clone(&parts.cache),
            Arc::clone(&generation.snapshot),
            Arc::clone(&generation.metrics),
            parts.log.clone(),
            parts.clock.clone(),
        );
        let mut before: HashMap<_, _> = before
            .into_iter()
            .map(|poller| {
                (
                    (poller.tenant.name.clone(), poller.tenant.app_id.clone()),
                    poller.progress,
                )
            })
            .collect();
        let (config, clock) = (&generation.config, &parts.clock);
        let tenants = generation.snapshot.tenants.all().iter().zip(&config.tenants);
        let pollers = generation.seen.iter().flat_map(|seen| {
            let wanted = tenants.clone().filter(|(_, settings)| settings.callback.reconcile);
            wanted.map(|(tenant, settings)| (Arc::clone(seen), Arc::clone(tenant), settings))
        });
        let pollers = pollers.map(|(seen, tenant, settings)| {
            let progress = before.remove(&(tenant.name.clone(), tenant.app_id.clone()));
            Poller {
                progress: progress.unwrap_or_else(|| Progress::new(clock)),
                tenant,
                link_hosts: settings.callback.link_hosts.clone(),
                settings: config.reconcile.clone(),
                seen,
                inbox: Arc::clone(&parts.inbox),
                invalidate: parts.invalidate.clone(),
                snapshot: Arc::clone(&generation.snapshot),
                asker: asker.clone(),
                clock: clock.clone(),
                signing_clock: clock.shifted(config.clock.offset_ms),
                metrics: Arc::clone(&generation.metrics),
                log: parts.log.clone(),
                failures: Throttle::new(config.log.repeat_interval, clock.clone()),
            }
        });
        let pollers = pollers.collect();
        Self {
            generation,
            asker,
            pollers,
        }
    }
}

fn platform(generation: &Generation, parts: &Parts) -> Platform {
    Platform::new(
        &generation.config.platform,
        generation.connector.clone(),
        &parts.clock,
        &generation.shared,
        parts.log.clone(),
    )
}
