//! From an order to the platform's answer: what stands between a checked question and a reply.

use std::rc::Rc;
use std::sync::Arc;

use aimis_core::codes::Class;
use aimis_core::order::Order;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::cache::Cache;
use super::cache::directives::Directives;
use super::cache::entry::Subject;
use super::cache::flight::{Asked, Fetched, Question};
use super::cache::key::CacheKeys;
use super::cache::shared::{Asking, Gate};
use super::cache::status::Passage;
use super::protect::protect;
use crate::clock::Clock;
use crate::keyring::Key;
use crate::limit::pace::Outcome;
use crate::limit::{Charge, Lane, Leave, Limited, Limits, NoTurn, Turn, Turned};
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;
use crate::store::look::LookUp;
use crate::telemetry::event::Event;
use crate::telemetry::labels::SwitchReason;
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;
use crate::tenant::Tenant;
use crate::upstream::error::{Head, UpstreamError};
use crate::upstream::{Platform, Sent};

/// Why there is no answer to an order. Several may wait for the same one, so it is small and copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The platform was asked, or could not be.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Too much is asked for the tenant.
    #[error("over the tenant's quota")]
    Limited(Limited),
    /// As many questions of the tenant wait as may.
    #[error("too many questions wait")]
    QueueFull,
    /// The request asks not to ask the platform (`only-if-cached`), and no answer is kept.
    #[error("no answer is kept, and the request forbids to ask")]
    NotKept,
    /// Asking ended in a defect.
    #[error("the question was lost")]
    Lost,
}

impl NoReply {
    /// Whether an older answer may serve in its place: the platform could not be asked, or did not answer.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Upstream(_) | Self::Limited(_) | Self::QueueFull => true,
            Self::NotKept | Self::Lost => false,
        }
    }

    /// Name and explanation for the log.
    pub fn for_log(self) -> (&'static str, Option<&'static str>) {
        Rejection::from(self).for_log()
    }
}

impl From<NoTurn> for NoReply {
    fn from(no_turn: NoTurn) -> Self {
        match no_turn {
            NoTurn::Limited(limited) => Self::Limited(limited),
            NoTurn::Overloaded => Self::QueueFull,
            NoTurn::Deadline => Self::Upstream(UpstreamError::Deadline),
        }
    }
}

impl From<NoReply> for Rejection {
    fn from(no_reply: NoReply) -> Self {
        match no_reply {
            NoReply::Upstream(error) => Self::Upstream(error),
            NoReply::Limited(limited) => Self::QuotaExceeded(limited),
            NoReply::QueueFull => Self::QueueFull,
            NoReply::NotKept => Self::NotKept,
            NoReply::Lost => Self::Internal,
        }
    }
}

/// Asks for a worker's requests. Cloning gives another handle; all belong to one thread.
#[derive(Clone)]
pub struct Asker(Rc<Inner>);

struct Inner {
    platform: Platform,
    limits: Arc<Limits>,
    cache: Arc<Cache>,
    snapshot: Arc<Snapshot>,
    metrics: Arc<Metrics>,
    log: Log,
    clock: Clock,
}

impl Asker {
    /// Asks `platform` for what `cache` has not, as much as `limits` allow.
    pub fn new(
        platform: Platform,
        limits: Arc<Limits>,
        cache: Arc<Cache>,
        snapshot: Arc<Snapshot>,
        metrics: Arc<Metrics>,
        log: Log,
        clock: Clock,
    ) -> Self {
        Self(Rc::new(Inner {
            platform,
            limits,
            cache,
            snapshot,
            metrics,
            log,
            clock,
        }))
    }

    /// The platform, for what is not a question.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// How much may be asked.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The cache, for what is not a question.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Asks for `order`, and waits no longer than the platform's deadline from now.
    pub async fn ask(&self, order: Order, api: usize, tenant: &Arc<Tenant>, said: Directives) -> Asked {
        self.ask_until(order, api, tenant, said, self.0.platform.deadline(), None)
            .await
    }

    /// Asks for each of `orders`, at most `at_once` of them at a time, and gives what became of each in their order.
    /// Whoever waits for all waits no longer than for one.
    pub async fn ask_each(
        &self,
        orders: Vec<Order>,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        at_once: usize,
    ) -> Vec<Asked> {
        let deadline = self.0.platform.deadline();
        stream::iter(orders)
            .map(|order| self.ask_until(order, api, tenant, said, deadline, None))
            .buffered(at_once.max(1))
            .collect()
            .await
    }

