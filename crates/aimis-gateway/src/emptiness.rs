//! Watches, on the control thread, whether a tenant's answers have become emptier than they were.
//!
//! The workers only count. What the counts mean is judged here, once a minute by the process's clock.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::config::Emptiness;
use crate::telemetry::empty_share::{Counts, EmptyShare};
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::tenant::TenantName;

/// How often shares are compared.
const EVERY: Duration = Duration::from_secs(60);
/// How often it is asked whether it is time to. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_secs(1);

/// Compares each tenant's share of empty answers with what it was.
pub(crate) struct Watch {
    tenants: Vec<(TenantName, EmptyShare)>,
    compared_at: Moment,
    clock: Clock,
    metrics: Arc<Metrics>,
    log: Log,
}

impl Watch {
    /// A watch over these tenants, in the configuration's order.
    pub(crate) fn new(
        settings: &Emptiness,
        tenants: impl Iterator<Item = TenantName>,
        clock: Clock,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> Self {
        Self {
            tenants: tenants.map(|name| (name, EmptyShare::new(settings.clone()))).collect(),
            compared_at: clock.moment(),
            clock,
            metrics,
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
        let answers = &self.metrics.answers;
        for (index, (tenant, share)) in self.tenants.iter_mut().enumerate() {
            let (all, empty) = answers.totals(index);
            if let Some(jump) = share.observe(now, Counts { answers: all, empty }) {
                answers.jumped(index);
                self.log.write(&Event::EmptyShareJumped { tenant, jump });
            }
        }
        answers.compared(self.clock.now().as_millis() as f64 / 1000.0);
    }
}
