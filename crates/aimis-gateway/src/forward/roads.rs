//! A worker's road under the generation in force: made when the first request comes after a reload, and kept by requests
//! that began on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::Road;
use super::ask::Asker;
use super::cache::Cache;
use crate::clock::Clock;
use crate::live::{Generation, Live};
use crate::telemetry::log::Log;
use crate::upstream::Platform;

/// A worker's roads: the one in force, and by way of the requests on them those before.
pub struct Roads {
    live: Arc<Live>,
    made: RefCell<Rc<Made>>,
    cache: Arc<Cache>,
    clock: Clock,
    log: Log,
}

/// A road, and what it goes by.
pub struct Made {
    /// What it was made of.
    pub generation: Arc<Generation>,
    /// The road.
    pub road: Road,
}

impl Roads {
    /// The roads of one worker, on its own thread.
    pub fn new(live: Arc<Live>, cache: Arc<Cache>, clock: Clock, log: Log) -> Self {
        let generation = live.get();
        let platform = Platform::new(
            &generation.config.platform,
            generation.connector.clone(),
            &clock,
            &generation.shared,
            log.clone(),
        );
        let made = made(generation, platform, &cache, &clock, &log);
        Self {
            live,
            made: RefCell::new(made),
            cache,
            clock,
            log,
        }
    }

    /// The road in force.
    pub fn current(&self) -> Rc<Made> {
        let in_force = self.live.look();
        let before = Rc::clone(&self.made.borrow());
        if Arc::ptr_eq(&in_force, &before.generation) {
            return before;
        }
        let next = Arc::clone(&in_force);
        drop(in_force);
        let made = self.make(next, &before);
        self.made.replace(Rc::clone(&made));
        made
    }

    #[cold]
    fn make(&self, next: Arc<Generation>, before: &Made) -> Rc<Made> {
        let settings = &next.config.platform;
        let platform = if next.has_way_of(&before.generation) {
            before.road.asker.platform().following(settings, &next.shared)
        } else {
            let connector = next.connector.clone();
            Platform::new(settings, connector, &self.clock, &next.shared, self.log.clone())
        };
        made(next, platform, &self.cache, &self.clock, &self.log)
    }
}

fn made(generation: Arc<Generation>, platform: Platform, cache: &Arc<Cache>, clock: &Clock, log: &Log) -> Rc<Made> {
    let snapshot = Arc::clone(&generation.snapshot);
    let asker = Asker::new(
        platform,
        Arc::clone(&generation.limits),
        Arc::clone(cache),
        Arc::clone(&snapshot),
        Arc::clone(&generation.metrics),
        log.clone(),
        clock.clone(),
    );
    let signing_clock = clock.shifted(generation.config.clock.offset_ms);
    let road = Road::new(snapshot, Arc::clone(&generation.failures), asker, signing_clock);
    let road = road.telling(generation.seen.clone());
    Rc::new(Made { generation, road })
}
