//! What becomes of a question where replicas share answers.
//!
//! ```text
//! on its way here already? ── yes ──> wait for it; its answer is good if the store says so at its end
//!   │ no
//! the store: limits, look-up, lease, in one call
//!   ├─ there           ──> open it, or take the copy
//!   ├─ asked elsewhere ──> wait a moment, begin again
//!   ├─ over a limit    ──> refused, or an older answer
//!   ├─ nothing         ──> the platform, then the store again: keep it, give the lease back
//!   └─ store away      ──> as if there were this replica only
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aimis_core::codes::Rule;
use futures_util::FutureExt;
use tokio::time::{sleep, timeout_at};

use super::super::directives::Directives;
use super::super::entry::Subject;
use super::super::flight::{Asked, Failure, Fetched, Question, Ride, is_ahead, ran_out};
use super::super::key::{CacheKey, CacheKeys, PatientTags};
use super::super::status::{Forward, Passage};
use super::super::terms::Terms;
use super::Shared;
use super::flights::hear;
use super::lead::Lead;
use super::look::{Looked, NotLooked};
use crate::forward::ask::NoReply;
use crate::limit::{Limit, Turned};
use crate::store::ask::Verdict;
use crate::store::look::{Ended, Found, LookUp, Token, Use};
use crate::upstream::error::UpstreamError;
use crate::upstream::reply::Reply;

/// The first wait for another replica's answer, and the longest; each up to a half more at random.
const FIRST_WAIT: Duration = Duration::from_millis(8);
const LONGEST_WAIT: Duration = Duration::from_millis(80);

/// What a question is about, for the store.
pub(crate) struct Asking<'a, N> {
    /// Whose it is.
    pub(crate) tenant: &'a str,
    /// The name of its API.
    pub(crate) api: &'a str,
    /// Its name and its patient, under a data key.
    pub(crate) named: N,
    /// Whether the platform is asked at all; otherwise it is of no use to take of the limits.
    pub(crate) goes: bool,
}