    /// Past the cache, to the platform if need be.
    async fn ask_until(
        &self,
        order: Order,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        deadline: Instant,
        charge: Option<&Charge>,
    ) -> Asked {
        let Inner {
            cache,
            snapshot,
            metrics,
            platform,
            ..
        } = &*self.0;
        let terms = &tenant.cache[api];
        let past = Self::goes_past(tenant, api, said);
        let mut asked = if past && said.only_if_cached {
            Asked::absent()
        } else if past {
            // In a box, so that the others, whose flight has one, have not the room for it.
            Asked::directly(Box::pin(self.fetch(order, api, tenant, deadline, charge, None)).await)
        } else {
            let question = Question {
                key: snapshot.cache_keys.key(tenant, &order),
                terms,
                said,
                deadline,
            };
            let subject = |order: &Order| Subject {
                tenant: tenant.name.clone(),
                api,
                patient: snapshot.cache_keys.patient(tenant, order),
            };
            let codes = Arc::clone(snapshot);
            let rule = move |code| *codes.rule(api, code);
            let fetch = |order, turned| {
                let (asker, tenant) = (self.clone(), Arc::clone(tenant));
                async move { asker.fetch(order, api, &tenant, deadline, None, turned).await }
            };
            if let Some(shared) = cache.shared() {
                let asking = Asking {
                    tenant: tenant.name.as_str(),
                    api: snapshot.apis.name(api),
                    named: |keys: &CacheKeys, order: &Order| (keys.key(tenant, order), keys.patient(tenant, order)),
                    goes: platform.suspended(tenant.index, api).is_none(),
                };
                let way = Way {
                    limits: &self.0.limits,
                    tenant: tenant.index,
                    api,
                    lane: Lane::of(&order),
                    deadline,
                    charge,
                };
                // In a box, so that what is kept here has not the room for it.
                Box::pin(shared.ask(question, order, asking, &way, subject, rule, fetch)).await
            } else {
                cache
                    .ask(question, order, subject, rule, |order| fetch(order, None))
                    .await
            }
        };
        told(&mut asked);
        metrics.cache.requests(api, asked.passage.result()).inc();
        asked
    }

    /// Whether a question has nothing to do with the cache.
    fn goes_past(tenant: &Tenant, api: usize, said: Directives) -> bool {
        let terms = &tenant.cache[api];
        said.no_store || !(terms.enabled || terms.coalesce)
    }

    /// Asks for a client that owes for it at the store that gateways share, as far as that is judged with the question.
    pub async fn ask_charged(
        &self,
        order: Order,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        charge: &Charge,
    ) -> Asked {
        let deadline = self.0.platform.deadline();
        self.ask_until(order, api, tenant, said, deadline, Some(charge)).await
    }

    /// Whether a client's quota is judged with its question: nobody else hears what came of it, or not for that reason.
    pub fn judges_with(&self, tenant: &Tenant, api: usize, said: Directives) -> bool {
        self.0.cache.shared().is_some() || Self::goes_past(tenant, api, said)
    }

    /// Protects and sends, however the answer is used.
    async fn fetch(
        &self,
        order: Order,
        api: usize,
        tenant: &Arc<Tenant>,
        deadline: Instant,
        charge: Option<&Charge>,
        turned: Option<Turned>,
    ) -> Fetched {
        // What is not sent costs nothing: neither callers nor the one that tries are to be refused for the quota.
        if let Some(wait) = self.0.platform.suspended(tenant.index, api) {
            return Fetched::without(UpstreamError::Suspended(wait).into());
        }
        let lane = Lane::of(&order);
        let key = Arc::clone(tenant.keyring.current());
        let protected = protect(&order, api, tenant, &key);
        // What the patient is called is not kept while the platform thinks, but while a token is changed.
        let kept = tenant.keyring.has_others().then_some(order);
        let turned = match turned {
            Some(turned) => turned,
            None => {
                self.0
                    .limits
                    .leave(tenant.index, api, lane, deadline, charge, None)
                    .await
            }
        };
        let Turned { result, waited, local } = turned;
        let turn = match result {
            Ok(Leave::Go(turn, _)) => turn,
            // Nothing was looked up, so nothing was found.
            Ok(_) => return Fetched::without(NoReply::Lost),
            Err(no_turn) => {
                return Fetched {
                    limit_time: waited,
                    local,
                    ..Fetched::without(no_turn.into())
                };
            }
        };
        let mut sent = self.0.platform.send(protected, turn.repeats(), deadline).await;
        if let Some(order) = kept {
            // In a box: hardly any question is about this.
            sent = Box::pin(self.under_others(sent, &key, &order, api, tenant, &turn, deadline)).await;
        }
        let outcome = outcome(&sent, api);
        let closed = turn.done(outcome, sent.slow_down);
        let told = |error| match (error, closed) {
            // Whoever comes next is refused for that long.
            (UpstreamError::NotEnvelope(foreign, head), Some(wait)) => UpstreamError::NotEnvelope(
                foreign,
                Head {
                    wait: Some(wait),
                    ..head
                },
            ),
            _ => error,
        };
        Fetched {
            result: sent.result.map_err(|error| NoReply::Upstream(told(error))),
            attempts: sent.attempts,
            upstream_time: sent.took,
            limit_time: waited,
            resigned: sent.resigned,
            tries: sent.tries,
            local,
        }
    }
}

/// A question's way past the limits.
struct Way<'a> {
    limits: &'a Limits,
    tenant: usize,
    api: usize,
    lane: Lane,
    deadline: Instant,
    charge: Option<&'a Charge>,
}

