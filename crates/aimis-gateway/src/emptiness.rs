//! Watches, on the control thread, whether a tenant's answers have become emptier than they were.
//!
//! The workers only count. What the counts mean is judged here, once a minute by the process's clock.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::config::Emptiness;
use crate::live::Live;
use crate::telemetry::empty_share::{Counts, EmptyShare};
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use crate::tenant::TenantName;

/// How often shares are compared.
const EVERY: Duration = Duration::from_secs(60);
/// How often it is asked whether it is time to. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_secs(1);

/// Compares each tenant's share of empty answers with what it was.
pub(crate) struct Watch {
    settings: Emptiness,
    live: Arc<Live>,
    tenants: Vec<(TenantName, EmptyShare)>,
    compared_at: Moment,
    clock: Clock,
    log: Log,
}

impl Watch {
    /// A watch over the tenants there are.
    pub(crate) fn new(settings: &Emptiness, live: Arc<Live>, clock: Clock, log: Log) -> Self {
        Self {
            settings: settings.clone(),
            live,
            tenants: Vec::new(),
            compared_at: clock.moment(),
            clock,
            log,
        }
    }

    /// Watches for as long as it is let to.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = self.clock.moment();
            if now.since(self.compared_at) >= EVERY {
                self.compared_at = now;
                self.compare(now);
            }
        }
    }

    fn compare(&mut self, now: Moment) {
        let generation = self.live.get();
        let answers = &generation.metrics.answers;
        let tenants = generation.snapshot.tenants.all();
        self.tenants
            .retain(|(name, _)| tenants.iter().any(|tenant| tenant.name == *name));
        for (index, name) in tenants.iter().map(|tenant| &tenant.name).enumerate() {
            let known = self.tenants.iter().position(|(known, _)| known == name);
            let at = known.unwrap_or_else(|| {
                self.tenants
                    .push((name.clone(), EmptyShare::new(self.settings.clone())));
                self.tenants.len() - 1
            });
            let (tenant, share) = &mut self.tenants[at];
            let (all, empty) = answers.totals(index);
            if let Some(jump) = share.observe(now, Counts { answers: all, empty }) {
                answers.jumped(index);
                self.log.write(&Event::EmptyShareJumped { tenant, jump });
            }
        }
        answers.compared(self.clock.now().as_millis() as f64 / 1000.0);
    }
}