/// The limits that a question is under.
pub(crate) trait Gate {
    /// Leave to ask, judged in one call together with a look-up.
    async fn leave(&self, look_up: LookUp<'_>) -> Turned;
    /// Takes what the client owes, if that was not done.
    async fn pay(&self) -> Result<(), NoReply>;
}

/// Waits for another replica, and what it waits for.
struct Waiting {
    holder: Option<Token>,
    forward: Forward,
    wait: Duration,
}

impl Shared {
    /// The answer to a question: one that is kept, or what `fetch` brings from the platform, which it has to do by the
    /// question's deadline; it is given leave to ask, or nothing where it has to see to that itself.
    /// `subject` tells what the order is about, `rule` what a code means. On a runtime with local tasks.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of `Cache::ask`, and what is for the store"
    )]
    pub(crate) async fn ask<O, N, F, G>(
        self: &Arc<Self>,
        question: Question<'_>,
        order: O,
        asking: Asking<'_, N>,
        gate: &impl Gate,
        subject: impl Fn(&O) -> Subject,
        rule: impl Fn(i64) -> Rule + Clone + 'static,
        fetch: G,
    ) -> Asked
    where
        N: Fn(&CacheKeys, &O) -> (CacheKey, PatientTags),
        G: FnOnce(O, Option<Turned>) -> F,
        F: Future<Output = Fetched> + 'static,
    {
        let Question {
            key,
            terms,
            said,
            deadline,
        } = question;
        let named = |keys: &CacheKeys| (asking.named)(keys, &order);
        let goes = asking.goes && !said.only_if_cached;
        let start = self.now();
        let mut waiting = Waiting {
            holder: None,
            forward: Forward::Miss,
            wait: FIRST_WAIT,
        };
        let mut usable = usable(terms, said);
        loop {
            if let Some(followed) = self.follow(question).await {
                let Some((mut fetched, ended)) = followed else { continue };
                if let Err(refused) = gate.pay().await {
                    return Asked::directly(Fetched::without(refused));
                }
                fetched.upstream_time = self.now().since(start);
                let passage = Passage::Asked {
                    forward: if terms.enabled { Forward::Miss } else { Forward::Bypass },
                    stored: ended.kept,
                    collapsed: true,
                };
                let lookup = self.lookup(asking.tenant, asking.api, named).await.ok();
                return self.or_stale(question, lookup.as_ref(), fetched, passage, rule).await;
            }
            let began = self.now();
            let looked = self
                .look(question, asking.tenant, asking.api, named, gate, usable, goes)
                .await;
            let mut looked = match looked {
                Ok(looked) => looked,
                Err(NotLooked::Away(turned)) => {
                    let turned = turned.map(|turned| *turned);
                    return self.without_store(question, order, turned, subject, rule, fetch).await;
                }
                Err(NotLooked::Refused(refused)) => {
                    let fetched = Fetched {
                        limit_time: self.now().since(began),
                        ..Fetched::without(refused)
                    };
                    let forward = if terms.enabled { Forward::Miss } else { Forward::Bypass };
                    let passage = Passage::Asked {
                        forward,
                        stored: false,
                        collapsed: false,
                    };
                    let lookup = self.lookup(asking.tenant, asking.api, named).await.ok();
                    // Its own client's quota is no failure that an older answer bridges.
                    let lookup = lookup.filter(|_| !is_of_client(refused));
                    return self.or_stale(question, lookup.as_ref(), fetched, passage, rule).await;
                }
            };
            self.returned();
            let turned = looked.turned.take();
            let (lookup, answer) = (&looked.lookup, &looked.answer);
            let forward = forward(terms, &looked);
            let asked = |stored, collapsed| Passage::Asked {
                forward,
                stored,
                collapsed,
            };
            match answer.verdict {
                Verdict::Hit { .. } => {
                    let (Some(found), Some(reply)) = (looked.found(), self.open(key, &looked, || subject(&order)))
                    else {
                        // It is replaced by what the platform says.
                        usable = Use::Nothing;
                        continue;
                    };
                    if waiting.holder == Some(found.version) && turned.is_none() {
                        let passage = Passage::Asked {
                            forward: waiting.forward,
                            stored: true,
                            collapsed: true,
                        };
                        return collapsed(reply, passage, self.now().since(start));
                    }
                    if let Some((turned, wait)) = turned {
                        let lead = Lead::begin(self, question, &looked, subject(&order), began);
                        let fetch = fetch(order, Some(turned));
                        let fetch = sleep(wait).then(|()| fetch);
                        tokio::task::spawn_local(lead.fly(fetch, rule));
                    }
                    return kept(reply, found, answer.now_ms, None);
                }
                Verdict::Held { rest } => {
                    (waiting.holder, waiting.forward) = (answer.seen.holder.or(waiting.holder), forward);
                    let wait = (waiting.wait + self.jitter.up_to(waiting.wait / 2)).min(rest.max(FIRST_WAIT));
                    waiting.wait = (waiting.wait * 2).min(LONGEST_WAIT);
                    if timeout_at(deadline, sleep(wait)).await.is_ok() {
                        continue;
                    }
                    let fetched = Fetched {
                        upstream_time: self.now().since(start),
                        ..Fetched::without(UpstreamError::Deadline.into())
                    };
                    return self
                        .or_stale(question, Some(lookup), fetched, asked(false, true), rule)
                        .await;
                }
                Verdict::OtherKey | Verdict::Refused { .. } => unreachable!("`look` deals with it"),
                Verdict::Granted(_) if said.only_if_cached => return Asked::absent(),
                Verdict::Granted(_) => {
                    let lookup = Arc::clone(lookup);
                    let (fetched, ended) = if goes {
                        let lead = Lead::begin(self, question, &looked, subject(&order), began);
                        let landed =
                            Ride::on(lead.fly(fetch(order, turned.map(|(turned, _)| turned)), rule.clone())).await;
                        landed.unwrap_or((Fetched::without(NoReply::Lost), Ended::default()))
                    } else {
                        // It tells why nobody is asked. In a box, so that the others have not the room for it.
                        (Box::pin(fetch(order, None)).await, Ended::default())
                    };
                    return self
                        .or_stale(question, Some(&lookup), fetched, asked(ended.kept, false), rule)
                        .await;
                }
            }
        }
    }

    /// What came of a question of this replica that is on its way already. The inner nothing: it has to be asked anew.
    async fn follow(&self, question: Question<'_>) -> Option<Option<(Fetched, Ended)>> {
        let Question {
            key,
            terms,
            said,
            deadline,
        } = question;
        if !terms.coalesce || said.no_cache || said.only_if_cached {
            return None;
        }
        let mut hearer = self.flights.join(key, self.now(), said.max_age)?;
        let (fetched, ended) = match timeout_at(deadline, hear(&mut hearer)).await {
            Ok(Some((fetched, _))) if ran_out(&fetched) && is_ahead(deadline) => return Some(None),
            Ok(Some((fetched, ended))) if ended.current || fetched.result.is_err() => (fetched, ended),
            // It vanished; or a callback was in between, and its answer may be that of before.
            Ok(_) => return Some(None),
            Err(_elapsed) => (Fetched::without(UpstreamError::Deadline.into()), Ended::default()),
        };
        Some(Some((
            Fetched {
                attempts: 0,
                resigned: false,
                ..fetched
            },
            ended,
        )))
    }

    /// As if there were this replica only: what is kept, for a short while, is what was asked while the store was away.
    async fn without_store<O, F, G>(
        self: &Arc<Self>,
        question: Question<'_>,
        order: O,
        turned: Option<Turned>,
        subject: impl Fn(&O) -> Subject,
        rule: impl Fn(i64) -> Rule + Clone + 'static,
        fetch: G,
    ) -> Asked
    where
        G: FnOnce(O, Option<Turned>) -> F,
        F: Future<Output = Fetched> + 'static,
    {
        self.fell_back.store(true, Ordering::Release);
        let fresh = question.terms.fresh.min(self.settings.fallback_fresh);
        let terms = Terms {
            enabled: question.terms.enabled && !fresh.is_zero(),
            coalesce: question.terms.coalesce,
            fresh,
            // An emptiness that is kept where no callback reaches it is one too many.
            negative: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
        };
        let question = Question {
            terms: &terms,
            ..question
        };
        let fetch = |order| fetch(order, turned);
        let asked = self.fallback.ask(question, order, subject, rule, fetch).await;
        Asked {
            fell_back: true,
            ..asked
        }
    }
}

