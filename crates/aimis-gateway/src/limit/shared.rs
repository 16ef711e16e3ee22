//! Quotas that gateways share: judged by the store, all of a request's in one call.
//!
//! ```text
//! a place is free ──> one call: client's quotas, look-up, tenant's quota, lease ──> go | wait | hit | held | refused
//! none is free ─────> one call: client's quotas, look-up ──> hit | held | refused
//!                     else the line, as ever; with the place in hand one more call for the tenant's quota
//! the store is away > this gateway's parts of the quotas (`part`), by the same gate and line
//! ```
//!
//! A place comes before the tenant's quota, so that nobody holds quota while others hold all places. Whoever is granted a
//! turn that is still to come gives its place back, waits, and then goes by the first place: its quota is paid.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clients::NAMES;
use super::gate::{Paid, Told, quotas};
use super::headers::{Standing, Standings};
use super::line::Lane;
use super::tap::{Tap, Turn, decision_of};
use super::{Limit, Limited, Limits, NoTurn};
use crate::clock::timer_now;
use crate::config;
use crate::store::ask::{Answer, Ask, Granted, Take, Verdict};
use crate::store::look::LookUp;
use crate::store::{Away, Store};
use crate::telemetry::labels::LimitDecision;

/// A tenant's quota at the store.
pub(super) struct Shared {
    store: Arc<Store>,
    whole: Option<Term>,
    batch: Option<Term>,
    max_wait: Duration,
}

/// One quota at the store.
struct Term {
    name: &'static str,
    key: String,
    quota: (Duration, u32),
}

/// What became of a question at the limits, and of what was looked up with it.
pub struct Turned {
    /// Leave to go on, or why there is none.
    pub result: Result<Leave, NoTurn>,
    /// How long was waited.
    pub waited: Duration,
    /// The store was away, and this gateway went by its part of the quotas.
    pub local: bool,
}

/// How a question may go on.
pub enum Leave {
    /// To the platform. With what was looked up: its guard, an entry that is too old.
    Go(Turn, Option<Box<Answer>>),
    /// Nobody is to be asked: the answer was found.
    Hit(Box<Answer>),
    /// The answer was found and is old: the next may be asked for, after so long.
    Refresh(Turn, Duration, Box<Answer>),
    /// Nobody is to be asked by this one: another gateway asks the same just now.
    Held(Box<Answer>),
    /// Nothing was judged: what was looked up goes by another data key.
    OtherKey(Box<Answer>),
}

/// What a request takes of its client's quotas: once, in whichever call of the store is the request's first.
pub struct Charge {
    client: usize,
    tenant: usize,
    api: usize,
    weight: u32,
    terms: Vec<Term>,
    settled: Cell<bool>,
    local: Cell<bool>,
    standings: RefCell<Standings>,
}

impl Charge {
    /// It was paid, or is owed no more.
    pub fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// It was paid by this gateway's part of the quotas.
    pub fn is_local(&self) -> bool {
        self.local.get()
    }

    /// What is left of the client's quotas.
    pub fn standings(&self) -> Standings {
        *self.standings.borrow()
    }

    fn takes(&self) -> impl Iterator<Item = Take<'_>> {
        self.terms
            .iter()
            .map(|term| term.take(self.weight, Duration::ZERO, true))
    }

    fn paid(&self, answer: &Answer) {
        self.settled.set(true);
        for (term, left) in self.terms.iter().zip(answer.left) {
            let standing = Standing::of(term.name, term.quota, left, None);
            self.standings.borrow_mut().note(standing);
        }
    }
}

impl Term {
    fn take(&self, weight: u32, max_wait: Duration, for_hits: bool) -> Take<'_> {
        let (period, burst) = self.quota;
        Take {
            key: &self.key,
            period,
            burst,
            weight,
            max_wait,
            for_hits,
        }
    }

    fn refuses(&self, limit: Limit, wait: Duration) -> Limited {
        Limited {
            limit,
            wait,
            standing: Some(Standing::of(self.name, self.quota, 0, Some(wait))),
        }
    }
}