impl Gate for Way<'_> {
    async fn leave(&self, look_up: LookUp<'_>) -> Turned {
        self.limits
            .leave(
                self.tenant,
                self.api,
                self.lane,
                self.deadline,
                self.charge,
                Some(&look_up),
            )
            .await
    }

    async fn pay(&self) -> Result<(), NoReply> {
        match self.charge {
            Some(charge) => self.limits.pay(charge).await.map_err(NoReply::Limited),
            None => Ok(()),
        }
    }
}

impl Asker {
    /// While a token is changed: a question that was refused under `key` is asked under the tenant's other tokens, until
    /// the platform takes one. What it says under none of them is what it said first.
    #[expect(clippy::too_many_arguments, reason = "what `fetch` has in hand, once")]
    async fn under_others(
        &self,
        mut sent: Sent,
        key: &Arc<Key>,
        order: &Order,
        api: usize,
        tenant: &Arc<Tenant>,
        turn: &Turn,
        deadline: Instant,
    ) -> Sent {
        let Inner {
            platform,
            snapshot,
            metrics,
            log,
            clock,
            ..
        } = &*self.0;
        match Verdict::of(&sent, api, snapshot) {
            Verdict::Refused => {}
            Verdict::Taken => {
                tenant.keyring.accepted(key);
                return sent;
            }
            Verdict::Unclear => return sent,
        }
        let mut others = tenant.keyring.others(key, clock.moment());
        let mut refused_all = !others.is_empty();
        // Once more under the first: the platform may change over between two attempts.
        others.extend(refused_all.then(|| Arc::clone(key)));
        for other in others {
            if !turn.repeats().take().await {
                return sent;
            }
            let again = platform.send(protect(order, api, tenant, &other), turn.repeats(), deadline);
            let mut again = again.await;
            again.attempts += sent.attempts;
            again.took += sent.took;
            again.resigned |= sent.resigned;
            again.tries.splice(0..0, std::mem::take(&mut sent.tries));
            let verdict = Verdict::of(&again, api, snapshot);
            if verdict == Verdict::Refused {
                sent.attempts = again.attempts;
                sent.tries = again.tries;
                sent.took = again.took;
                continue;
            }
            refused_all = false;
            if again.result.is_err() {
                sent.attempts = again.attempts;
                sent.tries = again.tries;
                sent.took = again.took;
                break;
            }
            let switch = (verdict == Verdict::Taken)
                .then(|| tenant.keyring.refused_for(key, &other, clock.moment()))
                .flatten();
            if let Some(switch) = switch {
                metrics.reloads.switched(tenant.index, SwitchReason::Refused);
                log.write(&Event::TokenSwitched {
                    tenant: &tenant.name,
                    switch,
                    reason: SwitchReason::Refused,
                });
            }
            return again;
        }
        if refused_all {
            tenant.keyring.refused_all(clock.moment());
        }
        sent
    }
}

/// What an answer says about the token that it was asked under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The platform looked the patient up: signature and ciphertexts were right.
    Taken,
    /// It refuses us.
    Refused,
    /// There is none, or it is about something else. A complaint about fields is among this: whoever looks at the
    /// fields before the signature would take any token, and whoever cannot decrypt them complains as well.
    Unclear,
}

impl Verdict {
    pub(crate) fn of(sent: &Sent, api: usize, snapshot: &Snapshot) -> Self {
        let code = sent.result.as_ref().ok().and_then(|reply| reply.envelope().code());
        match code.map(|code| snapshot.rule(api, code).class) {
            Some(Class::Success | Class::NoData) => Self::Taken,
            Some(Class::Auth) => Self::Refused,
            _ => Self::Unclear,
        }
    }
}

/// Behind the cache, which has to know a flight that ran out of time, whatever it spent it on.
fn told(asked: &mut Asked) {
    if never_went(asked) {
        asked.fetched.result = Err(UpstreamError::TurnTimeout.into());
    }
}

/// Whether a question's time was over before its turn came.
fn never_went(asked: &Asked) -> bool {
    let by_itself = matches!(asked.passage, Passage::Asked { collapsed: false, .. });
    let late = matches!(asked.fetched.result, Err(NoReply::Upstream(UpstreamError::Deadline)));
    by_itself && late && asked.fetched.attempts == 0
}

/// What a question tells of the platform's load. One that was repeated took longer for other reasons, and one whose
/// turn came late had too little time for any platform.
fn outcome(sent: &Sent, api: usize) -> Outcome {
    match &sent.result {
        Ok(reply) if matches!(reply.status().as_u16(), 503 | 504) => Outcome::NotInTime,
        Ok(_) if sent.attempts == 1 => Outcome::Answered { api, took: sent.took },
        Err(UpstreamError::Deadline) if sent.timed_out => Outcome::NotInTime,
        Ok(_) | Err(_) => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_platform_that_had_its_time_is_too_slow() {
        for (timed_out, told) in [(true, Outcome::NotInTime), (false, Outcome::Unknown)] {
            let sent = Sent {
                result: Err(UpstreamError::Deadline),
                attempts: 1,
                took: Duration::from_secs(2),
                resigned: false,
                timed_out,
                slow_down: None,
                tries: Vec::new(),
            };
            assert_eq!(outcome(&sent, 0), told);
        }
    }
}