/// What of an entry may be used.
fn usable(terms: &Terms, said: Directives) -> Use {
    if !terms.enabled || said.no_cache {
        Use::Nothing
    } else if said == Directives::default() {
        Use::WhileRevalidate
    } else {
        // Who says how old an answer may be, or that it must be there, did not ask for an old one.
        Use::Fresh
    }
}

/// Whether it is its own client that asks too much.
fn is_of_client(refused: NoReply) -> bool {
    matches!(refused, NoReply::Limited(limited) if limited.limit == Limit::Client)
}

/// Why a question goes on.
fn forward(terms: &Terms, looked: &Looked) -> Forward {
    match looked.found() {
        _ if !terms.enabled => Forward::Bypass,
        None => Forward::Miss,
        Some(found) if found.age(looked.answer.now_ms) < found.lives[0] => Forward::Request,
        Some(_) => Forward::Stale,
    }
}

/// An answer that another replica brought while this one waited for it.
fn collapsed(reply: Reply, passage: Passage, took: Duration) -> Asked {
    Asked {
        fetched: Fetched {
            result: Ok(reply),
            upstream_time: took,
            ..Fetched::without(NoReply::Lost)
        },
        passage,
        behind: None,
        fell_back: false,
    }
}

/// A kept answer; `behind` tells in place of what failure.
pub(super) fn kept(reply: Reply, found: &Found, now_ms: u64, behind: Option<Failure>) -> Asked {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let age = found.age(now_ms);
    Asked {
        fetched: Fetched {
            result: Ok(reply),
            ..Fetched::without(NoReply::Lost)
        },
        passage: Passage::Kept {
            age,
            ttl: seconds(found.lives[0]) - seconds(age),
            stale: behind.is_some() || age >= found.lives[0],
        },
        behind,
        fell_back: false,
    }
}