impl Shared {
    pub(super) fn new(store: &Arc<Store>, tenant: &str, limits: &config::Limits, quota: &config::TenantQuota) -> Self {
        let [whole, batch] = quotas(limits, quota);
        let term = |name, quota: Option<_>| {
            quota.map(|quota| Term {
                name,
                key: store.keys().of_tenant(tenant, "quota", name),
                quota,
            })
        };
        Self {
            whole: term("tenant", whole),
            batch: term("tenant-batch", batch),
            max_wait: limits.max_wait,
            store: Arc::clone(store),
        }
    }

    /// The tenant's quotas that a question of a lane meets, the narrower first.
    fn terms(&self, lane: Lane) -> impl Iterator<Item = &Term> {
        let batch = self.batch.as_ref().filter(|_| lane == Lane::Batch);
        batch.into_iter().chain(&self.whole)
    }

    /// Takes of the tenant's quota for one more attempt, without a wait; `None` if the store is away.
    pub(super) async fn take_again(&self, weight: u32) -> Option<bool> {
        let Some(whole) = &self.whole else { return Some(true) };
        let limits = [whole.take(weight, Duration::ZERO, false)];
        let ask = Ask {
            limits: &limits,
            look_up: None,
        };
        let answer = self.store.ask(&ask).await.ok()?;
        Some(matches!(answer.verdict, Verdict::Granted(_)))
    }
}

/// A question on its way through the limits.
struct Question<'a> {
    tap: &'a Arc<Tap>,
    shared: &'a Shared,
    lane: Lane,
    weight: u32,
    deadline: Instant,
}

impl Limits {
    /// What a request of a client takes of its quotas; `None` where it has none, or gateways share nothing.
    pub fn charge(&self, client: usize, tenant: usize, api: usize, orders: usize) -> Option<Box<Charge>> {
        let shared = self.taps[tenant].shared.as_ref()?;
        let (client_name, quotas) = self.clients.quotas(client)?;
        let (keys, tenant_name) = (shared.store.keys(), self.tenants[tenant].name.as_str());
        let terms = NAMES.into_iter().zip(quotas).filter_map(|(name, quota)| {
            let api = if name == "client" { "all" } else { self.apis[api] };
            Some(Term {
                name,
                // A name has no space, so nobody is called as whoever asks where no clients are configured.
                key: keys.of_client(tenant_name, client_name.unwrap_or("any body"), api),
                quota: quota?,
            })
        });
        Some(Box::new(Charge {
            terms: terms.collect(),
            client,
            tenant,
            api,
            weight: self.weight(api, orders),
            settled: Cell::new(false),
            local: Cell::new(false),
            standings: RefCell::default(),
        }))
    }

    /// Takes what a request takes of its client's quotas, if that was not done, in a call of its own.
    ///
    /// # Errors
    /// [`Limited`] when there is not enough.
    pub async fn pay(&self, charge: &Charge) -> Result<(), Limited> {
        let Some(shared) = self.taps[charge.tenant]
            .shared
            .as_ref()
            .filter(|_| !charge.is_settled())
        else {
            return Ok(());
        };
        let limits: Vec<_> = charge.takes().collect();
        let ask = Ask {
            limits: &limits,
            look_up: None,
        };
        match shared.store.ask(&ask).await {
            Err(Away) => self.pay_locally(charge),
            Ok(answer) => self.judged(charge, &answer),
        }
    }

    /// What the store said of the client's quotas, which were the first in the question.
    fn judged(&self, charge: &Charge, answer: &Answer) -> Result<(), Limited> {
        if let Verdict::Refused { limit, wait } = answer.verdict {
            if let Some(term) = charge.terms.get(limit) {
                charge.settled.set(true);
                self.taps[charge.tenant].count(LimitDecision::RefusedClient);
                return Err(term.refuses(Limit::Client, wait));
            }
            // Another limit refused, and nothing was taken.
            return Ok(());
        }
        charge.paid(answer);
        Ok(())
    }

    fn pay_locally(&self, charge: &Charge) -> Result<(), Limited> {
        charge.settled.set(true);
        charge.local.set(true);
        let mut standings = charge.standings.borrow_mut();
        let now = self.clock.moment();
        let admitted = self
            .clients
            .admit(now, charge.client, charge.api, charge.weight, &mut standings);
        if admitted.is_err() {
            self.taps[charge.tenant].count(LimitDecision::RefusedClient);
        }
        admitted
    }

