//! Tries new tokens: a question about nobody under each, and when the platform has answered that, requests use it.
//!
//! Only an answer that takes a look-up counts (`Verdict::Taken`). The question goes the way of every other, through the
//! tenant's quota as a batch, its breaker and its retries.

use std::sync::Arc;
use std::time::Duration;

use super::{Generation, Live};
use crate::clock::{Clock, Moment};
use crate::forward::ask::Verdict;
use crate::forward::protect::protect;
use crate::keyring::Key;
use crate::limit::Lane;
use crate::nobody;
use crate::telemetry::event::Event;
use crate::telemetry::labels::SwitchReason;
use crate::telemetry::log::Log;
use crate::tenant::{Tenant, TenantName};
use crate::token_end;
use crate::upstream::Platform;
use aimis_core::token::Fingerprint;

/// How often it is asked whether it is time to try. Short, so that a clock that a test moves is followed soon.
const TICK: Duration = Duration::from_millis(200);
/// A token that was used and then refused is not tried again for so long: it was taken then as well.
const AFTER_REFUSAL: Duration = Duration::from_mins(5);

/// Tries the new tokens of all tenants.
pub(crate) struct Rotation {
    live: Arc<Live>,
    clock: Clock,
    log: Log,
    way: Option<(Arc<Generation>, Platform)>,
    tried: Vec<Tried>,
}

/// What is known of a token that was tried.
struct Tried {
    tenant: TenantName,
    token: Fingerprint,
    at: Moment,
    verdict: Option<Verdict>,
}

impl Rotation {
    pub(crate) fn new(live: Arc<Live>, clock: Clock, log: Log) -> Self {
        Self {
            live,
            clock,
            log,
            way: None,
            tried: Vec::new(),
        }
    }

    /// Tries them for as long as it is let to.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(TICK).await;
            let generation = self.live.get();
            // Which token is in use may have changed on any thread.
            token_end::show(&generation);
            let tenants = generation.snapshot.tenants.all();
            let candidates: Vec<_> = tenants
                .iter()
                .filter_map(|tenant| Some((Arc::clone(tenant), Arc::clone(tenant.keyring.candidate()?))))
                .collect();
            // Those that nobody has any more are new when they come back.
            self.tried.retain(|tried| {
                let mut held = tenants.iter().filter(|tenant| tenant.name == tried.tenant);
                held.any(|tenant| {
                    let mut all = tenant.keyring.all().iter();
                    all.any(|held| held.key.fingerprint() == tried.token)
                })
            });
            if candidates.is_empty() {
                self.way = None;
            }
            for (tenant, key) in candidates {
                if self.is_time(&generation, &tenant, &key) {
                    self.attempt(&generation, &tenant, &key).await;
                }
            }
        }
    }

    fn is_time(&self, generation: &Generation, tenant: &Tenant, key: &Key) -> bool {
        let Some(tried) = self.find(tenant, key) else {
            return true;
        };
        let interval = generation.config.rotation.canary_interval;
        let wait = match tried.verdict {
            Some(Verdict::Taken) => interval.max(AFTER_REFUSAL),
            _ => interval,
        };
        self.clock.moment().since(tried.at) >= wait
    }

    fn find(&self, tenant: &Tenant, key: &Key) -> Option<&Tried> {
        let mut tried = self.tried.iter();
        tried.find(|tried| tried.tenant == tenant.name && tried.token == key.fingerprint())
    }

    async fn attempt(&mut self, generation: &Arc<Generation>, tenant: &Arc<Tenant>, key: &Arc<Key>) {
        let verdict = self.ask(generation, tenant, key).await;
        let before = self.find(tenant, key).and_then(|tried| tried.verdict);
        let token = key.fingerprint();
        self.tried
            .retain(|tried| tried.tenant != tenant.name || tried.token != token);
        self.tried.push(Tried {
            tenant: tenant.name.clone(),
            token,
            at: self.clock.moment(),
            verdict: verdict.or(before),
        });
        // The configuration may have changed meanwhile.
        let in_force = self.live.get();
        let Some(tenant) = in_force.snapshot.tenants.all().iter().find(|now| now.is_same(tenant)) else {
            return;
        };
        match verdict {
            Some(Verdict::Taken) => {
                if let Some(switch) = tenant.keyring.switch(token, self.clock.moment()) {
                    in_force.metrics.reloads.switched(tenant.index, SwitchReason::Canary);
                    self.log.write(&Event::TokenSwitched {
                        tenant: &tenant.name,
                        switch,
                        reason: SwitchReason::Canary,
                    });
                }
            }
            // Once, until it is another.
            Some(verdict) if before != Some(verdict) => self.log.write(&Event::TokenNotTaken {
                tenant: &tenant.name,
                fingerprint: token,
                refused: verdict == Verdict::Refused,
            }),
            Some(_) | None => {}
        }
    }

    /// What the platform says under `key`; `None` if it was not asked.
    async fn ask(&mut self, generation: &Arc<Generation>, tenant: &Arc<Tenant>, key: &Arc<Key>) -> Option<Verdict> {
        let (api, order, _) = nobody::question(&generation.config, tenant, &generation.snapshot.apis)?;
        let platform = self.way(generation);
        if platform.suspended(tenant.index, api).is_some() {
            return None;
        }
        let deadline = platform.deadline();
        let request = protect(&order, api, tenant, key);
        let turn = generation.limits.turn(tenant.index, api, Lane::Batch, deadline).await;
        let turn = turn.0.ok()?;
        let sent = platform.send(request, turn.repeats(), deadline).await;
        Some(Verdict::of(&sent, api, &generation.snapshot))
    }

    /// A way to the platform of its own: those of the workers are on their threads.
    fn way(&mut self, generation: &Arc<Generation>) -> Platform {
        if let Some((made, platform)) = &self.way
            && Arc::ptr_eq(made, generation)
        {
            return platform.clone();
        }
        let platform = Platform::new(
            &generation.config.platform,
            generation.connector.clone(),
            &self.clock,
            &generation.shared,
            self.log.clone(),
        );
        self.way = Some((Arc::clone(generation), platform.clone()));
        platform
    }
}