    /// The road of a question where gateways share a store.
    pub(super) async fn leave_shared(
        &self,
        tap: &Arc<Tap>,
        shared: &Shared,
        (lane, weight, deadline): (Lane, u32, Instant),
        charge: Option<&Charge>,
        look_up: Option<&LookUp<'_>>,
    ) -> Turned {
        let began = tap.clock().moment();
        let question = Question {
            tap,
            shared,
            lane,
            weight,
            deadline,
        };
        let charge = charge.filter(|charge| !charge.is_settled());
        let mut local = false;
        let mut claimed = false;
        let (result, decision) = self
            .find_leave(&question, charge, look_up, &mut local, &mut claimed)
            .await;
        if let (Err(_) | Ok(Leave::Hit(_)), true, Some(look_up)) = (&result, claimed, look_up) {
            // Whoever waits for it need not wait for its end.
            let _ = shared.store.end(&look_up.given_up()).await;
        }
        if let Some(decision) = decision {
            tap.count(decision);
        }
        Turned {
            result,
            waited: tap.clock().moment().since(began),
            local,
        }
    }

    /// `None` for what was decided before the tenant's limits, and counted there.
    async fn find_leave(
        &self,
        question: &Question<'_>,
        charge: Option<&Charge>,
        look_up: Option<&LookUp<'_>>,
        local: &mut bool,
        claimed: &mut bool,
    ) -> (Result<Leave, NoTurn>, Option<LimitDecision>) {
        // Nobody is asked while the platform has had enough, but what was found serves.
        let place = question.tap.try_place(question.lane, question.weight);
        let first = charge.into_iter().flat_map(Charge::takes);
        let (place, closed) = match place {
            Ok(place) => (place, None),
            Err(closed) => (None, Some(closed)),
        };
        let mut limits: Vec<_> = first.collect();
        let of_client = limits.len();
        if place.is_some() {
            limits.extend(question.takes());
        }
        let mut found = None;
        if !limits.is_empty() || look_up.is_some() {
            let ask = Ask {
                limits: &limits,
                look_up: look_up.map(|look_up| if closed.is_some() { look_up.only() } else { *look_up }),
            };
            let Ok(answer) = question.shared.store.ask(&ask).await else {
                drop(place);
                *local = true;
                if let Some(Err(limited)) = charge.map(|charge| self.pay_locally(charge)) {
                    return (Err(NoTurn::Limited(limited)), None);
                }
                return question.by_own_part().await;
            };
            if answer.verdict == Verdict::OtherKey {
                return (Ok(Leave::OtherKey(Box::new(answer))), None);
            }
            if let Some(Err(limited)) = charge.map(|charge| self.judged(charge, &answer)) {
                return (Err(NoTurn::Limited(limited)), None);
            }
            match answer.verdict {
                Verdict::Hit { refresh } => {
                    return match (refresh, place) {
                        (Some(granted), Some(place)) => {
                            question.note(&answer.left[of_client..]);
                            (
                                Ok(Leave::Refresh(place, granted.wait, Box::new(answer))),
                                Some(LimitDecision::Allowed),
                            )
                        }
                        // The next is asked for when there is a place.
                        (Some(_), None) => {
                            *claimed = true;
                            (Ok(Leave::Hit(Box::new(answer))), None)
                        }
                        (None, _) => (Ok(Leave::Hit(Box::new(answer))), None),
                    };
                }
                Verdict::OtherKey => unreachable!("told before"),
                Verdict::Held { .. } => return (Ok(Leave::Held(Box::new(answer))), None),
                Verdict::Refused { limit, wait } => return question.refused(limit - of_client, wait),
                Verdict::Granted(Granted { wait }) => {
                    *claimed = look_up.is_some();
                    if let Some(place) = place {
                        question.note(&answer.left[of_client..]);
                        return question.go(place, wait, look_up.map(|_| Box::new(answer))).await;
                    }
                    found = look_up.map(|_| Box::new(answer));
                }
            }
        } else if let Some(place) = place {
            return (Ok(Leave::Go(place, None)), Some(LimitDecision::Allowed));
        }
        if let Some(closed) = closed {
            return (Err(closed), Some(decision_of(closed)));
        }
        question.wait_in_line(found, local).await
    }
}

impl Question<'_> {
    fn takes(&self) -> impl Iterator<Item = Take<'_>> {
        let max_wait = self.shared.max_wait;
        self.shared
            .terms(self.lane)
            .map(move |term| term.take(self.weight, max_wait, false))
    }

    /// Waits for a place, and asks for the quota with the place in hand.
    async fn wait_in_line(
        &self,
        found: Option<Box<Answer>>,
        local: &mut bool,
    ) -> (Result<Leave, NoTurn>, Option<LimitDecision>) {
        let (turn, _, decision) = self.enter(Paid::All).await;
        let place = match turn {
            Ok(turn) => turn,
            Err(no_turn) => return (Err(no_turn), Some(decision)),
        };
        let limits: Vec<_> = self.takes().collect();
        if limits.is_empty() {
            return (Ok(Leave::Go(place, found)), Some(decision));
        }
        let ask = Ask {
            limits: &limits,
            look_up: None,
        };
        match self.shared.store.ask(&ask).await {
            Err(Away) => {
                drop(place);
                *local = true;
                self.by_own_part().await
            }
            Ok(Answer {
                verdict: Verdict::Refused { limit, wait },
                ..
            }) => self.refused(limit, wait),
            Ok(answer) => {
                self.note(&answer.left);
                let wait = match answer.verdict {
                    Verdict::Granted(Granted { wait }) => wait,
                    _ => Duration::ZERO,
                };
                let (result, of_quota) = self.go(place, wait, found).await;
                // It waited for the place, if not for the quota.
                let waited = of_quota == Some(LimitDecision::Allowed);
                (result, if waited { Some(decision) } else { of_quota })
            }
        }
    }

    /// Goes now, or when its turn has come: by then with the next place.
    async fn go(
        &self,
        place: Turn,
        wait: Duration,
        found: Option<Box<Answer>>,
    ) -> (Result<Leave, NoTurn>, Option<LimitDecision>) {
        if wait.is_zero() {
            return (Ok(Leave::Go(place, found)), Some(LimitDecision::Allowed));
        }
        drop(place);
        if timer_now() + wait >= self.deadline {
            return (Err(NoTurn::Deadline), Some(LimitDecision::Expired));
        }
        tokio::time::sleep(wait).await;
        self.tap.waited(wait);
        let (turn, _, decision) = self.enter(Paid::All).await;
        let decision = if turn.is_ok() { LimitDecision::Waited } else { decision };
        (turn.map(|turn| Leave::Go(turn, found)), Some(decision))
    }

    /// The store is away.
    async fn by_own_part(&self) -> (Result<Leave, NoTurn>, Option<LimitDecision>) {
        let (turn, _, decision) = self.enter(Paid::Nothing).await;
        (turn.map(|turn| Leave::Go(turn, None)), Some(decision))
    }

    async fn enter(&self, paid: Paid) -> (Result<Turn, NoTurn>, Duration, LimitDecision) {
        self.tap.enter(self.lane, self.weight, paid, self.deadline).await
    }

    fn refused(&self, limit: usize, wait: Duration) -> (Result<Leave, NoTurn>, Option<LimitDecision>) {
        let term = self.shared.terms(self.lane).nth(limit);
        let limited = term.map_or(
            Limited {
                limit: Limit::Tenant,
                wait,
                standing: None,
            },
            |term| term.refuses(Limit::Tenant, wait),
        );
        (Err(NoTurn::Limited(limited)), Some(LimitDecision::RefusedTenant))
    }

    /// Tells the tap what is left of the tenant's quota, the last of those that were taken.
    fn note(&self, left: &[u32]) {
        let last = self.shared.terms(self.lane).count().checked_sub(1);
        let told = last.and_then(|last| {
            let (period, burst) = self.shared.whole.as_ref()?.quota;
            let left = *left.get(last)?;
            Some(Told { left, burst, period })
        });
        self.tap.granted(self.lane, self.weight, told);
    }
}
